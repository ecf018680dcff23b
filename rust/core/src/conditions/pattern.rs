//! `matches`: a regular expression, searched for anywhere in a text, in time linear in the text.
//!
//! The engine below is the one of the `regex` crate; it is used directly because it tells how much memory a pattern
//! takes, which bounds what a whole condition may take, and because it gives the syntax tree to whoever wants to know
//! which literal texts a match must hold.

use regex_automata::meta::Regex;
use regex_syntax::ast::ErrorKind;
use regex_syntax::hir::Hir;

use super::finding::{Code, Findings};
use super::source::quote;
use crate::value::{Error, Token, read};

/// Memory that one pattern may take, in bytes.
pub const MAX_PATTERN_BYTES: usize = 10 << 20;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    hir: Hir,
}

impl Pattern {
    /// Compiles a pattern, taking its memory from `budget`; what is wrong with it goes to the findings.
    #[must_use]
    pub fn compile(text: &str, budget: &mut usize, findings: &mut Findings) -> Option<Self> {
        let hir = match regex_syntax::parse(text) {
            Ok(hir) => hir,
            Err(error) => {
                let (what, remedy) = explain(&error);
                findings.report(
                    Code::InvalidPattern,
                    format!("the pattern {} {what}", quote(text)),
                    remedy,
                );
                return None;
            }
        };
        let limit = MAX_PATTERN_BYTES.min(*budget);
        // Only whether there is a match is asked: the lazy DFA answers that as fast as those built ahead, which would
        // take several times longer to compile. Its cache is kept small, because there may be thousands of patterns.
        let config = Regex::config()
            .nfa_size_limit(Some(limit))
            .hybrid_cache_capacity(256 << 10)
            .onepass(false)
            .dfa(false);
        match Regex::builder().configure(config).build_from_hir(&hir) {
            Ok(regex) => {
                *budget = budget.saturating_sub(regex.memory_usage());
                Some(Self { regex, hir })
            }
            Err(error) => {
                let problem = if limit < MAX_PATTERN_BYTES {
                    format!(
                        "the pattern {} and those before it take too much memory together",
                        quote(text)
                    )
                } else if error.size_limit().is_some() {
                    format!(
                        "the pattern {} takes more than {} MiB",
                        quote(text),
                        MAX_PATTERN_BYTES >> 20
                    )
                } else {
                    format!("the pattern {} cannot be compiled: {error}", quote(text))
                };
                findings.report(
                    Code::InvalidPattern,
                    problem,
                    r"repeat less, as \w{1,100} for \w{1000}{1000}, or write [a-z] for classes of all of Unicode",
                );
                None
            }
        }
    }

    /// Its syntax tree.
    #[must_use]
    pub const fn hir(&self) -> &Hir {
        &self.hir
    }

    /// Whether the text holds a match.
    #[inline]
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// Whether the value at `at` is a text that holds a match.
    #[inline]
    pub fn holds(&self, bytes: &[u8], at: usize) -> Result<bool, Error> {
        Ok(match read(bytes, at)?.0 {
            Token::Str(text) => self.is_match(text),
            _ => false,
        })
    }
}

/// Problem and remedy of a pattern that cannot be parsed.
fn explain(error: &regex_syntax::Error) -> (String, &'static str) {
    const DIALECT: &str =
        "write Rust's regex syntax, which is linear-time: no look-around, no backreferences";
    match error {
        regex_syntax::Error::Parse(error) => {
            let remedy = match error.kind() {
                ErrorKind::UnsupportedLookAround => {
                    "split it into several conditions under all_of, with not around what must be absent"
                }
                ErrorKind::UnsupportedBackreference => "list the alternatives instead",
                ErrorKind::EscapeUnrecognized => {
                    r"write \z for \Z, and a character that needs no backslash without one"
                }
                ErrorKind::FlagUnrecognized => {
                    "the flags are i, m, s, R, U, u and x; there are no atomic groups"
                }
                _ => DIALECT,
            };
            let column = error.span().start.column;
            (
                format!("is not valid at character {column}: {}", error.kind()),
                remedy,
            )
        }
        regex_syntax::Error::Translate(error) => {
            let column = error.span().start.column;
            (
                format!("is not valid at character {column}: {}", error.kind()),
                DIALECT,
            )
        }
        other => (format!("is not valid: {other}"), DIALECT),
    }
}
