//! A compiled condition as a tree, and its evaluation.
//!
//! The logic is two-valued: `not` is the exact complement, and a question about a missing place is false. So De
//! Morgan's laws hold, and an index of conditions may rewrite them freely.

use smallvec::SmallVec;

use super::place::Place;
use super::predicate::{Host, Predicate};
use super::scope::Scope;
use super::slots::MISSING;
use super::stride::past;
use crate::value::{Token, ValueError, read};

/// A part of a condition. Its slots belong to the scope that it was compiled in.
#[derive(Clone, Debug)]
pub enum Node {
    /// Conjunction of one or more parts.
    All(Box<[Node]>),
    /// Disjunction of one or more parts.
    Any(Box<[Node]>),
    /// Negation of a part.
    Not(Box<Node>),
    /// One question about one place.
    Leaf(Box<Leaf>),
    /// Existence of an array's element for which, as a root, a condition holds.
    AnyElement(Box<AnyElement>),
}

/// One question about one place.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Place of the value.
    pub place: Place,
    /// The question.
    pub predicate: Predicate,
    /// True if the answer is negated, after all places of a wildcard were asked.
    pub negated: bool,
}

/// `any_element`
#[derive(Clone, Debug)]
pub struct AnyElement {
    /// Place of the array.
    pub place: Place,
    /// Condition on its elements.
    pub body: Body,
}

/// A condition with the scope that finds its places.
#[derive(Clone, Debug)]
pub struct Body {
    /// Finds the places.
    pub scope: Scope,
    /// The condition.
    pub node: Node,
}

impl Body {
    /// True if the condition holds for the value at `at`, as a root.
    #[inline]
    pub fn holds<H: Host>(&self, bytes: &[u8], at: usize, host: &H) -> Result<bool, H::Error> {
        // Enough for nearly every condition; more of them cost an allocation.
        let mut slots: SmallVec<[usize; 12]> = SmallVec::from_elem(MISSING, self.scope.slots());
        self.scope.walk(bytes, at, slots.as_mut_slice())?;
        self.node.holds(bytes, &slots, host)
    }
}

impl Node {
    /// True if it holds, given the offsets of its places. Recurses as deeply as the condition is nested.
    pub fn holds<H: Host>(
        &self,
        bytes: &[u8],
        slots: &[usize],
        host: &H,
    ) -> Result<bool, H::Error> {
        match self {
            Self::Leaf(leaf) => leaf.holds(bytes, slots, host),
            Self::All(nodes) => {
                for node in nodes {
                    if !node.holds(bytes, slots, host)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(nodes) => {
                for node in nodes {
                    if node.holds(bytes, slots, host)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(node) => Ok(!node.holds(bytes, slots, host)?),
            Self::AnyElement(any) => any.holds(bytes, slots, host),
        }
    }
}

impl Leaf {
    /// True if it holds, given the offset of its place.
    #[inline]
    pub fn holds<H: Host>(
        &self,
        bytes: &[u8],
        slots: &[usize],
        host: &H,
    ) -> Result<bool, H::Error> {
        let found = self
            .place
            .any(bytes, slots, |at| self.predicate.holds(bytes, at, host))?;
        Ok(found != self.negated)
    }
}

impl AnyElement {
    fn holds<H: Host>(&self, bytes: &[u8], slots: &[usize], host: &H) -> Result<bool, H::Error> {
        self.place.any(bytes, slots, |at| {
            let (Token::Array(count), mut at) = read(bytes, at).map_err(wrap::<H>)? else {
                return Ok(false);
            };
            for _ in 0..count {
                if self.body.holds(bytes, at, host)? {
                    return Ok(true);
                }
                at = past(bytes, at).map_err(wrap::<H>)?;
            }
            Ok(false)
        })
    }
}

fn wrap<H: Host>(error: ValueError) -> H::Error {
    error.into()
}
