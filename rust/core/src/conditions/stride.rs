//! Steps over bytes that nobody asks about, without making tokens of them: most of what a walk does.
//!
//! A step depends on the one before it, so what counts is how soon the next offset is known: what messages are mostly
//! made of is stepped over in a few instructions at the caller's place, all else by a call.

use crate::value::{Token, ValueError, read, skip};

/// Return the offset after a value: [`skip`], without making tokens of what messages are mostly made of.
#[inline]
pub fn past(bytes: &[u8], start: usize) -> Result<usize, ValueError> {
    match past_scalar(bytes, start) {
        Some(end) => Ok(end),
        None => past_any(bytes, start),
    }
}

/// Return the offset after a scalar of a common kind, if all of it is there.
#[inline]
fn past_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let end = match *bytes.get(at)? {
        marker @ 0xa0..=0xbf => at + 1 + usize::from(marker & 0x1f),
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => at + 1,
        0xd9 => at + 2 + usize::from(*bytes.get(at + 1)?),
        0xca | 0xce | 0xd2 => at + 5,
        0xcb | 0xcf | 0xd3 => at + 9,
        0xcc | 0xd0 => at + 2,
        0xcd | 0xd1 => at + 3,
        _ => return None,
    };
    (end <= bytes.len()).then_some(end)
}

/// Return the offset after a value, however deep it is.
#[inline(never)]
fn past_any(bytes: &[u8], start: usize) -> Result<usize, ValueError> {
    let mut at = start;
    // Values still to come; each takes a byte at least, so it stays below the number of bytes.
    let mut pending = 1;
    while pending > 0 {
        pending -= 1;
        if let Some(end) = past_scalar(bytes, at) {
            at = end;
            continue;
        }
        at = match bytes.get(at) {
            Some(&marker @ 0x80..=0x8f) => {
                pending += 2 * usize::from(marker & 0x0f);
                at + 1
            }
            Some(&marker @ 0x90..=0x9f) => {
                pending += usize::from(marker & 0x0f);
                at + 1
            }
            _ => skip(bytes, at)?,
        };
    }
    if at <= bytes.len() {
        return Ok(at);
    }
    skip(bytes, start) // returns the error
}

/// Return the text at `at`, if it is one of up to 255 bytes and all of it is there.
#[inline]
pub fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    match *bytes.get(at)? {
        marker @ 0xa0..=0xbf => bytes.get(at + 1..at + 1 + usize::from(marker & 0x1f)),
        0xd9 => bytes.get(at + 2..at + 2 + usize::from(*bytes.get(at + 1)?)),
        _ => None,
    }
}

/// Return a map's key, if it is a string, and the offset after it.
#[inline]
pub fn key(bytes: &[u8], at: usize) -> Result<(Option<&[u8]>, usize), ValueError> {
    if let Some(&marker @ 0xa0..=0xbf) = bytes.get(at) {
        let end = at + 1 + usize::from(marker & 0x1f);
        if let Some(key) = bytes.get(at + 1..end) {
            return Ok((Some(key), end));
        }
    }
    any_key(bytes, at)
}

#[inline(never)]
fn any_key(bytes: &[u8], at: usize) -> Result<(Option<&[u8]>, usize), ValueError> {
    match read(bytes, at)? {
        (Token::Str(key), end) => Ok((Some(key), end)),
        _ => Ok((None, past(bytes, at)?)),
    }
}
