//! One frame: its prefix, its checksum, and the two values in it.

use super::error::{FrameError, FrameFault};
use super::header::Header;
use crate::value::{Limits, validate};

/// Bytes before the header.
pub const PREFIX_BYTES: usize = 10;
/// Most bytes of a frame unless its reader says otherwise: 64 MiB.
pub const DEFAULT_MAX_BYTES: u64 = 64 << 20;
/// Most bytes of a message's payload where messages are made: 62 MiB. With the bounds of headers and key it is so far
/// below the bound of a frame that whatever was made can be read, and a dead letter with more headers, too.
pub const MAX_PAYLOAD_BYTES: usize = 62 << 20;
/// Most bytes of a message's headers where messages are made: 512 KiB.
pub const MAX_HEADERS_BYTES: usize = 512 << 10;
/// Most bytes of a message's key where messages are made: 64 KiB.
pub const MAX_KEY_BYTES: usize = 64 << 10;

const FORMAT: u8 = 0xc1;
/// Offset of the checksum, and end of the part of the prefix that it covers.
const CHECKSUM_AT: usize = 6;

/// A frame that was read: borrowed from the bytes.
///
/// ```
/// use factflow_core::frames::{DEFAULT_MAX_BYTES, Header, decode, encode};
/// use factflow_core::value::Limits;
///
/// let id = [7; 16];
/// let header = Header {
///     message_id: id, correlation_id: id, parent_id: None, attempt: 1, time_ns: 0, key: Some("user-1"), headers: None,
/// };
/// let mut bytes = Vec::new();
/// encode(&mut bytes, &header, &[0xc3])?;
/// let frame = decode(&bytes, DEFAULT_MAX_BYTES, &Limits::DEFAULT)?;
/// assert_eq!((frame.header, frame.payload), (header, &[0xc3][..]));
/// # Ok::<(), factflow_core::frames::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// Ids, attempt, time, key, headers.
    pub header: Header<'a>,
    /// One valid msgpack value.
    pub payload: &'a [u8],
}

/// Append a frame. `payload` is one valid value: the caller made or validated it.
///
/// Fails only if header and payload together are longer than 32 bits can say.
pub fn encode(out: &mut Vec<u8>, header: &Header<'_>, payload: &[u8]) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[FORMAT, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.write(out);
    out.extend_from_slice(payload);
    let body = out.len() - start - PREFIX_BYTES;
    let Ok(length) = u32::try_from(body) else {
        out.truncate(start);
        return Err(FrameError::new(
            FrameFault::TooLarge {
                declared: body as u64,
                limit: u64::from(u32::MAX),
            },
            0,
        ));
    };
    let frame = &mut out[start..];
    frame[2..CHECKSUM_AT].copy_from_slice(&length.to_be_bytes());
    let checksum = checksum(frame);
    frame[CHECKSUM_AT..PREFIX_BYTES].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Return the one frame that the bytes are. Everything is checked, the payload too.
pub fn decode<'a>(
    bytes: &'a [u8],
    max_bytes: u64,
    limits: &Limits,
) -> Result<FrameRef<'a>, FrameError> {
    let Some(length) = measure(bytes, max_bytes)?.filter(|length| *length <= bytes.len()) else {
        return Err(truncated(bytes));
    };
    let frame = open(&bytes[..length], *limits)?;
    if bytes.len() > length {
        return Err(FrameError::new(
            FrameFault::TrailingBytes((bytes.len() - length) as u64),
            length as u64,
        ));
    }
    Ok(frame)
}

/// Return the header of a frame that may be cut off behind it, and how many bytes its payload has.
///
/// The header is checked, and neither the payload nor the checksum, which needs the whole frame.
///
/// ```
/// use factflow_core::frames::{DEFAULT_MAX_BYTES, Header, encode, peek};
/// use factflow_core::value::Limits;
///
/// let id = [7; 16];
/// let header = Header {
///     message_id: id, correlation_id: id, parent_id: None, attempt: 1, time_ns: 0, key: Some("user-1"), headers: None,
/// };
/// let mut bytes = Vec::new();
/// encode(&mut bytes, &header, &[0xc3])?;
/// let beginning = &bytes[..bytes.len() - 1];
/// assert_eq!(peek(beginning, DEFAULT_MAX_BYTES, Limits::DEFAULT)?, (header, 1));
/// # Ok::<(), factflow_core::frames::FrameError>(())
/// ```
pub fn peek(
    bytes: &[u8],
    max_bytes: u64,
    limits: Limits,
) -> Result<(Header<'_>, usize), FrameError> {
    let Some(length) = measure(bytes, max_bytes)? else {
        return Err(truncated(bytes));
    };
    let body = &bytes[PREFIX_BYTES..bytes.len().min(length)];
    let (header, end) = Header::read(body, limits).map_err(|error| {
        if bytes.len() < length && error.is_of_cut_value() {
            truncated(bytes)
        } else {
            error.within(PREFIX_BYTES as u64)
        }
    })?;
    Ok((header, length - PREFIX_BYTES - end))
}

/// Return how many bytes the frame at the beginning of `bytes` has; None while its prefix is not complete.
///
/// Refuses what is no frame, or too large, as early as the bytes show it.
pub(super) fn measure(bytes: &[u8], max_bytes: u64) -> Result<Option<usize>, FrameError> {
    match bytes {
        [] => return Ok(None),
        [format, ..] if *format != FORMAT => {
            return Err(FrameError::new(FrameFault::Format(*format), 0));
        }
        [_, flags, ..] if *flags != 0 => return Err(FrameError::new(FrameFault::Flags(*flags), 1)),
        _ => {}
    }
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let [_, _, a, b, c, d, ..] = *prefix;
    let declared = u64::from(u32::from_be_bytes([a, b, c, d])) + PREFIX_BYTES as u64;
    match usize::try_from(declared) {
        Ok(length) if declared <= max_bytes => Ok(Some(length)),
        _ => Err(FrameError::new(
            FrameFault::TooLarge {
                declared,
                limit: max_bytes,
            },
            2,
        )),
    }
}

/// Return the frame that fills `bytes`, whose prefix was measured.
pub(super) fn open(bytes: &[u8], limits: Limits) -> Result<FrameRef<'_>, FrameError> {
    let Some((prefix, body)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(truncated(bytes));
    };
    let [.., a, b, c, d] = *prefix;
    let (declared, computed) = (u32::from_be_bytes([a, b, c, d]), checksum(bytes));
    if declared != computed {
        return Err(FrameError::new(
            FrameFault::Checksum { declared, computed },
            CHECKSUM_AT as u64,
        ));
    }
    let (header, end) =
        Header::read(body, limits).map_err(|error| error.within(PREFIX_BYTES as u64))?;
    let payload = &body[end..];
    validate(payload, &limits)
        .map_err(|error| FrameError::of_value(error).within((PREFIX_BYTES + end) as u64))?;
    Ok(FrameRef { header, payload })
}

pub(super) fn truncated(bytes: &[u8]) -> FrameError {
    let needed = match measure(bytes, u64::MAX) {
        Ok(Some(length)) => length,
        _ => PREFIX_BYTES,
    };
    FrameError::new(
        FrameFault::Truncated {
            needed: needed as u64,
            remaining: bytes.len() as u64,
        },
        0,
    )
}

/// Return the checksum of everything but its own four bytes.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c(&frame[..CHECKSUM_AT]),
        &frame[PREFIX_BYTES..],
    )
}
