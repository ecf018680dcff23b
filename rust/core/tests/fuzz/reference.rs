//! The rules of a value a second time: slow, recursive and obvious, from the specification of msgpack alone.

use std::collections::HashSet;

const MAX_DEPTH: u32 = 128;
const MAX_ELEMENTS: u64 = 1_000_000;

/// Return the bytes after the value at the beginning; None if there is none, or one that the engine refuses.
pub fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    Walk { elements: 0 }.value(bytes, 0)
}

struct Walk {
    elements: u64,
}

impl Walk {
    fn value<'a>(&mut self, bytes: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        let (&marker, rest) = bytes.split_first()?;
        let small = u64::from(marker & 0x0f);
        match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Some(rest),
            0x80..=0x8f => self.map(rest, small, depth),
            0x90..=0x9f => self.array(rest, small, depth),
            0xa0..=0xbf | 0xd9..=0xdb => Some(text(bytes)?.1),
            0xc1 => None,
            0xc4..=0xc6 => {
                let (size, rest) = number(rest, 1 << (marker - 0xc4))?;
                Some(split(rest, size)?.1)
            }
            0xc7..=0xc9 => {
                let (size, rest) = number(rest, 1 << (marker - 0xc7))?;
                extension(rest, size)
            }
            0xca => Some(split(rest, 4)?.1),
            0xcb => Some(split(rest, 8)?.1),
            0xcc..=0xcf => Some(split(rest, 1 << (marker - 0xcc))?.1),
            0xd0..=0xd3 => Some(split(rest, 1 << (marker - 0xd0))?.1),
            0xd4..=0xd8 => extension(rest, 1 << (marker - 0xd4)),
            0xdc | 0xdd => {
                let (count, rest) = number(rest, 2 << (marker - 0xdc))?;
                self.array(rest, count, depth)
            }
            0xde | 0xdf => {
                let (count, rest) = number(rest, 2 << (marker - 0xde))?;
                self.map(rest, count, depth)
            }
        }
    }

    fn enter(&mut self, count: u64, depth: u32) -> Option<()> {
        self.elements += count;
        (depth < MAX_DEPTH && self.elements <= MAX_ELEMENTS).then_some(())
    }

    fn array<'a>(&mut self, mut rest: &'a [u8], count: u64, depth: u32) -> Option<&'a [u8]> {
        self.enter(count, depth)?;
        for _ in 0..count {
            rest = self.value(rest, depth + 1)?;
        }
        Some(rest)
    }

    fn map<'a>(&mut self, mut rest: &'a [u8], count: u64, depth: u32) -> Option<&'a [u8]> {
        self.enter(2 * count, depth)?;
        let mut keys = HashSet::new();
        for _ in 0..count {
            let (key, value) = text(rest)?;
            if !keys.insert(key) {
                return None;
            }
            rest = self.value(value, depth + 1)?;
        }
        Some(rest)
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&marker, rest) = bytes.split_first()?;
    let (size, rest) = match marker {
        0xa0..=0xbf => (u64::from(marker & 0x1f), rest),
        0xd9..=0xdb => number(rest, 1 << (marker - 0xd9))?,
        _ => return None,
    };
    let (text, rest) = split(rest, size)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn extension(bytes: &[u8], size: u64) -> Option<&[u8]> {
    let (&code, rest) = bytes.split_first()?;
    let (data, rest) = split(rest, size)?;
    if code == 0xff {
        let nanoseconds = match data.len() {
            4 => 0,
            8 => number(data, 8)?.0 >> 34,
            12 => number(data, 4)?.0,
            _ => return None,
        };
        if nanoseconds >= 1_000_000_000 {
            return None;
        }
    }
    Some(rest)
}

fn number(bytes: &[u8], width: u64) -> Option<(u64, &[u8])> {
    let (digits, rest) = split(bytes, width)?;
    Some((
        digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | u64::from(*digit)),
        rest,
    ))
}

fn split(bytes: &[u8], size: u64) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::try_from(size).ok()?)
}
