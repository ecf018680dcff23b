//! Any bytes as a value: refused or accepted as the reference does, and read without panic or greed in both cases.

use factflow_core::value::{Limits, ValueError, excerpt, read, skip, validate, validate_at};

use crate::allocations::peak_of;
use crate::reference::after_value;

/// Pieces of msgpack that are easily wrong.
pub const WORDS: &[&[u8]] = &[
    &[0xc0],
    &[0xc1],
    &[0xc2],
    &[0x80],
    &[0x90],
    &[0x91],
    &[0x81, 0xa0],
    &[0xa0],
    &[0xa1, b'a'],
    &[0xd9, 1, b'a'],
    &[0xda, 0, 1, b'a'],
    &[0xdb, 0, 0, 0, 1, b'a'],
    &[0xdb, 0xff, 0xff, 0xff, 0xff],
    &[0xc4, 0],
    &[0xc6, 0xff, 0xff, 0xff, 0xff],
    &[0xca, 0x7f, 0xc0, 0, 0],
    &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xd0, 0x80],
    &[0xd6, 0xff, 0, 0, 0, 0],
    &[0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    &[0xc7, 12, 0xff],
    &[0xc7, 0, 5],
    &[0xd4, 5, 0],
    &[0xdc, 0, 1],
    &[0xdd, 0, 0, 0, 1],
    &[0xdd, 0xff, 0xff, 0xff, 0xff],
    &[0xde, 0, 1],
    &[0xdf, 0, 0, 0, 1],
    &[0xdf, 0x7f, 0xff, 0xff, 0xff],
    &[0xa2, 0xc3, 0xa9],
    &[0xa2, 0xc3, 0x28],
    &[0xa3, 0xed, 0xa0, 0x80],
    &[0xa4, 0xf0, 0x9f, 0x98, 0x80],
    &[
        0xb0, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'a', b'b', b'c', b'd', b'e', b'f',
        b'g', b'h',
    ],
    &[
        0xb1, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'a', b'b', b'c', b'd', b'e', b'f',
        b'g', b'h', b'i',
    ],
];

/// Return values to begin with: small ones, a map of many keys, and nested ones.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = WORDS.iter().map(|word| word.to_vec()).collect();
    let keys = |count: u8| (0..count).flat_map(|key| [0xa2, b'k', b'0' + key, key]);
    seeds.push([0x8f].into_iter().chain(keys(15)).collect());
    seeds.push([0xde, 0, 40].into_iter().chain(keys(40)).collect());
    seeds.push([vec![0x91; 127], vec![0x90]].concat());
    seeds.push([[0x81, 0xa0].repeat(100), vec![0xc0]].concat());
    seeds.push(
        b"\x83\xa1a\x01\xa1b\x92\xa3xyz\xcb\x3f\xf0\0\0\0\0\0\0\xa1c\x81\xa1d\xc4\x02hi".to_vec(),
    );
    seeds
}

/// Most bytes that checking a value may hold, in proportion to the bytes: of a key that takes two bytes and its value
/// one, 16 bytes are filed, twice while the list grows, and 24 where a large map sorts its keys.
pub const fn most_memory(length: usize) -> usize {
    64 * length + 16_384
}

/// Check everything that must hold for any bytes; return in which way they end.
pub fn check(bytes: &[u8]) -> String {
    let (end, peak) = peak_of(|| validate_at(bytes, 0, &Limits::DEFAULT));
    assert!(
        peak <= most_memory(bytes.len()),
        "{peak} bytes were held for {}",
        bytes.len()
    );
    let expected = after_value(bytes).map(|rest| bytes.len() - rest.len());
    assert_eq!(
        end.ok(),
        expected,
        "accepted by one, and not by the other: {end:?}"
    );
    assert_eq!(
        validate(bytes, &Limits::DEFAULT).is_ok(),
        expected == Some(bytes.len())
    );
    read_without_checking(bytes);
    match end {
        Ok(end) => {
            assert_eq!(skip(bytes, 0), Ok(end));
            assert_eq!(validate_at(&bytes[..end], 0, &Limits::DEFAULT), Ok(end));
            if let Some(shorter) = end.checked_sub(1) {
                let cut = validate_at(&bytes[..shorter], 0, &Limits::DEFAULT);
                assert!(
                    cut.is_err_and(|error| error.is_truncated()),
                    "a cut value was read"
                );
            }
            shape(bytes, end)
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len(), "{error} is behind the end");
            kind(&error)
        }
    }
}

/// Read bytes that nobody checked: any answer, and no panic.
fn read_without_checking(bytes: &[u8]) {
    for at in 0..bytes.len().min(64) {
        if let Ok((_, next)) = read(bytes, at) {
            assert!(at < next && next <= bytes.len());
        }
    }
    let (_, peak) = peak_of(|| (skip(bytes, 0), excerpt(bytes, 0, 60)));
    assert!(
        peak <= most_memory(bytes.len()),
        "{peak} bytes were held to show {}",
        bytes.len()
    );
}

/// Return an error's kind: its text without the numbers.
pub fn kind(error: &ValueError) -> String {
    error
        .to_string()
        .chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect()
}

/// Return which kinds of bytes a value has, and about how long it is.
fn shape(bytes: &[u8], end: usize) -> String {
    let markers = bytes[..end]
        .iter()
        .fold(0_u32, |seen, byte| seen | 1 << (byte >> 3));
    format!("{markers:x} {}", end.max(1).ilog2())
}
