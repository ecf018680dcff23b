//! `matches`: a regular expression, searched for anywhere in a text, in time linear in the text.
//!
//! The engine below is the one of the `regex` crate; it is used directly because it tells how much memory a pattern
//! takes, which bounds what a whole condition may take, and because it gives the syntax tree, from which the index
//! reads which literal texts a match must hold.

use regex_automata::meta::Regex;
use regex_syntax::ast::ErrorKind;
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::Translator;

use super::finding::{Code, Findings};
use super::pattern_size::translated_size;
use super::source::quote;
use crate::value::{Token, ValueError, read};

/// Memory that one pattern may take, in bytes.
pub const MAX_PATTERN_BYTES: usize = 10 << 20;
/// Length of a pattern, in bytes.
pub const MAX_PATTERN_LENGTH: usize = 64 << 10;
/// Greatest depth of groups, repetitions and classes in one another.
const MAX_NESTING: u32 = 200;

const SMALLER: &str = r"repeat less, write [a-z] or (?-u:\w) for classes of all of Unicode as \w and \pL, or ask with starts_with, contains or in";

/// Memory that patterns may still take together.
#[derive(Clone, Copy, Debug)]
pub struct PatternMemory {
    /// In bytes.
    pub left: usize,
    /// True once a finding has reported that it is used up.
    is_reported: bool,
}

impl PatternMemory {
    /// Return a budget of so many bytes.
    #[must_use]
    pub const fn new(left: usize) -> Self {
        Self {
            left,
            is_reported: false,
        }
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    hir: Hir,
}

impl Pattern {
    /// Compile a pattern, taking its memory from `budget`; add its problems to the findings. An exhausted budget is
    /// reported once, for the first pattern that finds it so, because there is one remedy for all.
    ///
    /// The memory of a pattern is bounded before it is taken: its length, then its syntax, then its automaton while
    /// that is built. A pattern that is refused for its size counts as well, because building it took time.
    #[must_use]
    pub fn compile(
        text: &str,
        budget: &mut PatternMemory,
        findings: &mut Findings,
    ) -> Option<Self> {
        match Self::build(text, &mut budget.left) {
            Ok(pattern) => Some(pattern),
            Err(PatternFault::UsedUp) if budget.is_reported => None,
            Err(fault) => {
                budget.is_reported |= matches!(fault, PatternFault::UsedUp);
                let (problem, remedy) = fault.explain();
                findings.report(
                    Code::InvalidPattern,
                    format!("the pattern {} {problem}", quote(text)),
                    remedy,
                );
                None
            }
        }
    }

    fn build(text: &str, budget: &mut usize) -> Result<Self, PatternFault> {
        if text.len() > MAX_PATTERN_LENGTH {
            let problem = format!(
                "has {} bytes; the longest allowed has {MAX_PATTERN_LENGTH}",
                text.len()
            );
            return Err(PatternFault::Pattern(
                problem,
                "write in, contains or starts_with for lists of texts, or split it under any_of",
            ));
        }
        let ast = ParserBuilder::new()
            .nest_limit(MAX_NESTING)
            .build()
            .parse(text)
            .map_err(|error| explain(&error.into()))?;
        let translated = translated_size(&ast);
        if translated > MAX_PATTERN_BYTES.min(*budget) {
            return Err(refused(MAX_PATTERN_BYTES.min(translated), budget));
        }
        let hir = Translator::new()
            .translate(text, &ast)
            .map_err(|error| explain(&error.into()))?;
        drop(ast);
        *budget -= translated;
        let limit = MAX_PATTERN_BYTES.min(*budget);
        // Only the existence of a match is asked for: the lazy DFA is as fast for that as those built ahead, which
        // would take several times longer to compile. Its cache is kept small, because there may be thousands of
        // patterns.
        let config = Regex::config()
            .nfa_size_limit(Some(limit))
            .hybrid_cache_capacity(256 << 10)
            .onepass(false)
            .dfa(false);
        match Regex::builder().configure(config).build_from_hir(&hir) {
            Ok(regex) if regex.memory_usage() <= *budget => {
                *budget -= regex.memory_usage();
                Ok(Self { regex, hir })
            }
            Ok(regex) => Err(refused(regex.memory_usage(), budget)),
            Err(error) if error.size_limit().is_some() => Err(refused(MAX_PATTERN_BYTES, budget)),
            Err(error) => Err(PatternFault::Pattern(
                format!("cannot be compiled: {error}"),
                SMALLER,
            )),
        }
    }

    /// Return its syntax tree.
    #[must_use]
    pub const fn hir(&self) -> &Hir {
        &self.hir
    }

    /// True if the text holds a match.
    #[inline]
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// True if the value at `at` is a text that holds a match.
    #[inline]
    pub fn holds(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        Ok(match read(bytes, at)?.0 {
            Token::Str(text) => self.is_match(text),
            _ => false,
        })
    }
}

/// Reason why a pattern is not compiled.
enum PatternFault {
    /// A problem of the pattern itself, and the remedy.
    Pattern(String, &'static str),
    /// Too little memory left by the patterns before it.
    UsedUp,
}

impl PatternFault {
    /// Return problem and remedy.
    fn explain(self) -> (String, &'static str) {
        match self {
            Self::Pattern(problem, remedy) => (problem, remedy),
            Self::UsedUp => (
                "and those before it take too much memory together".to_owned(),
                SMALLER,
            ),
        }
    }
}

/// Refuse a pattern that takes `bytes` or more; take them from the budget.
fn refused(bytes: usize, budget: &mut usize) -> PatternFault {
    if bytes > *budget {
        *budget = 0;
        return PatternFault::UsedUp;
    }
    *budget -= bytes;
    let problem = format!("takes more than {} MiB", MAX_PATTERN_BYTES >> 20);
    PatternFault::Pattern(problem, SMALLER)
}

/// Return problem and remedy of a pattern that cannot be parsed.
fn explain(error: &regex_syntax::Error) -> PatternFault {
    const DIALECT: &str =
        "write Rust's regex syntax, which is linear-time: no look-around, no backreferences";
    let (problem, remedy) = match error {
        regex_syntax::Error::Parse(error) => {
            let remedy = match error.kind() {
                ErrorKind::UnsupportedLookAround => {
                    "split it into several conditions under all_of, with not around what must be absent"
                }
                ErrorKind::UnsupportedBackreference => "list the alternatives instead",
                ErrorKind::EscapeUnrecognized => {
                    r"write \z for \Z, and a character that needs no backslash without one"
                }
                ErrorKind::NestLimitExceeded(_) => "nest fewer groups and repetitions",
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
    };
    PatternFault::Pattern(problem, remedy)
}
