//! Any bytes as frames: read by the three readers alike, written again the same, and never greedily.
//!
//! The first byte says how to take the others: as they are, or as a body that is given the right length and checksum,
//! without which next to no mutation would get behind them.

use factflow_core::frames::{
    DEFAULT_MAX_BYTES, Decoder, FrameError, FrameRef, decode, encode, peek,
};
use factflow_core::value::Limits;

use crate::allocations::peak_of;
use crate::reference::after_value;
use crate::values::most_memory;

const AS_IT_IS: u8 = 0;
const ID: [u8; 18] = [
    0xc4, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];

/// Return frames to begin with, open and sealed.
pub fn seeds() -> Vec<Vec<u8>> {
    let bodies = [
        [&[0x97], &ID[..], &[0xc0, 0xc0, 1, 0, 0xc0, 0xc0, 0xc0]].concat(),
        [
            &[0x97],
            &ID[..],
            &ID[..],
            &ID[..],
            &[0xcd, 1, 0],
            &[0xd3, 0x18, 0, 0, 0, 0, 0, 0, 0],
            b"\xa3key\x81\xa1h\x91\x01",
            b"\x82\xa1a\x01\xa1b\x92\xc3\xa1x",
        ]
        .concat(),
        [
            &[0xdd, 0, 0, 0, 7],
            &ID[..],
            &[
                0xc0, 0xc0, 0xce, 0, 0, 0, 1, 0xff, 0xd9, 1, b'k', 0x80, 0x90,
            ],
        ]
        .concat(),
    ];
    let sealed = bodies.iter().map(|body| sealed(body));
    let open: Vec<Vec<u8>> = sealed
        .map(|frame| [&[AS_IT_IS], &frame[..]].concat())
        .collect();
    let twice = [&open[0][..], &open[1][1..]].concat();
    let closed = bodies.iter().map(|body| [&[1], &body[..]].concat());
    closed.chain(open.clone()).chain([twice]).collect()
}

/// Return the frame of a body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xc1, 0];
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&frame), body);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn read(bytes: &[u8]) -> Result<FrameRef<'_>, FrameError> {
    decode(bytes, DEFAULT_MAX_BYTES, &Limits::DEFAULT)
}

/// Check everything that must hold for any bytes; return in which way they end.
pub fn check(input: &[u8]) -> String {
    let Some((&how, rest)) = input.split_first() else {
        return String::new();
    };
    let bytes = if how == AS_IT_IS {
        rest.to_vec()
    } else {
        sealed(rest)
    };
    let (decoded, peak) = peak_of(|| read(&bytes));
    assert!(
        peak <= most_memory(bytes.len()),
        "{peak} bytes were held for {}",
        bytes.len()
    );
    assert!(
        how == AS_IT_IS || !decoded.is_err_and(|error| error.is_truncated()),
        "a sealed frame lacks nothing"
    );
    streamed(&bytes, decoded);
    for cut in [bytes.len(), bytes.len() / 2, bytes.len().saturating_sub(1)] {
        peeked(&bytes[..cut], cut == bytes.len(), decoded);
    }
    match decoded {
        Ok(frame) => {
            assert_eq!(
                after_value(frame.payload),
                Some(&[][..]),
                "the payload is no value"
            );
            assert!(
                frame
                    .header
                    .headers
                    .is_none_or(|map| after_value(map) == Some(&[][..])),
                "the headers are no value"
            );
            written_again(&frame, bytes.len());
            cut_short(&bytes);
            let header = frame.header;
            let parts = (
                header.parent_id.is_some(),
                header.key.map(str::len),
                header.headers.map(<[u8]>::len),
            );
            format!("{parts:?} {} {}", header.attempt.ilog2(), frame.payload[0])
        }
        Err(error) => {
            assert!(
                error.offset() <= bytes.len() as u64,
                "{error} is behind the end"
            );
            error
                .to_string()
                .chars()
                .filter(|letter| !letter.is_ascii_hexdigit())
                .collect()
        }
    }
}

/// Check that what was read is written as a frame that says the same, and no longer than it was.
fn written_again(frame: &FrameRef<'_>, length: usize) {
    let mut bytes = Vec::new();
    assert_eq!(encode(&mut bytes, &frame.header, frame.payload), Ok(()));
    assert!(bytes.len() <= length);
    assert_eq!(read(&bytes), Ok(*frame));
    let mut again = vec![7];
    assert_eq!(encode(&mut again, &frame.header, frame.payload), Ok(()));
    assert_eq!(again[1..], bytes);
}

/// Check that a frame's beginnings lack something, and are nothing else.
fn cut_short(bytes: &[u8]) {
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 40) {
        assert!(
            read(&bytes[..end]).is_err_and(|error| error.is_truncated()),
            "cut at {end}"
        );
    }
}

/// Check that a stream which comes in pieces gives the same, and the same error at the same byte.
fn streamed(bytes: &[u8], decoded: Result<FrameRef<'_>, FrameError>) {
    let mut stream = Decoder::new(DEFAULT_MAX_BYTES, Limits::DEFAULT);
    let (mut frames, mut error) = (0, None);
    let first_end = decoded.err().map(|error| error.offset());
    for piece in bytes.chunks(1 + bytes.len() / 3) {
        stream.feed(piece);
        loop {
            match stream.next_frame() {
                Ok(Some(frame)) => {
                    frames += 1;
                    assert!(decoded.is_err() || decoded == Ok(frame));
                }
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
    }
    let ended = stream.finish();
    assert!(
        error.is_none() || ended.err() == error,
        "corruption is for ever"
    );
    match decoded {
        Ok(_) => assert_eq!((frames, ended), (1, Ok(()))),
        Err(one) if one.is_truncated() => {
            assert_eq!(frames, 0);
            assert!(bytes.is_empty() || ended.is_err_and(|error| error.is_truncated()));
        }
        // More bytes behind a frame: of another one, or of none.
        Err(_) if frames > 0 => assert!(first_end > Some(0)),
        Err(one) => assert_eq!(ended, Err(one)),
    }
    assert!(error.is_some() || ended.is_err() || stream.pending_bytes() == 0);
}

/// Check that a look at the header of a frame, which may be cut, says what the whole frame says.
fn peeked(bytes: &[u8], is_whole: bool, decoded: Result<FrameRef<'_>, FrameError>) {
    let found = peek(bytes, DEFAULT_MAX_BYTES, Limits::DEFAULT);
    match (decoded, found) {
        (Ok(frame), Ok(found)) => assert_eq!(found, (frame.header, frame.payload.len())),
        (Ok(_), Err(error)) => assert!(!is_whole && error.is_truncated(), "{error}"),
        (Err(_), Ok((header, length))) => assert!(header.attempt > 0 && length < 1 << 32),
        (Err(_), Err(error)) => assert!(!error.to_string().is_empty()),
    }
}
