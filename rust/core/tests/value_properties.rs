//! Properties of every value and of every hostile input.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error fails with it"
)]

mod regressions;

use factflow_core::value::{
    Limits, Token, read, skip, validate, validate_at, write_array_len, write_bin, write_bool,
    write_ext, write_f64, write_int, write_map_len, write_nil, write_str, write_timestamp,
    write_uint,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A value as a test says it; only here, since the crate itself never builds a tree.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Nil,
    Bool(bool),
    Int(i64),
    UInt(u64),
    F64(f64),
    Str(String),
    Bin(Vec<u8>),
    Array(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Ext(i8, Vec<u8>),
    Timestamp(i64, u32),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nil),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Int),
        (-200i64..200).prop_map(Tree::Int),
        (u64::MAX / 2 + 1..).prop_map(Tree::UInt),
        any::<f64>().prop_map(Tree::F64),
        ".{0,40}".prop_map(Tree::Str),
        vec(any::<u8>(), 0..40).prop_map(Tree::Bin),
        vec(any::<u8>(), 250..260).prop_map(Tree::Bin),
        (
            (-128i8..127).prop_filter("the timestamp's", |code| *code != -1),
            vec(any::<u8>(), 0..20)
        )
            .prop_map(|(code, data)| Tree::Ext(code, data)),
        (any::<i64>(), 0u32..1_000_000_000).prop_map(|(s, n)| Tree::Timestamp(s, n)),
        (0i64..1 << 35, 0u32..1_000_000_000).prop_map(|(s, n)| Tree::Timestamp(s, n)),
        (0i64..1 << 33).prop_map(|s| Tree::Timestamp(s, 0)),
    ];
    leaf.prop_recursive(4, 48, 12, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Tree::Array),
            btree_map("[a-z]{0,12}|.{0,3}", inner, 0..30).prop_map(Tree::Map),
        ]
    })
}

fn write(out: &mut Vec<u8>, tree: &Tree) {
    match tree {
        Tree::Nil => write_nil(out),
        Tree::Bool(flag) => write_bool(out, *flag),
        Tree::Int(number) => write_int(out, *number),
        Tree::UInt(number) => write_uint(out, *number),
        Tree::F64(number) => write_f64(out, *number),
        Tree::Str(text) => write_str(out, text),
        Tree::Bin(data) => write_bin(out, data),
        Tree::Array(items) => {
            write_array_len(out, u32::try_from(items.len()).unwrap());
            for item in items {
                write(out, item);
            }
        }
        Tree::Map(entries) => {
            write_map_len(out, u32::try_from(entries.len()).unwrap());
            for (key, value) in entries {
                write_str(out, key);
                write(out, value);
            }
        }
        Tree::Ext(code, data) => write_ext(out, *code, data),
        Tree::Timestamp(seconds, nanoseconds) => write_timestamp(out, *seconds, *nanoseconds),
    }
}

fn text(bytes: &[u8], at: usize) -> (String, usize) {
    match read(bytes, at).unwrap() {
        (Token::Str(text), next) => (String::from_utf8(text.to_vec()).unwrap(), next),
        (other, _) => panic!("{other:?} is no key"),
    }
}

fn tree(bytes: &[u8], at: usize) -> (Tree, usize) {
    let (token, mut at) = read(bytes, at).unwrap();
    let tree = match token {
        Token::Nil => Tree::Nil,
        Token::Bool(flag) => Tree::Bool(flag),
        Token::Int(number) => Tree::Int(number),
        Token::UInt(number) => Tree::UInt(number),
        Token::F32(number) => Tree::F64(f64::from(number)),
        Token::F64(number) => Tree::F64(number),
        Token::Str(text) => Tree::Str(String::from_utf8(text.to_vec()).unwrap()),
        Token::Bin(data) => Tree::Bin(data.to_vec()),
        Token::Ext(code, data) => Tree::Ext(code, data.to_vec()),
        Token::Timestamp {
            seconds,
            nanoseconds,
        } => Tree::Timestamp(seconds, nanoseconds),
        Token::Array(count) => Tree::Array(
            (0..count)
                .map(|_| {
                    let (item, next) = self::tree(bytes, at);
                    at = next;
                    item
                })
                .collect(),
        ),
        Token::Map(count) => Tree::Map(
            (0..count)
                .map(|_| {
                    let (key, next) = text(bytes, at);
                    let (value, next) = self::tree(bytes, next);
                    at = next;
                    (key, value)
                })
                .collect(),
        ),
    };
    (tree, at)
}

fn encoded(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, tree);
    out
}

/// Return bytes that are more often nearly a value than noise: markers with long lengths, and values with bytes
/// changed.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (
        trees(),
        vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    )
        .prop_map(|(tree, changes)| {
            let mut bytes = encoded(&tree);
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
    prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(
            prop_oneof![
                Just(0xdd_u8),
                Just(0xdf),
                Just(0xdb),
                Just(0xc9),
                Just(0xff),
                Just(0x91),
                Just(0x81)
            ],
            0..400
        ),
        mutated,
    ]
}

proptest! {
    #![proptest_config(regressions::kept(128))]

    #[test]
    fn what_is_written_reads_back(value in trees()) {
        let bytes = encoded(&value);
        prop_assert_eq!(validate(&bytes, &Limits::DEFAULT), Ok(()));
        prop_assert_eq!(skip(&bytes, 0), Ok(bytes.len()));
        let (back, end) = tree(&bytes, 0);
        prop_assert_eq!(end, bytes.len());
        // Through bytes, because NaN is not equal to itself.
        prop_assert_eq!(encoded(&back), bytes);
    }

    #[test]
    fn every_strict_prefix_is_truncated(value in trees()) {
        let bytes = encoded(&value);
        for end in 0..bytes.len().min(100) {
            let error = validate(&bytes[..end], &Limits::DEFAULT).unwrap_err();
            prop_assert!(error.is_truncated(), "{} bytes of {}: {}", end, bytes.len(), error);
            prop_assert!(skip(&bytes[..end], 0).unwrap_err().is_truncated());
        }
    }

    #[test]
    fn what_follows_a_value_is_refused_or_left_alone(value in trees(), tail in vec(any::<u8>(), 1..9)) {
        let mut bytes = encoded(&value);
        let end = bytes.len();
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(validate_at(&bytes, 0, &Limits::DEFAULT), Ok(end));
        let error = validate(&bytes, &Limits::DEFAULT).unwrap_err();
        let text = format!("expected the end of the value, got {} more bytes (at byte {end})", tail.len());
        prop_assert_eq!((error.to_string(), error.offset()), (text, end));
    }

    #[test]
    fn no_input_panics_and_errors_point_into_it(bytes in hostile()) {
        if let Err(error) = validate(&bytes, &Limits::DEFAULT) {
            prop_assert!(error.offset() <= bytes.len());
            let place = format!("at byte {}", error.offset());
            prop_assert!(error.to_string().contains(&place));
        } else {
            // What was accepted can be walked without a check.
            let (_, end) = tree(&bytes, 0);
            prop_assert_eq!(end, bytes.len());
        }
        for offset in (0..=bytes.len() + 1).take(48) {
            let _ = read(&bytes, offset);
            let _ = skip(&bytes, offset);
        }
    }

    #[test]
    fn a_key_that_comes_again_is_refused_in_maps_of_any_size(
        keys in prop::collection::hash_set("[a-c]{1,20}", 2..60),
        repeated in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut keys: Vec<String> = keys.into_iter().collect();
        prop_assert_eq!(validate(&map_of(&keys), &Limits::DEFAULT), Ok(()));
        let twice = keys[repeated.index(keys.len())].clone();
        let first = keys.iter().position(|key| *key == twice).unwrap();
        let second = first + 1 + place.index(keys.len() - first);
        keys.insert(second, twice);
        let bytes = map_of(&keys);
        let error = validate(&bytes, &Limits::DEFAULT).unwrap_err();
        prop_assert!(error.to_string().starts_with("expected each key of a map once, got one for the second time"));
        prop_assert_eq!(error.offset(), map_of(&keys[..second]).len() - header(second) + header(keys.len()));
    }
}

fn header(count: usize) -> usize {
    if count < 16 { 1 } else { 3 }
}

fn map_of(keys: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    write_map_len(&mut out, u32::try_from(keys.len()).unwrap());
    for key in keys {
        write_str(&mut out, key);
        // A nested map of the same keys, so that levels are seen not to mix.
        write_map_len(&mut out, 1);
        write_str(&mut out, key);
        write_nil(&mut out);
    }
    out
}
