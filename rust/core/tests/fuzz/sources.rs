//! A condition's source out of bytes: any msgpack, duplicate keys and all.

use factflow_core::conditions::{Integer, Source};
use factflow_core::value::{Token, read};

/// Extension code of an integer beyond 64 bits: its sign, then its digits.
const HUGE: i8 = 7;
const MAX_DEPTH: usize = 160;

/// Return the source at the beginning of the bytes, and where it ends; None if it is cut or malformed.
pub fn source(bytes: &[u8], at: usize, depth: usize) -> Option<(Source, usize)> {
    let (token, mut at) = read(bytes, at).ok()?;
    if depth > MAX_DEPTH {
        return Some((Source::Excess, at));
    }
    let found = match token {
        Token::Nil => Source::Nil,
        Token::Bool(flag) => Source::Bool(flag),
        Token::Int(number) => Source::Int(Integer::Small(number.into())),
        Token::UInt(number) => Source::Int(Integer::Small(number.into())),
        Token::F32(number) => Source::Float(number.into()),
        Token::F64(number) => Source::Float(number),
        Token::Str(text) => match core::str::from_utf8(text) {
            Ok(text) => Source::Str(text.into()),
            Err(_) => Source::Foreign("surrogate".into()),
        },
        Token::Bin(data) => Source::Bin(data.into()),
        Token::Ext(HUGE, [sign, digits @ ..]) => {
            Source::Int(Integer::from_magnitude(*sign > 0, digits))
        }
        Token::Ext(code, data) => Source::Ext(code, data.into()),
        Token::Timestamp {
            seconds,
            nanoseconds,
        } => Source::Timestamp(seconds, nanoseconds),
        Token::Array(count) => {
            let mut items = Vec::new();
            for _ in 0..count {
                let (item, next) = source(bytes, at, depth + 1)?;
                items.push(item);
                at = next;
            }
            Source::List(items)
        }
        Token::Map(count) => {
            let mut entries = Vec::new();
            for _ in 0..count {
                let (key, value_at) = source(bytes, at, depth + 1)?;
                let (value, next) = source(bytes, value_at, depth + 1)?;
                entries.push((key, value));
                at = next;
            }
            Source::Map(entries)
        }
    };
    Some((found, at))
}
