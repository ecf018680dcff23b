//! A value as JSON for people, cut to a length: what a record shows of a message.
//!
//! Kept separate from the codec because nothing is read back from it: what JSON cannot say is described.

use core::fmt::Write;

use super::error::ValueError;
use super::token::{Token, read, skip};

/// Mark of a text that was cut.
const CUT: char = '…';

/// Return the value at `at` as JSON of about `most` characters: a longer text is cut, a longer container is described.
///
/// ```
/// use factflow_core::value::{excerpt, write_array_len, write_int, write_str};
///
/// let mut bytes = Vec::new();
/// write_array_len(&mut bytes, 2);
/// write_int(&mut bytes, 1);
/// write_str(&mut bytes, "a \"b\"");
/// assert_eq!(excerpt(&bytes, 0, 40).unwrap(), r#"[1,"a \"b\""]"#);
/// assert_eq!(excerpt(&bytes, 0, 4).unwrap(), r#""a list of 2""#);
/// assert_eq!(excerpt(&bytes, 2, 2).unwrap(), r#""a …""#);
/// ```
///
/// # Errors
///
/// The bytes are malformed, where they were looked at.
pub fn excerpt(bytes: &[u8], at: usize, most: usize) -> Result<String, ValueError> {
    let mut out = String::new();
    if write_json(bytes, at, most, &mut out)? {
        return Ok(out);
    }
    out.clear();
    let count = match read(bytes, at)?.0 {
        Token::Array(count) => ("list", count),
        Token::Map(count) => ("mapping", count),
        _ => ("value", 0),
    };
    // Writing to a text does not fail.
    let _ = write!(out, "\"a {} of {}\"", count.0, count.1);
    Ok(out)
}

/// Write the value; false if it is a container that is longer than `most`.
fn write_json(bytes: &[u8], at: usize, most: usize, out: &mut String) -> Result<bool, ValueError> {
    // Containers that are open: how many values are still to come, and whether it is a map.
    let mut open: Vec<(u64, bool)> = Vec::new();
    let mut at = at;
    loop {
        let (token, next) = read(bytes, at)?;
        let is_key = open
            .last()
            .is_some_and(|(left, is_map)| *is_map && left % 2 == 0);
        at = match token {
            Token::Array(count) => {
                out.push('[');
                open.push((u64::from(count), false));
                next
            }
            Token::Map(count) => {
                out.push('{');
                open.push((u64::from(count) * 2, true));
                next
            }
            scalar => {
                write_scalar(&scalar, is_key, most, out);
                skip(bytes, at)?
            }
        };
        if matches!(token, Token::Array(_) | Token::Map(_)) {
            // Its first value comes next, or its end.
        } else if let Some((left, _)) = open.last_mut() {
            *left -= 1;
        }
        while let Some((0, is_map)) = open.last().copied() {
            out.push(if is_map { '}' } else { ']' });
            open.pop();
            if let Some((left, _)) = open.last_mut() {
                *left -= 1;
            }
        }
        if out.len() > most && !open.is_empty() {
            return Ok(false);
        }
        let Some((left, is_map)) = open.last().copied() else {
            return Ok(out.len() <= most || !out.starts_with(['[', '{']));
        };
        if !out.ends_with(['[', '{']) {
            out.push(if is_map && left % 2 == 1 { ':' } else { ',' });
        }
    }
}

/// Write a value that contains no others; as a key, a text.
fn write_scalar(token: &Token<'_>, is_key: bool, most: usize, out: &mut String) {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = match token {
        Token::Nil => write!(text, "null"),
        Token::Bool(value) => write!(text, "{value}"),
        Token::Int(number) => write!(text, "{number}"),
        Token::UInt(number) => write!(text, "{number}"),
        Token::F32(number) => return write_float(f64::from(*number), is_key, out),
        Token::F64(number) => return write_float(*number, is_key, out),
        Token::Str(data) => return quote(&String::from_utf8_lossy(data), most, out),
        Token::Bin(data) => return quote(&format!("bytes of {}", data.len()), most, out),
        Token::Ext(code, data) => {
            return quote(&format!("extension {code} of {}", data.len()), most, out);
        }
        Token::Timestamp {
            seconds,
            nanoseconds,
        } => {
            return quote(&format!("timestamp {seconds}.{nanoseconds:09}"), most, out);
        }
        Token::Array(_) | Token::Map(_) => Ok(()),
    };
    if is_key {
        quote(&text, most, out);
    } else {
        out.push_str(&text);
    }
}

fn write_float(number: f64, is_key: bool, out: &mut String) {
    if number.is_finite() && !is_key {
        // Writing to a text does not fail.
        let _ = write!(out, "{number:?}");
    } else {
        quote(&format!("{number:?}"), usize::MAX, out);
    }
}

/// Write a text as JSON, cut to so many characters; escaped as Python's `json.dumps(text, ensure_ascii=False)` does, so that
/// who looks for a text in JSON of either kind finds it.
pub fn quote(text: &str, most: usize, out: &mut String) {
    out.push('"');
    for (number, character) in text.chars().enumerate() {
        if number >= most {
            out.push(CUT);
            break;
        }
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            character if (character as u32) < 0x20 => {
                // Writing to a text does not fail.
                let _ = write!(out, "\\u{:04x}", character as u32);
            }
            character => out.push(character),
        }
    }
    out.push('"');
}
