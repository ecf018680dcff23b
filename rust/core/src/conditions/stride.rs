//! Steps over bytes that nobody asks about, without making tokens of them: most of what a walk does.

use crate::value::{Error, Token, read, skip};

/// The offset after a value: [`skip`], without making tokens of what messages are mostly made of.
#[inline]
pub fn past(bytes: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start;
    // Values still to come; each takes a byte at least, so it stays below the number of bytes.
    let mut pending = 1;
    while pending > 0 {
        pending -= 1;
        at += match bytes.get(at) {
            Some(&marker @ 0xa0..=0xbf) => 1 + usize::from(marker & 0x1f),
            Some(0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3) => 1,
            Some(&marker @ 0x80..=0x8f) => {
                pending += 2 * usize::from(marker & 0x0f);
                1
            }
            Some(&marker @ 0x90..=0x9f) => {
                pending += usize::from(marker & 0x0f);
                1
            }
            Some(0xcc | 0xd0) => 2,
            Some(0xcd | 0xd1) => 3,
            Some(0xca | 0xce | 0xd2) => 5,
            Some(0xcb | 0xcf | 0xd3) => 9,
            Some(0xd9) => 2 + usize::from(bytes.get(at + 1).copied().unwrap_or_default()),
            _ => skip(bytes, at)? - at,
        };
    }
    if at <= bytes.len() {
        return Ok(at);
    }
    skip(bytes, start) // which says what is wrong
}

/// A map's key, if it is a string, and the offset after it.
#[inline]
pub fn key(bytes: &[u8], at: usize) -> Result<(Option<&[u8]>, usize), Error> {
    if let Some(&marker @ 0xa0..=0xbf) = bytes.get(at) {
        let end = at + 1 + usize::from(marker & 0x1f);
        if let Some(key) = bytes.get(at + 1..end) {
            return Ok((Some(key), end));
        }
    }
    match read(bytes, at)? {
        (Token::Str(key), end) => Ok((Some(key), end)),
        _ => Ok((None, past(bytes, at)?)),
    }
}
