//! `in`: whether a value equals one of many, at the price of comparing with one.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

use super::equality::{equals, number};
use super::literal::Literal;
use super::number::NumberKey;
use crate::value::{Error, Token, read};

type Set<T> = HashSet<T, FxBuildHasher>;

/// The literals of one `in`, by kind. The hash needs no key of its own: a message's values are looked up, never stored.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    nil: bool,
    no: bool,
    yes: bool,
    numbers: Set<NumberKey>,
    texts: Set<Box<[u8]>>,
    data: Set<Box<[u8]>>,
    instants: Set<(i64, u32)>,
    /// Arrays, maps and extensions: compared one by one.
    others: Vec<Literal>,
}

impl Choices {
    /// The set of these literals.
    #[must_use]
    pub fn new(literals: Vec<Literal>) -> Self {
        let mut choices = Self::default();
        for literal in literals {
            match literal {
                Literal::Nil => choices.nil = true,
                Literal::Bool(false) => choices.no = true,
                Literal::Bool(true) => choices.yes = true,
                Literal::Number(number) => choices.numbers.extend(number.key()),
                Literal::Str(text) => {
                    choices.texts.insert(text.into_boxed_bytes());
                }
                Literal::Bin(data) => {
                    choices.data.insert(data);
                }
                Literal::Timestamp(seconds, nanoseconds) => {
                    choices.instants.insert((seconds, nanoseconds));
                }
                other => choices.others.push(other),
            }
        }
        choices
    }

    /// Whether the value at `at` equals one of them.
    #[inline]
    pub fn contains(&self, bytes: &[u8], at: usize) -> Result<bool, Error> {
        let (token, _) = read(bytes, at)?;
        Ok(match token {
            Token::Str(text) => self.texts.contains(text),
            Token::Nil => self.nil,
            Token::Bool(false) => self.no,
            Token::Bool(true) => self.yes,
            Token::Bin(data) => self.data.contains(data),
            Token::Timestamp {
                seconds,
                nanoseconds,
            } => self.instants.contains(&(seconds, nanoseconds)),
            Token::Array(_) | Token::Map(_) | Token::Ext(..) => {
                for literal in &self.others {
                    if equals(literal, bytes, at)? {
                        return Ok(true);
                    }
                }
                false
            }
            token => number(token)
                .and_then(NumberKey::of)
                .is_some_and(|key| self.numbers.contains(&key)),
        })
    }
}
