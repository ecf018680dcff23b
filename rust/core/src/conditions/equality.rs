//! Equality of a message's value with a literal, without decoding the value.

use super::literal::Literal;
use super::number::{Number, NumberLiteral, compare};
use crate::value::{Token, ValueError, read};
use core::cmp::Ordering;

/// True if the value at `at` equals the literal: same kind and equal; numbers by value whatever their types.
#[inline]
pub fn equals(literal: &Literal, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
    Ok(end_if_equal(literal, bytes, at)?.is_some())
}

/// Return the number of a token, if the token is a number.
#[inline]
#[must_use]
pub fn number(token: Token<'_>) -> Option<Number> {
    match token {
        Token::Int(number) => Some(Number::Int(i128::from(number))),
        Token::UInt(number) => Some(Number::Int(i128::from(number))),
        Token::F32(number) => Some(Number::Float(f64::from(number))),
        Token::F64(number) => Some(Number::Float(number)),
        _ => None,
    }
}

/// True if a token is the literal number.
#[inline]
fn is_number(token: Token<'_>, literal: &NumberLiteral) -> bool {
    number(token).is_some_and(|number| compare(number, literal) == Some(Ordering::Equal))
}

/// Return the offset after the value at `at` if it equals the literal. It recurses no deeper than the literal does, and
/// looks at each byte once: an element's end is where the next one begins.
fn end_if_equal(literal: &Literal, bytes: &[u8], at: usize) -> Result<Option<usize>, ValueError> {
    let (token, next) = read(bytes, at)?;
    let equal = match (literal, token) {
        (Literal::Nil, Token::Nil) => true,
        (Literal::Bool(literal), Token::Bool(value)) => *literal == value,
        (Literal::Number(literal), token) => is_number(token, literal),
        (Literal::Str(literal), Token::Str(text)) => literal.as_bytes() == text,
        (Literal::Bin(literal), Token::Bin(data)) => **literal == *data,
        (
            Literal::Timestamp(literal, fraction),
            Token::Timestamp {
                seconds,
                nanoseconds,
            },
        ) => (*literal, *fraction) == (seconds, nanoseconds),
        (Literal::Ext(literal, body), Token::Ext(code, data)) => {
            *literal == code && **body == *data
        }
        (Literal::Array(items), Token::Array(count)) if items.len() == count as usize => {
            let mut at = next;
            for item in items {
                match end_if_equal(item, bytes, at)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
            return Ok(Some(at));
        }
        // Keys are unique in both, so equal counts and every key found make them the same keys.
        (Literal::Map(entries), Token::Map(count)) if entries.len() == count as usize => {
            let mut at = next;
            for _ in 0..count {
                let (key, value) = read(bytes, at)?;
                let literal = match key {
                    Token::Str(key) => core::str::from_utf8(key)
                        .ok()
                        .and_then(|key| entries.get(key)),
                    _ => None,
                };
                let Some(literal) = literal else {
                    return Ok(None);
                };
                match end_if_equal(literal, bytes, value)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
            return Ok(Some(at));
        }
        _ => false,
    };
    Ok(equal.then_some(next))
}
