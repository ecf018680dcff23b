//! Writer of msgpack, each item in its shortest form.
//!
//! Free functions over a `Vec<u8>`: the writer knows the shape, so there is no tree to build first.

/// Append nil.
#[inline]
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Append a truth value.
#[inline]
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Append an unsigned integer.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range of each arm fits"
)]
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => marked(out, 0xcd, (value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => marked(out, 0xce, (value as u32).to_be_bytes()),
        _ => marked(out, 0xcf, value.to_be_bytes()),
    }
}

/// Append an integer.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range of each arm fits"
)]
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    match value {
        0.. => write_uint(out, value.unsigned_abs()),
        -0x20..=-1 => out.extend_from_slice(&(value as i8).to_be_bytes()),
        -0x80..=-0x21 => marked(out, 0xd0, (value as i8).to_be_bytes()),
        -0x8000..=-0x81 => marked(out, 0xd1, (value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => marked(out, 0xd2, (value as i32).to_be_bytes()),
        _ => marked(out, 0xd3, value.to_be_bytes()),
    }
}

/// Append a double-precision number; its bits survive, NaN included.
#[inline]
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    marked(out, 0xcb, value.to_be_bytes());
}

/// Append text. Longer than `u32::MAX` bytes is not expressible: the caller has bounded it.
#[inline]
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    let length = length_of(text.len());
    #[expect(clippy::cast_possible_truncation, reason = "below 32")]
    if length < 32 {
        out.push(0xa0 | length as u8);
    } else {
        sized(out, length, [0xd9, 0xda, 0xdb]);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Append bytes. Longer than `u32::MAX` is not expressible: the caller has bounded it.
#[inline]
pub fn write_bin(out: &mut Vec<u8>, data: &[u8]) {
    sized(out, length_of(data.len()), [0xc4, 0xc5, 0xc6]);
    out.extend_from_slice(data);
}

/// Append the header of an array; so many values must follow.
#[inline]
pub fn write_array_len(out: &mut Vec<u8>, count: u32) {
    container(out, count, 0x90, 0xdc);
}

/// Append the header of a map; so many pairs must follow.
#[inline]
pub fn write_map_len(out: &mut Vec<u8>, count: u32) {
    container(out, count, 0x80, 0xde);
}

/// Append an application's extension. Code -1 belongs to [`write_timestamp`].
pub fn write_ext(out: &mut Vec<u8>, code: i8, data: &[u8]) {
    match data.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        length => sized(out, length_of(length), [0xc7, 0xc8, 0xc9]),
    }
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(data);
}

/// Append an instant. `nanoseconds` is below a billion: the caller has checked it.
pub fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanoseconds: u32) {
    debug_assert!(
        nanoseconds < 1_000_000_000,
        "a timestamp counts forward from its second"
    );
    match (u32::try_from(seconds), u64::try_from(seconds)) {
        (Ok(short), _) if nanoseconds == 0 => write_ext(out, -1, &short.to_be_bytes()),
        (_, Ok(long)) if long < 1 << 34 => {
            write_ext(
                out,
                -1,
                &(u64::from(nanoseconds) << 34 | long).to_be_bytes(),
            );
        }
        _ => {
            let mut data = [0; 12];
            data[..4].copy_from_slice(&nanoseconds.to_be_bytes());
            data[4..].copy_from_slice(&seconds.to_be_bytes());
            write_ext(out, -1, &data);
        }
    }
}

/// One write of marker and number: a single length check of the vector.
#[inline]
fn marked<const N: usize>(out: &mut Vec<u8>, marker: u8, word: [u8; N]) {
    let mut item = [marker; 9];
    item[1..=N].copy_from_slice(&word);
    out.extend_from_slice(&item[..=N]);
}

#[inline]
fn length_of(length: usize) -> u32 {
    debug_assert!(u32::try_from(length).is_ok(), "bounded by the caller");
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range of each arm fits"
)]
fn sized(out: &mut Vec<u8>, length: u32, markers: [u8; 3]) {
    match length {
        0..=0xff => out.extend_from_slice(&[markers[0], length as u8]),
        0x100..=0xffff => marked(out, markers[1], (length as u16).to_be_bytes()),
        _ => marked(out, markers[2], length.to_be_bytes()),
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range of each arm fits"
)]
fn container(out: &mut Vec<u8>, count: u32, fix: u8, marker: u8) {
    match count {
        0..=0xf => out.push(fix | count as u8),
        0x10..=0xffff => marked(out, marker, (count as u16).to_be_bytes()),
        _ => marked(out, marker + 1, count.to_be_bytes()),
    }
}
