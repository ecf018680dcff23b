//! One case for each thing that a value may not be.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error fails with it"
)]

use factflow_core::value::{
    Limits, Token, ValueError, read, skip, validate, write_map_len, write_nil, write_str,
};

/// Return what is said of bytes that are no value, without the place; and the place.
fn refusal(bytes: &[u8]) -> (String, usize) {
    told(validate(bytes, &Limits::DEFAULT).expect_err("these bytes are no value"))
}

fn told(error: ValueError) -> (String, usize) {
    let place = format!(" (at byte {})", error.offset());
    let text = error.to_string();
    let said = text.strip_suffix(&place).expect("the place stands last");
    (said.to_owned(), error.offset())
}

fn expected(said: &str, offset: usize) -> (String, usize) {
    (format!("expected {said}"), offset)
}

#[test]
fn the_reserved_byte_is_refused_wherever_it_stands() {
    assert_eq!(
        refusal(&[0xc1]),
        expected("a value, got the reserved byte 0xc1", 0)
    );
    assert_eq!(
        refusal(&[0x92, 0x01, 0xc1]),
        expected("a value, got the reserved byte 0xc1", 2)
    );
}

#[test]
fn a_declared_length_beyond_the_input_is_truncated_whatever_it_is() {
    for marker in [0xdb, 0xc6, 0xc9, 0xdd, 0xdf] {
        let bytes = [0x91, marker, 0xff, 0xff, 0xff, 0xff, 0x05, 0x61];
        let error = validate(&bytes, &Limits::DEFAULT).unwrap_err();
        assert!(error.is_truncated(), "{marker:x}: {error}");
        assert_eq!(error.offset(), 1);
    }
}

#[test]
fn text_must_be_utf_8_even_in_fields_that_nobody_reads() {
    for bad in [
        &[0xff][..],
        &[0xe2, 0x82],
        &[0xed, 0xa0, 0x80],
        &[0xc0, 0x80],
        &[0xf4, 0x90, 0x80, 0x80],
    ] {
        for padding in 0..28 - bad.len() {
            let mut bytes = vec![0x91, 0xa0 | u8::try_from(padding + bad.len()).unwrap()];
            bytes.extend(std::iter::repeat_n(b'x', padding));
            bytes.extend_from_slice(bad);
            assert_eq!(
                refusal(&bytes),
                expected("UTF-8 text, got other bytes; carry them as bin", 1)
            );
        }
    }
    assert_eq!(
        refusal(&[0x81, 0xa1, 0xff, 0x01]),
        expected("UTF-8 text, got other bytes; carry them as bin", 1)
    );
}

#[test]
fn a_key_must_be_text() {
    for key in [
        &[0x01][..],
        &[0xc0],
        &[0xc4, 0x01, 0x61],
        &[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0],
        &[0x91, 0x01],
    ] {
        let bytes = [&[0x81], key, &[0x02]].concat();
        assert_eq!(
            refusal(&bytes),
            expected(
                &format!("a string as map key, got marker 0x{:02x}", key[0]),
                1
            )
        );
    }
}

#[test]
fn the_same_text_in_another_width_is_the_same_key() {
    let bytes = [0x82, 0xa1, 0x61, 0x01, 0xd9, 0x01, 0x61, 0x02];
    assert_eq!(
        refusal(&bytes),
        expected("each key of a map once, got one for the second time", 4)
    );
}

#[test]
fn timestamps_have_three_lengths_and_less_than_a_billion_nanoseconds() {
    assert_eq!(
        refusal(&[0xc7, 5, 0xff, 1, 2, 3, 4, 5]),
        expected("a timestamp of 4, 8 or 12 bytes, got one of 5", 0)
    );
    let bytes = [0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(
        refusal(&bytes),
        expected(
            "a timestamp with at most 999999999 nanoseconds, got 1073741823",
            0
        )
    );
    let bytes = [0xc7, 12, 0xff, 0x3b, 0x9a, 0xca, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        refusal(&bytes),
        expected(
            "a timestamp with at most 999999999 nanoseconds, got 1000000000",
            0
        )
    );
}

#[test]
fn the_limits_hold_at_exactly_their_number() {
    let nested = |levels| [vec![0x91; levels], vec![0x00]].concat();
    assert!(validate(&nested(128), &Limits::DEFAULT).is_ok());
    assert_eq!(
        refusal(&nested(129)),
        expected("at most 128 nested containers, got one more", 128)
    );
    assert_eq!(
        refusal(&nested(1_000_000)),
        expected("at most 128 nested containers, got one more", 128)
    );
    assert_eq!(skip(&nested(1_000_000), 0), Ok(1_000_001));

    let limits = Limits {
        max_elements: 5,
        ..Limits::DEFAULT
    };
    assert!(validate(&[0x92, 0x93, 0, 0, 0, 0], &limits).is_ok());
    let error = validate(&[0x92, 0x93, 0, 0, 0, 0x91, 0], &limits).unwrap_err();
    assert_eq!(told(error), expected("at most 5 elements, got more", 5));
    assert!(validate(&[0x82, 0xa1, 0x61, 0, 0xa1, 0x62, 0], &limits).is_ok());
    assert!(
        validate(
            &[0x83, 0xa1, 0x61, 0, 0xa1, 0x62, 0, 0xa1, 0x63, 0],
            &limits
        )
        .is_err()
    );
}

#[test]
fn integers_have_one_token_each_number_whatever_their_width() {
    for bytes in [
        &[0x05][..],
        &[0xcc, 5],
        &[0xcd, 0, 5],
        &[0xce, 0, 0, 0, 5],
        &[0xd0, 5],
        &[0xd1, 0, 5],
    ] {
        assert_eq!(read(bytes, 0).unwrap(), (Token::Int(5), bytes.len()));
    }
    let bytes = [0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(read(&bytes, 0).unwrap().0, Token::Int(i64::MAX));
    let bytes = [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(read(&bytes, 0).unwrap().0, Token::UInt(1 << 63));
}

#[test]
fn a_map_of_very_many_alike_keys_is_checked_in_the_blink_of_an_eye() {
    // Pairwise comparison of these would take the better part of an hour: 200,000 keys of equal beginning and end.
    const COUNT: u32 = 200_000;
    let mut bytes = Vec::new();
    write_map_len(&mut bytes, COUNT);
    for number in 0..COUNT {
        write_str(
            &mut bytes,
            &format!("a common beginning {number:08} and a common end"),
        );
        write_nil(&mut bytes);
    }
    assert_eq!(validate(&bytes, &Limits::DEFAULT), Ok(()));
}
