//! The path of one field of a message, for who wants its value rather than to ask a condition about it.

use super::path::{Refusal, Segment, parse};
use super::place::resolve;
use super::source::{Source, quote};
use super::stride::past;
use crate::value::Error;

/// Where one field of a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Box<[Segment]>);

impl FieldPath {
    /// Reads a path in any of its written forms.
    ///
    /// # Errors
    ///
    /// The text is no path, or one of several fields.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let segments = parse(&Source::Str(text.to_owned())).map_err(|(refusal, _)| refusal)?;
        if segments.contains(&Segment::Each) {
            return Err((
                format!("{} names several fields", quote(text)),
                "name one, by its index: [0] instead of [*]".to_owned(),
            ));
        }
        Ok(Self(segments.into()))
    }

    /// The msgpack bytes of the field in a message, if it has one.
    ///
    /// # Errors
    ///
    /// The message is malformed, where it was looked at.
    pub fn find<'a>(&self, message: &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
        let mut found = None;
        resolve::<Error>(&self.0, message, 0, &mut |at| {
            found = Some(at);
            Ok(true)
        })?;
        found
            .map(|at| Ok(&message[at..past(message, at)?]))
            .transpose()
    }
}
