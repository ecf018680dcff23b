//! The check that untrusted bytes pass once, at ingress, so that nothing behind it needs to check again.
//!
//! One pass with a stack of its own. Duplicate keys: the keys of the maps that are open lie in one arena, those of the
//! innermost map last; a small map has a mask of 64 bits, one for each key that it had, and looks at its earlier keys
//! only if a new one's bit is taken; a map with more than [`SMALL_MAP`] entries sorts its keys once, when it ends. The
//! sort compares at most `n log n` keys and a comparison costs no more than the shorter key: `O(bytes * log bytes)` for
//! the worst input. Neither allocates for messages of ordinary shape.
//!
//! Messages are made of short strings and numbers, and each item's place depends on the one before: so these are taken
//! in a few instructions, without a token, a call or a branch on a string's length; [`other`] takes all else.

use smallvec::SmallVec;

use super::error::{ValueError, ValueFault};
use super::token::{Token, read};

/// Maps up to this many entries compare keys pairwise.
const SMALL_MAP: u32 = 24;

/// Bounds on what a value may ask of its readers.
///
/// ```
/// use factflow_core::value::{Limits, validate};
///
/// let flat = Limits { max_depth: 1, ..Limits::DEFAULT };
/// assert!(validate(&[0x91, 0x01], &flat).is_ok());
/// let error = validate(&[0x91, 0x90], &flat).unwrap_err();
/// assert_eq!(error.to_string(), "expected at most 1 nested containers, got one more (at byte 1)");
/// ```
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
struct OpenContainer {
    /// Values still to come; for a map, pairs.
    remaining: u32,
    /// Index of the map's first key in the arena.
    keys_from: usize,
    /// The bits of the map's keys.
    seen: u64,
    is_map: bool,
    is_small: bool,
}

/// A key of an open map.
#[derive(Clone, Copy)]
struct SeenKey {
    digest: u64,
    /// Offset of its marker: the text is read again if another key has the same digest.
    offset: usize,
}

/// Check that the bytes are exactly one value within the limits.
pub fn validate(bytes: &[u8], limits: &Limits) -> Result<(), ValueError> {
    let end = validate_at(bytes, 0, limits)?;
    if end < bytes.len() {
        return Err(ValueError::new(
            ValueFault::TrailingBytes((bytes.len() - end) as u64),
            end,
        ));
    }
    Ok(())
}

/// Return the offset after the value that begins at `offset`, if it is one within the limits; what follows it is not
/// read.
pub fn validate_at(bytes: &[u8], offset: usize, limits: &Limits) -> Result<usize, ValueError> {
    let mut at = offset;
    let mut elements: u64 = 0;
    let mut keys: SmallVec<[SeenKey; 24]> = SmallVec::new();
    let mut open: SmallVec<[OpenContainer; 12]> = SmallVec::new();
    // The innermost open container. The outermost "container" is a list of the one value.
    let mut level = OpenContainer {
        remaining: 1,
        keys_from: 0,
        seen: 0,
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
            at = check_key(bytes, at, &mut level, &mut keys)?;
        }
        if let Some(end) = past_short(bytes, at) {
            at = end;
            continue;
        }
        let (next, count, is_map) = match short_container(bytes, at) {
            Some((count, is_map)) => (at + 1, count, is_map),
            None => match other(bytes, at)? {
                (next, Some((count, is_map))) => (next, count, is_map),
                (next, None) => {
                    at = next;
                    continue;
                }
            },
        };
        if open.len() >= limits.max_depth as usize {
            return Err(ValueError::new(ValueFault::TooDeep(limits.max_depth), at));
        }
        elements += u64::from(count) << u32::from(is_map);
        if elements > u64::from(limits.max_elements) {
            return Err(ValueError::new(
                ValueFault::TooManyElements(limits.max_elements),
                at,
            ));
        }
        at = next;
        open.push(level);
        level = OpenContainer {
            remaining: count,
            keys_from: keys.len(),
            seen: 0,
            is_map,
            is_small: count <= SMALL_MAP,
        };
    }
}

/// Return the offset after a scalar of a common kind; nothing if it is another, not all there, or something is wrong
/// with it.
#[inline]
fn past_short(bytes: &[u8], at: usize) -> Option<usize> {
    let end = match *bytes.get(at)? {
        marker @ 0xa0..=0xbf => {
            let length = usize::from(marker & 0x1f);
            if !is_short_ascii(bytes, at + 1, length)?
                && !is_text(bytes.get(at + 1..at + 1 + length)?)
            {
                return None;
            }
            at + 1 + length
        }
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => at + 1,
        0xcb | 0xcf | 0xd3 => at + 9,
        0xca | 0xce | 0xd2 => at + 5,
        0xcd | 0xd1 => at + 3,
        0xcc | 0xd0 => at + 2,
        _ => return None,
    };
    (end <= bytes.len()).then_some(end)
}

/// Return the number of elements of a container of up to fifteen, if so many may follow, and whether it is a map.
#[inline]
fn short_container(bytes: &[u8], at: usize) -> Option<(u32, bool)> {
    let marker = *bytes.get(at)?;
    let is_map = marker & 0xf0 == 0x80;
    let count = usize::from(marker & 0x0f);
    ((is_map || marker & 0xf0 == 0x90) && count << u32::from(is_map) < bytes.len() - at)
        .then_some((u32::from(marker & 0x0f), is_map))
}

/// Check any item; return the offset after it, which for a container is its first element's, and for a container how
/// many elements it has, and whether it is a map.
#[inline(never)]
fn other(bytes: &[u8], at: usize) -> Result<(usize, Option<(u32, bool)>), ValueError> {
    let (token, next) = read(bytes, at)?;
    let container = match token {
        Token::Str(text) => {
            check_text(text, at)?;
            None
        }
        Token::Array(count) => Some((count, false)),
        Token::Map(count) => Some((count, true)),
        _ => None,
    };
    Ok((next, container))
}

/// Read a key, check it and file it; return the offset after it.
#[inline]
fn check_key(
    bytes: &[u8],
    at: usize,
    level: &mut OpenContainer,
    keys: &mut SmallVec<[SeenKey; 24]>,
) -> Result<usize, ValueError> {
    let (digest, next) = match short_key(bytes, at) {
        Some(key) => key,
        None => any_key(bytes, at)?,
    };
    let bit = 1 << (digest.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
    if level.is_small && level.seen & bit != 0 {
        refuse_known(bytes, at, digest, &keys[level.keys_from..])?;
    }
    level.seen |= bit;
    keys.push(SeenKey { digest, offset: at });
    Ok(next)
}

/// Return the digest and end of a key of up to sixteen bytes that does not end the message.
#[inline]
fn short_key(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let marker = *bytes.get(at)?;
    let length = usize::from(marker & 0x1f);
    if !(0xa0..=0xb0).contains(&marker) {
        return None;
    }
    let (first, second) = words(bytes, at + 1, length)?;
    let end = at + 1 + length;
    if (first | second) & HIGH != 0 && !is_text(bytes.get(at + 1..end)?) {
        return None;
    }
    Some((digest(first, second, length), end))
}

/// Return the same for any key.
#[inline(never)]
fn any_key(bytes: &[u8], at: usize) -> Result<(u64, usize), ValueError> {
    let (text, next) = key_text(bytes, at)?;
    check_text(text, at)?;
    let mut ends = [0; 16];
    for (end, byte) in ends.iter_mut().zip(text) {
        *end = *byte;
    }
    let word = |half: &[u8]| {
        half.first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word))
    };
    Ok((digest(word(&ends), word(&ends[8..]), text.len()), next))
}

fn key_text(bytes: &[u8], at: usize) -> Result<(&[u8], usize), ValueError> {
    match read(bytes, at)? {
        (Token::Str(text), next) => Ok((text, next)),
        _ => Err(ValueError::new(ValueFault::KeyNotString(bytes[at]), at)),
    }
}

/// Refuse a key that is one of the earlier ones.
#[inline(never)]
fn refuse_known(
    bytes: &[u8],
    at: usize,
    digest: u64,
    earlier: &[SeenKey],
) -> Result<(), ValueError> {
    for key in earlier {
        if key.digest == digest && key_text(bytes, key.offset)?.0 == key_text(bytes, at)?.0 {
            return Err(ValueError::new(ValueFault::DuplicateKey, at));
        }
    }
    Ok(())
}

fn check_text(text: &[u8], at: usize) -> Result<(), ValueError> {
    if is_text(text) {
        return Ok(());
    }
    Err(ValueError::new(ValueFault::InvalidUtf8, at))
}

#[inline(never)]
fn is_text(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok()
}

/// The bit that no byte of ASCII has.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Return up to sixteen bytes as two words, with zeros for what is behind them; nothing if the message ends too soon to
/// read both words.
#[inline]
fn words(bytes: &[u8], at: usize, length: usize) -> Option<(u64, u64)> {
    let [first, second] = [at, at + 8].map(|at| bytes.get(at..).and_then(<[u8]>::first_chunk));
    let (first, second) = (u64::from_le_bytes(*first?), u64::from_le_bytes(*second?));
    let low = if length < 8 {
        (1 << (8 * length)) - 1
    } else {
        u64::MAX
    };
    let high = if length > 8 {
        u64::MAX >> ((128 - 8 * length) & 63)
    } else {
        0
    };
    Some((first & low, second & high))
}

/// True if up to 31 bytes are ASCII; nothing if the message ends too soon to look at them in words.
#[inline]
fn is_short_ascii(bytes: &[u8], at: usize, length: usize) -> Option<bool> {
    if length <= 16 {
        let (first, second) = words(bytes, at, length)?;
        return Some((first | second) & HIGH == 0);
    }
    let text = bytes.get(at..at + length)?;
    let (first, last) = (text.first_chunk()?, text.last_chunk()?);
    let high = u128::from(HIGH) << 64 | u128::from(HIGH);
    Some((u128::from_ne_bytes(*first) | u128::from_ne_bytes(*last)) & high == 0)
}

/// Return the digest of a key's first sixteen bytes and its length: different for nearly all keys of a real map, never
/// relied on to be.
#[inline]
const fn digest(first: u64, second: u64, length: usize) -> u64 {
    first ^ second.rotate_left(29) ^ (length as u64) << 56
}

/// Refuse the first key, in the order of the bytes, that stands here twice.
#[cold]
fn check_sorted(bytes: &[u8], keys: &[SeenKey]) -> Result<(), ValueError> {
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
        Some(offset) => Err(ValueError::new(ValueFault::DuplicateKey, offset)),
        None => Ok(()),
    }
}
