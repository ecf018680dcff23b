//! Properties of every frame, every cut of a stream and every flipped bit.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error fails with it"
)]

mod regressions;

use factflow_core::frames::{
    DEFAULT_MAX_BYTES, Decoder, FrameError, FrameRef, Header, PREFIX_BYTES, decode, encode,
};
use factflow_core::value::{Limits, write_array_len, write_int, write_map_len, write_str};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Owned {
    message_id: [u8; 16],
    correlation_id: Option<[u8; 16]>,
    parent_id: Option<[u8; 16]>,
    attempt: u32,
    time_ns: i64,
    key: Option<String>,
    headers: Option<Vec<u8>>,
    payload: Vec<u8>,
}

impl Owned {
    fn header(&self) -> Header<'_> {
        Header {
            message_id: self.message_id,
            correlation_id: self.correlation_id.unwrap_or(self.message_id),
            parent_id: self.parent_id,
            attempt: self.attempt,
            time_ns: self.time_ns,
            key: self.key.as_deref(),
            headers: self.headers.as_deref(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, &self.header(), &self.payload).unwrap();
        out
    }
}

fn one_header(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_map_len(&mut out, 1);
    write_str(&mut out, name);
    write_str(&mut out, value);
    out
}

fn payload(numbers: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, u32::try_from(numbers.len()).unwrap());
    for number in numbers {
        write_int(&mut out, *number);
    }
    out
}

prop_compose! {
    fn owned()(
        message_id in any::<[u8; 16]>(),
        correlation_id in any::<Option<[u8; 16]>>(),
        parent_id in any::<Option<[u8; 16]>>(),
        attempt in 1..=u32::MAX,
        time_ns in any::<i64>(),
        key in prop::option::of(".{0,40}"),
        headers in prop::option::of((".{0,9}", ".{0,40}").prop_map(|(name, value)| one_header(&name, &value))),
        payload in vec(any::<i64>(), 0..60).prop_map(|numbers| payload(&numbers)),
    ) -> Owned {
        Owned { message_id, correlation_id, parent_id, attempt, time_ns, key, headers, payload }
    }
}

fn read(bytes: &[u8]) -> Result<FrameRef<'_>, FrameError> {
    decode(bytes, DEFAULT_MAX_BYTES, &Limits::DEFAULT)
}

fn decoder() -> Decoder {
    Decoder::new(DEFAULT_MAX_BYTES, Limits::DEFAULT)
}

proptest! {
    #![proptest_config(regressions::kept(256))]

    #[test]
    fn what_is_encoded_decodes(frame in owned()) {
        let bytes = frame.bytes();
        prop_assert_eq!(read(&bytes), Ok(FrameRef { header: frame.header(), payload: &frame.payload }));
    }

    #[test]
    fn every_strict_prefix_is_truncated(frame in owned()) {
        let bytes = frame.bytes();
        for end in 0..bytes.len() {
            prop_assert!(read(&bytes[..end]).unwrap_err().is_truncated());
            let mut decoder = decoder();
            decoder.feed(&bytes[..end]);
            prop_assert_eq!(decoder.next_frame(), Ok(None));
            prop_assert_eq!(decoder.finish().map_err(|error| error.is_truncated()), if end == 0 { Ok(()) } else { Err(true) });
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed(frame in owned()) {
        let bytes = frame.bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = read(&flipped).expect_err("a bit was flipped");
            // Only the length can make a frame seem to lack something.
            prop_assert!(!error.is_truncated() || (2..6).contains(&(bit / 8)), "{}", error);
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames(frames in vec(owned(), 0..6), cuts in vec(1usize..40, 1..20)) {
        let stream: Vec<u8> = frames.iter().flat_map(Owned::bytes).collect();
        let mut decoder = decoder();
        let mut expected = frames.iter();
        let mut rest = stream.as_slice();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            rest = after;
            decoder.feed(chunk);
            // One take a feed now and then, so that whole frames pile up too.
            while let Some(frame) = decoder.next_frame().unwrap() {
                let sent = expected.next().unwrap();
                prop_assert_eq!(frame, FrameRef { header: sent.header(), payload: &sent.payload });
                if chunk.len() % 2 == 0 {
                    break;
                }
            }
        }
        while let Some(frame) = decoder.next_frame().unwrap() {
            let sent = expected.next().unwrap();
            prop_assert_eq!(frame, FrameRef { header: sent.header(), payload: &sent.payload });
        }
        prop_assert!(expected.next().is_none());
        prop_assert_eq!(decoder.pending_bytes(), 0);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..120), begins_as_frame in any::<bool>()) {
        let mut bytes = bytes;
        if begins_as_frame && bytes.len() > 6 {
            bytes[..5].copy_from_slice(&[0xc1, 0, 0, 0, 0]);
        }
        prop_assert!(read(&bytes).is_err());
        let mut decoder = decoder();
        decoder.feed(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
        let _ = decoder.finish();
    }

    #[test]
    fn corruption_is_for_ever_and_names_its_place_in_the_stream(first in owned(), second in owned()) {
        let (first, mut bytes) = (first.bytes(), second.bytes());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut decoder = decoder();
        decoder.feed(&first);
        decoder.feed(&bytes);
        prop_assert!(decoder.next_frame().unwrap().is_some());
        let error = decoder.next_frame().unwrap_err();
        prop_assert!(error.to_string().starts_with("expected bytes with checksum "), "{}", error);
        prop_assert_eq!(error.offset(), (first.len() + 6) as u64);
        decoder.feed(&first);
        prop_assert_eq!(decoder.next_frame(), Err(error));
        prop_assert_eq!(decoder.finish(), Err(error));
    }
}

#[test]
fn a_frame_longer_than_the_limit_is_refused_by_its_prefix_alone() {
    let prefix = [0xc1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let mut decoder = Decoder::new(1_000, Limits::DEFAULT);
    decoder.feed(&prefix);
    let error = decoder.next_frame().unwrap_err();
    let declared = u64::from(u32::MAX) + PREFIX_BYTES as u64;
    let text = format!("expected a frame of at most 1000 bytes, got one of {declared};");
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[test]
fn the_limit_is_the_length_of_the_longest_frame_that_passes() {
    let frame = Owned {
        message_id: [7; 16],
        correlation_id: None,
        parent_id: None,
        attempt: 1,
        time_ns: 0,
        key: None,
        headers: None,
        payload: vec![0xc0],
    };
    let bytes = frame.bytes();
    assert!(decode(&bytes, bytes.len() as u64, &Limits::DEFAULT).is_ok());
    let limit = bytes.len() as u64 - 1;
    let error = decode(&bytes, limit, &Limits::DEFAULT).unwrap_err();
    let text = format!(
        "expected a frame of at most {limit} bytes, got one of {};",
        limit + 1
    );
    assert!(error.to_string().starts_with(&text), "{error}");
    let twice = [bytes.as_slice(), &[0xc1]].concat();
    let end = bytes.len();
    assert_eq!(
        read(&twice).unwrap_err().to_string(),
        format!("expected the end of the frame, got 1 more bytes (at byte {end})")
    );
}

#[test]
fn what_is_no_frame_is_told_by_its_first_bytes() {
    assert_eq!(
        read(&[0x81]).unwrap_err().to_string(),
        "expected a frame of format 1, which begins with 0xc1, got 0x81 (at byte 0)"
    );
    assert_eq!(
        read(&[0xc1, 0x40]).unwrap_err().to_string(),
        "expected no flags, which format 1 does not define, got 0x40 (at byte 1)"
    );
    assert!(read(&[]).unwrap_err().is_truncated());
}

/// Return a frame with the right checksum around any body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xc1, 0];
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&frame), body);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

#[test]
fn behind_the_checksum_header_and_payload_are_still_checked() {
    let id = [&[0xc4, 16][..], &[1; 16]].concat();
    let good = [&[0x97], id.as_slice(), &[0xc0, 0xc0, 1, 0, 0xc0, 0xc0]].concat();
    assert!(read(&sealed(&[good.as_slice(), &[0xc0]].concat())).is_ok());

    let payload_at = (PREFIX_BYTES + good.len()) as u64;
    let cut = read(&sealed(&good)).unwrap_err();
    assert!(
        !cut.is_truncated(),
        "no byte that follows can help a sealed frame"
    );
    assert_eq!(cut.offset(), payload_at);
    let error = read(&sealed(&[good.as_slice(), &[0x91, 0xc1]].concat())).unwrap_err();
    let text = format!(
        "expected a value, got the reserved byte 0xc1 (at byte {})",
        payload_at + 1
    );
    assert_eq!((error.to_string(), error.offset()), (text, payload_at + 1));

    let wrong: [(&str, Vec<u8>); 7] = [
        (
            "fields",
            [&[0x96], id.as_slice(), &[0xc0, 0xc0, 1, 0, 0xc0, 0xc0]].concat(),
        ),
        (
            "id",
            vec![0x97, 0xc4, 1, 1, 0xc0, 0xc0, 1, 0, 0xc0, 0xc0, 0xc0],
        ),
        (
            "correlation",
            [
                &[0x97],
                id.as_slice(),
                &[0x01, 0xc0, 1, 0, 0xc0, 0xc0, 0xc0],
            ]
            .concat(),
        ),
        (
            "attempt",
            [
                &[0x97],
                id.as_slice(),
                &[0xc0, 0xc0, 0, 0, 0xc0, 0xc0, 0xc0],
            ]
            .concat(),
        ),
        (
            "time",
            [
                &[0x97],
                id.as_slice(),
                &[0xc0, 0xc0, 1, 0xc3, 0xc0, 0xc0, 0xc0],
            ]
            .concat(),
        ),
        (
            "key",
            [
                &[0x97],
                id.as_slice(),
                &[0xc0, 0xc0, 1, 0, 0x01, 0xc0, 0xc0],
            ]
            .concat(),
        ),
        (
            "headers",
            [
                &[0x97],
                id.as_slice(),
                &[0xc0, 0xc0, 1, 0, 0xc0, 0x90, 0xc0],
            ]
            .concat(),
        ),
    ];
    for (field, body) in wrong {
        let error = read(&sealed(&body)).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!(
                " in the frame's header, got something else (at byte {})",
                error.offset()
            )),
            "{field}: {error}"
        );
    }
}
