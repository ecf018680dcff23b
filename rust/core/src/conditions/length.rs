//! `length`: code points of a text, bytes of a bin, elements of an array, entries of a map.

use super::finding::{Code, Findings};
use super::source::{Integer, Source, quote};
use super::suggest::nearest;
use crate::value::{Token, ValueError, read};

const KEYS: [&str; 5] = ["eq", "gt", "gte", "lt", "lte"];
const EXAMPLE: &str = "write a length, as 3, or its bounds, as {gte: 1, lt: 10}";

/// The lengths from `least` to `most`, both inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    least: u64,
    most: u64,
}

impl Length {
    /// Read the author's lengths: one, or those within bounds.
    #[must_use]
    pub fn compile(source: &Source, findings: &mut Findings) -> Option<Self> {
        let Source::Map(entries) = source else {
            return size(source, findings).map(|size| Self {
                least: size,
                most: size,
            });
        };
        if entries.is_empty() {
            findings.report(Code::Empty, "length is given no bounds", EXAMPLE);
            return None;
        }
        let mut all = Some(Self {
            least: 0,
            most: u64::MAX,
        });
        for (key, bound) in entries {
            let bound = match key {
                Source::Str(key) if KEYS.contains(&&**key) => findings
                    .under(key.to_string(), |findings| size(bound, findings))
                    .map(|size| one_side(key, size)),
                Source::Str(key) => {
                    let remedy = nearest(key, KEYS).map_or_else(
                        || EXAMPLE.to_owned(),
                        |known| format!("did you mean {known}?"),
                    );
                    findings.under(key.to_string(), |findings| {
                        findings.report(
                            Code::UnknownKey,
                            format!("length has no bound {}", quote(key)),
                            remedy,
                        );
                    });
                    None
                }
                other => {
                    findings.report(
                        Code::UnknownKey,
                        format!("length has no bound {}", other.describe()),
                        EXAMPLE,
                    );
                    None
                }
            };
            all = all.zip(bound).map(|(all, bound)| match bound {
                Some(bound) => Self {
                    least: all.least.max(bound.least),
                    most: all.most.min(bound.most),
                },
                None => Self { least: 1, most: 0 },
            });
        }
        let all = all?;
        if all.least > all.most {
            findings.report(
                Code::InvalidBounds,
                "no length is within these bounds",
                EXAMPLE,
            );
            return None;
        }
        Some(all)
    }

    /// True if the value at `at` has a length, and it is one of these.
    #[inline]
    pub fn holds(self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let length = match read(bytes, at)?.0 {
            Token::Str(text) => code_points(text),
            Token::Bin(data) => data.len() as u64,
            Token::Array(count) | Token::Map(count) => u64::from(count),
            _ => return Ok(false),
        };
        Ok((self.least..=self.most).contains(&length))
    }
}

/// Count the bytes that begin a code point: all but `0b10xx_xxxx`.
fn code_points(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() as u64
}

/// Return the lengths on one side of `size`; `None` if there are none.
fn one_side(key: &str, size: u64) -> Option<Length> {
    let (least, most) = match key {
        "gt" => (size.checked_add(1)?, u64::MAX),
        "gte" => (size, u64::MAX),
        "lt" => (0, size.checked_sub(1)?),
        "lte" => (0, size),
        _ => (size, size),
    };
    Some(Length { least, most })
}

/// Return a whole number of zero or more; one beyond 64 bits is as good as the greatest.
fn size(source: &Source, findings: &mut Findings) -> Option<u64> {
    let refuse = |findings: &mut Findings| {
        findings.report(
            Code::WrongType,
            format!(
                "a length is a whole number of zero or more, not {}",
                source.describe()
            ),
            EXAMPLE,
        );
        None
    };
    match source {
        Source::Int(Integer::Small(number)) => match u64::try_from(*number) {
            Ok(size) => Some(size),
            Err(_) => refuse(findings),
        },
        Source::Int(Integer::Huge {
            negative: false, ..
        }) => Some(u64::MAX),
        _ => refuse(findings),
    }
}
