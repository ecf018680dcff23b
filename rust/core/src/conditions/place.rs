//! One place of a message: the slot in which a walk stores its offset, and the rest of the path if that has a
//! wildcard.

use super::path::Segment;
use super::slots::MISSING;
use super::stride::{key, past};
use crate::value::{Token, ValueError, read};

/// A place in a message: a slot of the walk, and what remains of the path from there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Slot of the part before the first wildcard.
    pub slot: usize,
    /// Rest of the path, from the first wildcard on; empty for most paths.
    pub rest: Box<[Segment]>,
}

impl Place {
    /// True if the place is in the message and `test` holds there; if the path has wildcards, for one of its places.
    #[inline]
    pub fn any<E: From<ValueError>>(
        &self,
        bytes: &[u8],
        slots: &[usize],
        mut test: impl FnMut(usize) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let at = slots[self.slot];
        if at == MISSING {
            return Ok(false);
        }
        if self.rest.is_empty() {
            return test(at);
        }
        resolve(&self.rest, bytes, at, &mut test)
    }
}

/// Follow the segments from `at`, through every element at a wildcard, until `test` holds.
///
/// Recurses once a segment. A byte is looked at once more for each wildcard of the path.
pub fn resolve<E: From<ValueError>>(
    segments: &[Segment],
    bytes: &[u8],
    at: usize,
    test: &mut dyn FnMut(usize) -> Result<bool, E>,
) -> Result<bool, E> {
    let Some((segment, rest)) = segments.split_first() else {
        return test(at);
    };
    let (token, next) = read(bytes, at)?;
    let found = match (segment, token) {
        (Segment::Key(key) | Segment::KeyOrIndex(key, _), Token::Map(count)) => {
            find_key(bytes, next, count, key.as_bytes())?
        }
        (Segment::Index(index) | Segment::KeyOrIndex(_, index), Token::Array(count)) => {
            find_element(bytes, next, count, *index)?
        }
        (Segment::Each, Token::Array(count)) => {
            let mut at = next;
            for _ in 0..count {
                if resolve(rest, bytes, at, test)? {
                    return Ok(true);
                }
                at = past(bytes, at)?;
            }
            None
        }
        _ => None,
    };
    match found {
        Some(at) => resolve(rest, bytes, at, test),
        None => Ok(false),
    }
}

fn find_key(
    bytes: &[u8],
    mut at: usize,
    count: u32,
    wanted: &[u8],
) -> Result<Option<usize>, ValueError> {
    for _ in 0..count {
        let (key, value) = key(bytes, at)?;
        if key == Some(wanted) {
            return Ok(Some(value));
        }
        at = past(bytes, value)?;
    }
    Ok(None)
}

fn find_element(
    bytes: &[u8],
    mut at: usize,
    count: u32,
    index: i64,
) -> Result<Option<usize>, ValueError> {
    let index = if index < 0 {
        index + i64::from(count)
    } else {
        index
    };
    if !(0..i64::from(count)).contains(&index) {
        return Ok(None);
    }
    for _ in 0..index {
        at = past(bytes, at)?;
    }
    Ok(Some(at))
}
