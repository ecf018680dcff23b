//! The path of one field of a message, for a caller that wants its value rather than to ask a condition about it.

use super::path::{Segment, parse};
use super::path_error::PathError;
use super::place::resolve;
use super::source::{Source, quote};
use super::stride::past;
use crate::value::ValueError;

/// Path of one field of a message.
///
/// ```
/// use factflow_core::conditions::FieldLocator;
/// use factflow_core::value::{write_int, write_map_len, write_str};
///
/// let mut message = Vec::new();
/// write_map_len(&mut message, 1);
/// write_str(&mut message, "page");
/// write_int(&mut message, 7);
/// let page = FieldLocator::parse("page").unwrap();
/// assert_eq!(page.find(&message), Ok(Some(&[7][..])));
/// assert_eq!(page.find(&[0x80]), Ok(None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLocator(Box<[Segment]>);

impl FieldLocator {
    /// Read a path in any of its written forms.
    ///
    /// # Errors
    ///
    /// The text is no path, or one of several fields.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let segments = parse(&Source::Str(text.into()))?;
        if segments.contains(&Segment::Each) {
            return Err(PathError::new(
                format!("{} names several fields", quote(text)),
                "name one, by its index: [0] instead of [*]",
            ));
        }
        Ok(Self(segments.into()))
    }

    /// Return the msgpack bytes of the field in a message, if it has one.
    ///
    /// # Errors
    ///
    /// The message is malformed, where it was looked at.
    pub fn find<'a>(&self, message: &'a [u8]) -> Result<Option<&'a [u8]>, ValueError> {
        let mut found = None;
        resolve::<ValueError>(&self.0, message, 0, &mut |at| {
            found = Some(at);
            Ok(true)
        })?;
        found
            .map(|at| Ok(&message[at..past(message, at)?]))
            .transpose()
    }
}
