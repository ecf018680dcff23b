//! `in`: equality with one of many literals, at the cost of one comparison.

use super::equality::equals;
use super::literal::Literal;
use super::scalar::{NoScalar, Scalar, ScalarMap};
use crate::value::{Token, ValueError, read};

/// The literals of one `in`.
#[derive(Clone, Debug)]
pub struct Choices {
    scalars: ScalarMap<()>,
    /// Literals with parts, and extensions, which are compared one by one.
    others: Vec<Literal>,
    /// The scalars as literals, for the index of a table.
    keys: Vec<Scalar>,
}

impl Choices {
    /// Return the set of these literals.
    #[must_use]
    pub fn new(literals: Vec<Literal>) -> Self {
        let mut choices = Self {
            scalars: ScalarMap::default(),
            others: Vec::new(),
            keys: Vec::new(),
        };
        for literal in literals {
            match Scalar::of(&literal) {
                Ok(scalar) => {
                    choices.scalars.insert(scalar.clone(), ());
                    choices.keys.push(scalar);
                }
                Err(NoScalar::Composite) => choices.others.push(literal),
                Err(NoScalar::Unreachable) => {}
            }
        }
        choices
    }

    /// Return all of the choices, if they are scalars without exception.
    #[must_use]
    pub fn scalars(&self) -> Option<&[Scalar]> {
        self.others.is_empty().then_some(&self.keys)
    }

    /// True if the value at `at` equals one of them.
    #[inline]
    pub fn contains(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let (token, _) = read(bytes, at)?;
        if let Token::Array(_) | Token::Map(_) | Token::Ext(..) = token {
            for literal in &self.others {
                if equals(literal, bytes, at)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        Ok(self.scalars.get(token).is_some())
    }
}
