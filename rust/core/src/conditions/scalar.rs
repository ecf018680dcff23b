//! Scalars as keys of a map, in which an `in` and an index of many `eq` look values up at the cost of one comparison.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::equality::number;
use super::literal::Literal;
use super::number::NumberKey;
use super::texts::Texts;
use crate::value::Token;

type Map<K, T> = HashMap<K, T, FxBuildHasher>;

/// A value without parts. Numbers that are equal are the same scalar, whatever their types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// A number that a message can carry.
    Number(NumberKey),
    /// Text.
    Str(Arc<[u8]>),
    /// Bytes.
    Bin(Arc<[u8]>),
    /// An instant.
    Timestamp(i64, u32),
}

/// Reason why a literal is not a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoScalar {
    /// A literal that has parts, or is an extension.
    Composite,
    /// A number that no message can carry, so that nothing equals it.
    Unreachable,
}

impl Scalar {
    /// Return the literal as a scalar.
    pub fn of(literal: &Literal) -> Result<Self, NoScalar> {
        Ok(match literal {
            Literal::Nil => Self::Nil,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Number(number) => Self::Number(number.key().ok_or(NoScalar::Unreachable)?),
            Literal::Str(text) => Self::Str(Arc::clone(text).into()),
            Literal::Bin(data) => Self::Bin(Arc::clone(data)),
            Literal::Timestamp(seconds, nanoseconds) => Self::Timestamp(*seconds, *nanoseconds),
            Literal::Array(_) | Literal::Map(_) | Literal::Ext(..) => {
                return Err(NoScalar::Composite);
            }
        })
    }
}

/// A map from scalars, asked with a message's tokens. The hash needs no key of its own: a message's values are looked
/// up, never stored.
#[derive(Clone, Debug)]
pub struct ScalarMap<T> {
    nil: Option<T>,
    no: Option<T>,
    yes: Option<T>,
    numbers: Map<NumberKey, T>,
    texts: Texts<T>,
    data: Texts<T>,
    instants: Map<(i64, u32), T>,
}

impl<T> Default for ScalarMap<T> {
    fn default() -> Self {
        Self {
            nil: None,
            no: None,
            yes: None,
            numbers: Map::default(),
            texts: Texts::default(),
            data: Texts::default(),
            instants: Map::default(),
        }
    }
}

impl<T: Copy + Default> ScalarMap<T> {
    /// Return what a value maps to; nothing if it has parts.
    #[inline]
    #[must_use]
    pub fn get(&self, token: Token<'_>) -> Option<T> {
        match token {
            Token::Str(text) => self.texts.get(text),
            Token::Nil => self.nil,
            Token::Bool(false) => self.no,
            Token::Bool(true) => self.yes,
            Token::Bin(data) => self.data.get(data),
            Token::Timestamp {
                seconds,
                nanoseconds,
            } => self.instants.get(&(seconds, nanoseconds)).copied(),
            Token::Array(_) | Token::Map(_) | Token::Ext(..) => None,
            token => self
                .numbers
                .get(&number(token).and_then(NumberKey::of)?)
                .copied(),
        }
    }

    /// Map a scalar to a value, replacing its previous one.
    pub fn insert(&mut self, scalar: Scalar, value: T) {
        match scalar {
            Scalar::Nil => self.nil = Some(value),
            Scalar::Bool(false) => self.no = Some(value),
            Scalar::Bool(true) => self.yes = Some(value),
            Scalar::Number(number) => {
                self.numbers.insert(number, value);
            }
            Scalar::Str(text) => {
                self.texts.insert(&text, value);
            }
            Scalar::Bin(data) => {
                self.data.insert(&data, value);
            }
            Scalar::Timestamp(seconds, nanoseconds) => {
                self.instants.insert((seconds, nanoseconds), value);
            }
        }
    }
}
