//! `contains`, `starts_with` and `ends_with`.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::equality::equals;
use super::literal::Literal;
use super::stride::past;
use crate::value::{Token, ValueError, read};

/// `contains`: a part of a text or of bytes, or an element of an array. Never a key or a value of a map: libraries
/// disagree which, so neither is guessed.
#[derive(Clone, Debug)]
pub struct Contains {
    literal: Literal,
    /// Finds a literal text or bytes.
    finder: Option<Finder<'static>>,
}

impl Contains {
    /// Return a search for this literal.
    #[must_use]
    pub fn new(literal: Literal) -> Self {
        let finder = match &literal {
            Literal::Str(text) => Some(Finder::new(text.as_bytes()).into_owned()),
            Literal::Bin(data) => Some(Finder::new(data).into_owned()),
            _ => None,
        };
        Self { literal, finder }
    }

    /// Return the literal that is looked for.
    #[must_use]
    pub const fn literal(&self) -> &Literal {
        &self.literal
    }

    /// True if the value at `at` holds it.
    pub fn holds(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let (token, next) = read(bytes, at)?;
        Ok(match (token, &self.literal, &self.finder) {
            (Token::Str(text), Literal::Str(_), Some(finder)) => finder.find(text).is_some(),
            (Token::Bin(data), Literal::Bin(_), Some(finder)) => finder.find(data).is_some(),
            (Token::Array(count), literal, _) => {
                let mut at = next;
                for _ in 0..count {
                    if equals(literal, bytes, at)? {
                        return Ok(true);
                    }
                    at = past(bytes, at)?;
                }
                false
            }
            _ => false,
        })
    }
}

/// End of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `starts_with`
    Start,
    /// `ends_with`
    End,
}

/// `starts_with`, `ends_with`: one of these texts stands at that end.
#[derive(Clone, Debug)]
pub struct Affixes {
    /// End at which the affix is.
    pub end: End,
    /// The texts.
    pub texts: Vec<Arc<str>>,
}

impl Affixes {
    /// True if the value at `at` is a text with one of them at its end.
    #[inline]
    pub fn holds(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let (Token::Str(text), _) = read(bytes, at)? else {
            return Ok(false);
        };
        Ok(match self.end {
            End::Start => self
                .texts
                .iter()
                .any(|affix| text.starts_with(affix.as_bytes())),
            End::End => self
                .texts
                .iter()
                .any(|affix| text.ends_with(affix.as_bytes())),
        })
    }
}
