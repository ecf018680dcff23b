//! One item of a value at a time, borrowed from the bytes.

use super::error::{ValueError, ValueFault};

/// One item. Containers are headers only: their elements are the tokens that follow.
///
/// Integers have one variant each number: [`Token::UInt`] is only ever above [`i64::MAX`], whatever the encoding.
///
/// ```
/// use factflow_core::value::{Token, read, skip};
///
/// let bytes = [0x92, 0x01, 0xa1, b'x'];
/// let (token, next) = read(&bytes, 0)?;
/// assert_eq!(token, Token::Array(2));
/// let (token, next) = read(&bytes, next)?;
/// assert_eq!(token, Token::Int(1));
/// assert_eq!(read(&bytes, next)?, (Token::Str(b"x"), 4));
/// assert_eq!(skip(&bytes, 0)?, 4);
/// # Ok::<(), factflow_core::value::ValueError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer above [`i64::MAX`].
    UInt(u64),
    /// A single-precision number; it may be NaN or infinite.
    F32(f32),
    /// A double-precision number; it may be NaN or infinite.
    F64(f64),
    /// Text. UTF-8 if the bytes were validated; [`read`] does not look.
    Str(&'a [u8]),
    /// Bytes.
    Bin(&'a [u8]),
    /// Header of an array of so many values.
    Array(u32),
    /// Header of a map of so many pairs of key and value.
    Map(u32),
    /// An application's extension: its code (never -1) and its bytes.
    Ext(i8, &'a [u8]),
    /// Extension -1: an instant.
    Timestamp {
        /// Whole seconds since the Unix epoch.
        seconds: i64,
        /// 0 to 999,999,999, forward from `seconds`.
        nanoseconds: u32,
    },
}

/// Extension code of timestamps.
pub(super) const TIMESTAMP: i8 = -1;

/// Return `N` bytes at `at` as an array, or the error of an item that began at `start`.
#[inline]
pub(super) fn take<const N: usize>(
    bytes: &[u8],
    start: usize,
    at: usize,
) -> Result<[u8; N], ValueError> {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<N>)
        .copied()
        .ok_or_else(|| ValueError::truncated(start, (at - start + N) as u64, bytes.len() - start))
}

/// Return `length` bytes at `at`, or the error of an item that began at `start`.
#[inline]
pub(super) fn body(
    bytes: &[u8],
    start: usize,
    at: usize,
    length: usize,
) -> Result<(&[u8], usize), ValueError> {
    match at.checked_add(length) {
        Some(end) if end <= bytes.len() => Ok((&bytes[at..end], end)),
        _ => Err(ValueError::truncated(
            start,
            (at - start) as u64 + length as u64,
            bytes.len() - start,
        )),
    }
}

/// Compare a container's count with what remains: `least` bytes are the shortest element.
#[inline]
fn counted(
    bytes: &[u8],
    start: usize,
    at: usize,
    count: u32,
    least: u64,
) -> Result<(u32, usize), ValueError> {
    let needed = u64::from(count) * least;
    if needed > (bytes.len() - at) as u64 {
        return Err(ValueError::truncated(
            start,
            (at - start) as u64 + needed,
            bytes.len() - start,
        ));
    }
    Ok((count, at))
}

/// Return the instant that the bytes of an extension -1 say.
pub(super) fn timestamp<'a>(data: &[u8], start: usize) -> Result<Token<'a>, ValueError> {
    let (seconds, nanoseconds) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(take(data, 0, 0)?)), 0),
        8 => {
            let word = u64::from_be_bytes(take(data, 0, 0)?);
            let nanoseconds = (word >> 34) as u32;
            #[expect(clippy::cast_possible_wrap, reason = "34 bits remain")]
            let seconds = (word & 0x3_ffff_ffff) as i64;
            (seconds, nanoseconds)
        }
        12 => (
            i64::from_be_bytes(take(data, 0, 4)?),
            u32::from_be_bytes(take(data, 0, 0)?),
        ),
        length => {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            return Err(ValueError::new(ValueFault::TimestampLength(length), start));
        }
    };
    if nanoseconds > 999_999_999 {
        return Err(ValueError::new(
            ValueFault::TimestampNanoseconds(nanoseconds),
            start,
        ));
    }
    Ok(Token::Timestamp {
        seconds,
        nanoseconds,
    })
}

#[inline]
fn extension(
    bytes: &[u8],
    start: usize,
    at: usize,
    length: usize,
) -> Result<(Token<'_>, usize), ValueError> {
    let [code] = take(bytes, start, at)?;
    let code = i8::from_be_bytes([code]);
    let (data, end) = body(bytes, start, at + 1, length)?;
    if code == TIMESTAMP {
        return Ok((timestamp(data, start)?, end));
    }
    Ok((Token::Ext(code, data), end))
}

#[inline]
fn unsigned<'a>(number: u64) -> Token<'a> {
    i64::try_from(number).map_or(Token::UInt(number), Token::Int)
}

/// Return the item that begins at `offset`, and the offset after it: the first element's for a container.
///
/// Constant time. Checks lengths, the reserved byte and timestamps; not UTF-8, not keys.
#[inline]
pub fn read(bytes: &[u8], offset: usize) -> Result<(Token<'_>, usize), ValueError> {
    let start = offset;
    let Some(&marker) = bytes.get(start) else {
        return Err(ValueError::truncated(
            start,
            1,
            bytes.len().saturating_sub(start),
        ));
    };
    let at = start + 1;
    match marker {
        0x00..=0x7f => Ok((Token::Int(i64::from(marker)), at)),
        0xa0..=0xbf => {
            let (text, end) = body(bytes, start, at, usize::from(marker & 0x1f))?;
            Ok((Token::Str(text), end))
        }
        0xe0..=0xff => Ok((Token::Int(i64::from(i8::from_be_bytes([marker]))), at)),
        0x80..=0x8f => counted(bytes, start, at, u32::from(marker & 0x0f), 2)
            .map(|(n, at)| (Token::Map(n), at)),
        0x90..=0x9f => counted(bytes, start, at, u32::from(marker & 0x0f), 1)
            .map(|(n, at)| (Token::Array(n), at)),
        0xc0 => Ok((Token::Nil, at)),
        0xc1 => Err(ValueError::new(ValueFault::ReservedByte, start)),
        0xc2 => Ok((Token::Bool(false), at)),
        0xc3 => Ok((Token::Bool(true), at)),
        0xca => take(bytes, start, at).map(|word| (Token::F32(f32::from_be_bytes(word)), at + 4)),
        0xcb => take(bytes, start, at).map(|word| (Token::F64(f64::from_be_bytes(word)), at + 8)),
        0xcc => take(bytes, start, at).map(|[byte]| (Token::Int(i64::from(byte)), at + 1)),
        0xcd => take(bytes, start, at)
            .map(|word| (Token::Int(i64::from(u16::from_be_bytes(word))), at + 2)),
        0xce => take(bytes, start, at)
            .map(|word| (Token::Int(i64::from(u32::from_be_bytes(word))), at + 4)),
        0xcf => take(bytes, start, at).map(|word| (unsigned(u64::from_be_bytes(word)), at + 8)),
        0xd0 => take(bytes, start, at)
            .map(|word| (Token::Int(i64::from(i8::from_be_bytes(word))), at + 1)),
        0xd1 => take(bytes, start, at)
            .map(|word| (Token::Int(i64::from(i16::from_be_bytes(word))), at + 2)),
        0xd2 => take(bytes, start, at)
            .map(|word| (Token::Int(i64::from(i32::from_be_bytes(word))), at + 4)),
        0xd3 => take(bytes, start, at).map(|word| (Token::Int(i64::from_be_bytes(word)), at + 8)),
        0xd4..=0xd8 => extension(bytes, start, at, 1 << (marker - 0xd4)),
        _ => sized(bytes, start, marker),
    }
}

/// Read items whose length is a number of its own: str, bin, ext, array and map of 8, 16 and 32 bits.
fn sized(bytes: &[u8], start: usize, marker: u8) -> Result<(Token<'_>, usize), ValueError> {
    let at = start + 1;
    // The width of the length field, by marker; str, bin and ext have three each, array and map two.
    let (length, at) = match marker {
        0xc4 | 0xc7 | 0xd9 => take(bytes, start, at).map(|[byte]| (u32::from(byte), at + 1)),
        0xc5 | 0xc8 | 0xda | 0xdc | 0xde => {
            take(bytes, start, at).map(|word| (u32::from(u16::from_be_bytes(word)), at + 2))
        }
        _ => take(bytes, start, at).map(|word| (u32::from_be_bytes(word), at + 4)),
    }?;
    match marker {
        0xdc | 0xdd => counted(bytes, start, at, length, 1).map(|(n, at)| (Token::Array(n), at)),
        0xde | 0xdf => counted(bytes, start, at, length, 2).map(|(n, at)| (Token::Map(n), at)),
        0xc7..=0xc9 => extension(bytes, start, at, length as usize),
        0xd9..=0xdb => {
            body(bytes, start, at, length as usize).map(|(text, end)| (Token::Str(text), end))
        }
        _ => body(bytes, start, at, length as usize).map(|(data, end)| (Token::Bin(data), end)),
    }
}

/// Return the offset after the whole value that begins at `offset`, however deep it is.
///
/// Linear in the value's tokens, without a stack: only the number of values still to come is kept.
#[inline]
pub fn skip(bytes: &[u8], offset: usize) -> Result<usize, ValueError> {
    let mut at = offset;
    // Cannot overflow: every count was found to fit in the bytes that remain.
    let mut pending: u64 = 1;
    while pending > 0 {
        let (token, next) = read(bytes, at)?;
        at = next;
        pending -= 1;
        match token {
            Token::Array(count) => pending += u64::from(count),
            Token::Map(count) => pending += 2 * u64::from(count),
            _ => {}
        }
    }
    Ok(at)
}
