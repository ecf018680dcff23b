//! Questions that a condition asks of one value: one variant an operator family, each total.

use std::sync::Arc;

use super::choices::Choices;
use super::equality::equals;
use super::interval::Interval;
use super::kind::Kinds;
use super::length::Length;
use super::literal::Literal;
use super::network::Networks;
use super::pattern::Pattern;
use super::text::{Affixes, Contains};
use crate::value::{Token, ValueError, read, skip};

/// Evaluator of the embedding program's operators.
///
/// ```
/// use factflow_core::conditions::{Body, Host, MAX_PATTERNS_BYTES, Operators, PathStep, Source, compile};
/// use factflow_core::value::{Token, ValueError, read};
///
/// struct Even;
///
/// impl Operators for Even {
///     fn names(&self) -> Vec<String> {
///         vec!["even".into()]
///     }
///
///     fn needs_value(&self, name: &str) -> Option<bool> {
///         (name == "even").then_some(false)
///     }
///
///     fn bind(&mut self, _: &str, _: &[PathStep]) -> Result<usize, String> {
///         Ok(0)
///     }
/// }
///
/// impl Host for Even {
///     type Error = ValueError;
///
///     fn holds(&self, _: usize, value: &[u8]) -> Result<bool, ValueError> {
///         Ok(matches!(read(value, 0)?.0, Token::Int(number) if number % 2 == 0))
///     }
/// }
///
/// let text = |text: &str| Source::Str(text.into());
/// let source = Source::Map(vec![(text("field"), text("@")), (text("operator"), text("even"))]);
/// let (condition, _) = compile(&source, &mut Even, &mut { MAX_PATTERNS_BYTES }).unwrap();
/// assert_eq!(condition.holds(&[4], 0, &Even), Ok(true));
/// assert_eq!(condition.holds(&[5], 0, &Even), Ok(false));
/// ```
pub trait Host {
    /// The failure of an evaluation: malformed bytes, or an exception of the embedding program's operators.
    type Error: From<ValueError>;

    /// True if the operator that was bound under this number holds for a value, given as its bytes.
    fn holds(&self, operator: usize, value: &[u8]) -> Result<bool, Self::Error>;
}

/// No operators but the built-in ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInOnly;

impl Host for BuiltInOnly {
    type Error = ValueError;

    fn holds(&self, _operator: usize, _value: &[u8]) -> Result<bool, ValueError> {
        Ok(false)
    }
}

/// A question about one value that is present; for a missing one the answer is false without a question.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// Presence.
    Exists,
    /// Presence as nil.
    Nil,
    /// Equality with a literal.
    Equal(Literal),
    /// Equality with one of some literals.
    OneOf(Box<Choices>),
    /// A place in an interval.
    Within(Arc<Interval>),
    /// A literal contained in it.
    Contains(Box<Contains>),
    /// One of some texts at its start or end.
    Affixes(Affixes),
    /// A match of a pattern.
    Matches(Box<Pattern>),
    /// One of some types.
    Kind(Kinds),
    /// A length.
    Length(Length),
    /// An address in one of some networks.
    Network(Networks),
    /// An operator of the embedding program.
    Custom(usize),
}

impl Predicate {
    /// True if it holds for the value at `at`.
    #[inline]
    pub fn holds<H: Host>(&self, bytes: &[u8], at: usize, host: &H) -> Result<bool, H::Error> {
        Ok(match self {
            Self::Exists => true,
            Self::Nil => matches!(read(bytes, at)?.0, Token::Nil),
            Self::Equal(literal) => equals(literal, bytes, at)?,
            Self::OneOf(choices) => choices.contains(bytes, at)?,
            Self::Within(interval) => interval.contains(bytes, at)?,
            Self::Contains(contains) => contains.holds(bytes, at)?,
            Self::Affixes(affixes) => affixes.holds(bytes, at)?,
            Self::Matches(pattern) => pattern.holds(bytes, at)?,
            Self::Kind(kinds) => kinds.holds(bytes, at)?,
            Self::Length(length) => length.holds(bytes, at)?,
            Self::Network(networks) => networks.holds(bytes, at)?,
            Self::Custom(operator) => {
                let end = skip(bytes, at)?;
                return host.holds(*operator, &bytes[at..end]);
            }
        })
    }
}
