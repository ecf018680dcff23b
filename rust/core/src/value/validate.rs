//! The check that untrusted bytes pass once, at ingress, so that nothing behind it needs to check again.
//!
//! One pass with a stack of its own. Duplicate keys: the keys of the maps that are open lie in one arena, those of the
//! innermost map last; a small map compares each new key with its earlier ones by a 64-bit digest (so a full
//! comparison is rare) and a map with more than [`SMALL_MAP`] entries sorts its keys once, when it ends. The sort
//! compares at most `n log n` keys and a comparison costs no more than the shorter key: `O(bytes * log bytes)` for the
//! worst input. Neither allocates for messages of ordinary shape.

use smallvec::SmallVec;

use super::error::{Error, Kind};
use super::token::{Token, read};

/// Maps up to this many entries compare keys pairwise.
const SMALL_MAP: u32 = 24;
/// Bytes behind the markers 0xca to 0xd3: floats, unsigned and signed integers.
const NUMBER_BYTES: [u8; 10] = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

/// Bounds on what a value may ask of those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most containers inside each other. The bytes of a scalar have depth 0, an empty array depth 1.
    pub max_depth: u32,
    /// Most elements of all containers together; a map entry counts twice.
    pub max_elements: u32,
}

impl Limits {
    /// 128 levels, a million elements.
    pub const DEFAULT: Self = Self {
        max_depth: 128,
        max_elements: 1_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A container that is not finished.
#[derive(Clone, Copy)]
struct Level {
    /// Values still to come; for a map, pairs.
    remaining: u32,
    /// Where the map's keys begin in the arena.
    keys_from: usize,
    is_map: bool,
    is_small: bool,
}

/// A key of an open map.
#[derive(Clone, Copy)]
struct Key {
    digest: u64,
    /// Where its marker is: the text is read again if another key has the same digest.
    offset: usize,
}

/// Whether the bytes are exactly one value within the limits.
pub fn validate(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let end = validate_at(bytes, 0, limits)?;
    if end < bytes.len() {
        return Err(Error::new(
            Kind::TrailingBytes((bytes.len() - end) as u64),
            end,
        ));
    }
    Ok(())
}

/// The offset after the value that begins at `offset`, if it is one within the limits; what follows it is not read.
pub fn validate_at(bytes: &[u8], offset: usize, limits: &Limits) -> Result<usize, Error> {
    let mut at = offset;
    let mut elements: u64 = 0;
    let mut keys: SmallVec<[Key; 24]> = SmallVec::new();
    let mut open: SmallVec<[Level; 12]> = SmallVec::new();
    // The innermost open container. The outermost "container" is a list of the one value.
    let mut level = Level {
        remaining: 1,
        keys_from: 0,
        is_map: false,
        is_small: true,
    };
    loop {
        while level.remaining == 0 {
            if level.is_map {
                if !level.is_small {
                    check_sorted(bytes, &keys[level.keys_from..])?;
                }
                keys.truncate(level.keys_from);
            }
            match open.pop() {
                Some(outer) => level = outer,
                None => return Ok(at),
            }
        }
        level.remaining -= 1;
        if level.is_map {
            at = check_key(bytes, at, level, &mut keys)?;
        }
        // The items that fill most messages, without the detour through a token.
        match bytes.get(at) {
            Some(0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff) => {
                at += 1;
                continue;
            }
            Some(marker @ 0xa0..=0xbf) => {
                let end = at + 1 + usize::from(marker & 0x1f);
                if let Some(text) = bytes.get(at + 1..end) {
                    check_text(text, at)?;
                    at = end;
                    continue;
                }
            }
            Some(marker @ 0xca..=0xd3) => {
                let end = at + 1 + usize::from(NUMBER_BYTES[usize::from(marker - 0xca)]);
                if end <= bytes.len() {
                    at = end;
                    continue;
                }
            }
            _ => {}
        }
        let (token, next) = read(bytes, at)?;
        let (count, is_map) = match token {
            Token::Str(text) => {
                check_text(text, at)?;
                at = next;
                continue;
            }
            Token::Array(count) => (count, false),
            Token::Map(count) => (count, true),
            _ => {
                at = next;
                continue;
            }
        };
        if open.len() >= limits.max_depth as usize {
            return Err(Error::new(Kind::TooDeep(limits.max_depth), at));
        }
        elements += u64::from(count) << u32::from(is_map);
        if elements > u64::from(limits.max_elements) {
            return Err(Error::new(Kind::TooManyElements(limits.max_elements), at));
        }
        at = next;
        open.push(level);
        level = Level {
            remaining: count,
            keys_from: keys.len(),
            is_map,
            is_small: count <= SMALL_MAP,
        };
    }
}

/// Reads a key, checks it and files it; the offset after it.
#[inline]
fn check_key(
    bytes: &[u8],
    at: usize,
    level: Level,
    keys: &mut SmallVec<[Key; 24]>,
) -> Result<usize, Error> {
    let (text, next) = key_text(bytes, at)?;
    check_text(text, at)?;
    let digest = digest(text);
    if level.is_small {
        for earlier in &keys[level.keys_from..] {
            if earlier.digest == digest && key_text(bytes, earlier.offset)?.0 == text {
                return Err(Error::new(Kind::DuplicateKey, at));
            }
        }
    }
    keys.push(Key { digest, offset: at });
    Ok(next)
}

#[inline]
fn key_text(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Error> {
    if let Some(marker @ 0xa0..=0xbf) = bytes.get(at) {
        let end = at + 1 + usize::from(marker & 0x1f);
        if let Some(text) = bytes.get(at + 1..end) {
            return Ok((text, end));
        }
    }
    match read(bytes, at)? {
        (Token::Str(text), next) => Ok((text, next)),
        _ => Err(Error::new(Kind::KeyNotString(bytes[at]), at)),
    }
}

#[inline]
fn check_text(text: &[u8], at: usize) -> Result<(), Error> {
    if is_ascii(text) || core::str::from_utf8(text).is_ok() {
        return Ok(());
    }
    Err(Error::new(Kind::InvalidUtf8, at))
}

/// As the library's, but without a call for the short strings that messages are made of: two overlapping words.
#[inline]
fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    match text.len() {
        0..=3 => text.iter().fold(0, |sum, byte| sum | byte) < 0x80,
        4..=7 => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & 0x8080_8080 == 0
            }
            _ => false,
        },
        8..=16 => match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH == 0
            }
            _ => false,
        },
        _ => text.is_ascii(),
    }
}

/// Length, first and last bytes of a key: different for nearly all keys of a real map, never relied on to be.
#[inline]
fn digest(text: &[u8]) -> u64 {
    let length = text.len() as u64;
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return u64::from_le_bytes(*first)
            ^ u64::from_le_bytes(*last).rotate_left(29)
            ^ (length << 56);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first))
            | (u64::from(u32::from_le_bytes(*last)) << 32) ^ (length << 56);
    }
    text.iter()
        .fold(length, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Refuses the first key, in the order of the bytes, that stands here twice.
#[cold]
fn check_sorted(bytes: &[u8], keys: &[Key]) -> Result<(), Error> {
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        texts.push((key_text(bytes, key.offset)?.0, key.offset));
    }
    texts.sort_unstable();
    let repeated = texts
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[1].1)
        .min();
    match repeated {
        Some(offset) => Err(Error::new(Kind::DuplicateKey, offset)),
        None => Ok(()),
    }
}
