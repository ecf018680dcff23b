//! The part of a frame that is about its message.

use super::error::{FrameError, FrameFault};
use crate::value::{
    Limits, Token, read, skip, validate_at, write_bin, write_int, write_nil, write_str, write_uint,
};

const FIELDS: u32 = 7;

/// The header's fields, borrowed from the frame's bytes or from the caller that encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Identity: its first 48 bits are milliseconds.
    pub message_id: [u8; 16],
    /// Identity of the root that the message descends from; a root's own.
    pub correlation_id: [u8; 16],
    /// Identity of the message that this one was emitted from.
    pub parent_id: Option<[u8; 16]>,
    /// 1 for the first try.
    pub attempt: u32,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Ordering key of the message: those of one key may have to wait for each other.
    pub key: Option<&'a str>,
    /// The headers: one msgpack map with string keys; None when there are none.
    pub headers: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Append the header. `headers`, if given, is a valid map: the caller made or validated it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        #[expect(clippy::cast_possible_truncation, reason = "seven")]
        out.push(0x90 | FIELDS as u8);
        debug_assert_eq!(FIELDS, 7, "a fixarray");
        write_bin(out, &self.message_id);
        write_id(
            out,
            Some(&self.correlation_id).filter(|id| **id != self.message_id),
        );
        write_id(out, self.parent_id.as_ref());
        write_uint(out, u64::from(self.attempt));
        write_int(out, self.time_ns);
        match self.key {
            Some(key) => write_str(out, key),
            None => write_nil(out),
        }
        match self.headers {
            Some(headers) => out.extend_from_slice(headers),
            None => write_nil(out),
        }
    }

    /// Read an untrusted header at the beginning of `bytes`; return the offset after it too.
    pub(super) fn read(bytes: &'a [u8], limits: Limits) -> Result<(Self, usize), FrameError> {
        // The headers are one level deeper here than where they were packed.
        let limits = Limits {
            max_depth: limits.max_depth.saturating_add(1),
            max_elements: limits.max_elements.saturating_add(FIELDS),
        };
        let end = validate_at(bytes, 0, &limits).map_err(FrameError::of_value)?;
        let mut fields = FieldWalk { bytes, at: 0 };
        fields.next("an array of 7 fields", |token| {
            (token == Token::Array(FIELDS)).then_some(())
        })?;
        let message_id = fields.next("a message id of 16 bytes", id)?;
        let correlation_id = fields.next("a correlation id of 16 bytes or nil", optional(id))?;
        let parent_id = fields.next("a parent id of 16 bytes or nil", optional(id))?;
        let attempt = fields.next("an attempt from 1", |token| match token {
            Token::Int(attempt @ 1..) => u32::try_from(attempt).ok(),
            _ => None,
        })?;
        let time_ns = fields.next("a time in nanoseconds", |token| match token {
            Token::Int(time) => Some(time),
            _ => None,
        })?;
        let key = fields.next("a key of text or nil", optional(text))?;
        let headers = fields.map_or_nil()?;
        let correlation_id = correlation_id.unwrap_or(message_id);
        Ok((
            Self {
                message_id,
                correlation_id,
                parent_id,
                attempt,
                time_ns,
                key,
                headers,
            },
            end,
        ))
    }
}

fn write_id(out: &mut Vec<u8>, id: Option<&[u8; 16]>) {
    match id {
        Some(id) => write_bin(out, id),
        None => write_nil(out),
    }
}

fn id(token: Token<'_>) -> Option<[u8; 16]> {
    match token {
        Token::Bin(data) => data.try_into().ok(),
        _ => None,
    }
}

fn text(token: Token<'_>) -> Option<&str> {
    match token {
        Token::Str(text) => core::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// Return nil, or the result of `read` for the token.
fn optional<'a, T>(
    read: impl Fn(Token<'a>) -> Option<T>,
) -> impl Fn(Token<'a>) -> Option<Option<T>> {
    move |token| {
        if token == Token::Nil {
            Some(None)
        } else {
            read(token).map(Some)
        }
    }
}

/// A walk over the fields of a validated header.
struct FieldWalk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> FieldWalk<'a> {
    fn next<T>(
        &mut self,
        expected: &'static str,
        take: impl FnOnce(Token<'a>) -> Option<T>,
    ) -> Result<T, FrameError> {
        let (token, next) = read(self.bytes, self.at).map_err(FrameError::of_value)?;
        let field = take(token)
            .ok_or_else(|| FrameError::new(FrameFault::Header(expected), self.at as u64))?;
        self.at = next;
        Ok(field)
    }

    fn map_or_nil(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        let start = self.at;
        let is_map = self.next("headers as a map or nil", |token| match token {
            Token::Map(_) => Some(true),
            Token::Nil => Some(false),
            _ => None,
        })?;
        if !is_map {
            return Ok(None);
        }
        let end = skip(self.bytes, start).map_err(FrameError::of_value)?;
        Ok(Some(&self.bytes[start..end]))
    }
}
