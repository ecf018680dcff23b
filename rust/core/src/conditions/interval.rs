//! Orderings: `gt`, `gte`, `lt`, `lte` and `between` are all one interval, so that pairs of them can become one too.

use core::cmp::Ordering;
use std::sync::Arc;

use super::equality::number;
use super::finding::{Code, Findings};
use super::literal::Literal;
use super::number::{Number, NumberLiteral, compare};
use super::source::Source;
use crate::value::{Token, ValueError, read};

/// One end of an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound<T> {
    /// Position of the end.
    pub at: T,
    /// True if the position itself is inside.
    pub inclusive: bool,
}

/// Values between two ends, either of which may be open.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds<T> {
    /// The lower end.
    pub lower: Option<Bound<T>>,
    /// The upper end.
    pub upper: Option<Bound<T>>,
}

/// An interval of one kind of value; a value of any other kind is outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Interval {
    /// Interval of numbers, exactly.
    Number(Bounds<NumberLiteral>),
    /// Interval of texts by their bytes, which is the order of code points.
    Str(Bounds<Arc<str>>),
    /// Interval of bytes.
    Bin(Bounds<Arc<[u8]>>),
    /// Interval of instants.
    Timestamp(Bounds<(i64, u32)>),
}

/// Side of a literal that an ordering admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl<T> Bounds<T> {
    /// True if a value is inside, given its order relative to an end; a value without an order is outside.
    pub fn admits(&self, order: impl Fn(&T) -> Option<Ordering>) -> bool {
        let above = self
            .lower
            .as_ref()
            .is_none_or(|bound| match order(&bound.at) {
                Some(Ordering::Greater) => true,
                Some(Ordering::Equal) => bound.inclusive,
                _ => false,
            });
        above
            && self
                .upper
                .as_ref()
                .is_none_or(|bound| match order(&bound.at) {
                    Some(Ordering::Less) => true,
                    Some(Ordering::Equal) => bound.inclusive,
                    _ => false,
                })
    }
}

impl Interval {
    /// Return the one interval that a lower and an upper bound of the same kind make together; `None` for other pairs.
    #[must_use]
    pub fn fused(&self, other: &Self) -> Option<Self> {
        fn fuse<T: Clone>(one: &Bounds<T>, two: &Bounds<T>) -> Option<Bounds<T>> {
            match (&one.lower, &one.upper, &two.lower, &two.upper) {
                (Some(lower), None, None, Some(upper)) | (None, Some(upper), Some(lower), None) => {
                    Some(Bounds {
                        lower: Some(lower.clone()),
                        upper: Some(upper.clone()),
                    })
                }
                _ => None,
            }
        }
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => fuse(one, two).map(Self::Number),
            (Self::Str(one), Self::Str(two)) => fuse(one, two).map(Self::Str),
            (Self::Bin(one), Self::Bin(two)) => fuse(one, two).map(Self::Bin),
            (Self::Timestamp(one), Self::Timestamp(two)) => fuse(one, two).map(Self::Timestamp),
            _ => None,
        }
    }

    /// True if the value at `at` is inside.
    #[inline]
    pub fn contains(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let (token, _) = read(bytes, at)?;
        Ok(self.admits(token))
    }

    /// True if a scalar is inside.
    #[inline]
    #[must_use]
    pub fn admits(&self, token: Token<'_>) -> bool {
        match (self, token) {
            (Self::Number(bounds), token) => {
                number(token).is_some_and(|number| bounds.admits(|end| compare(number, end)))
            }
            (Self::Str(bounds), Token::Str(text)) => {
                bounds.admits(|end| Some(text.cmp(end.as_bytes())))
            }
            (Self::Bin(bounds), Token::Bin(data)) => bounds.admits(|end| Some(data.cmp(end))),
            (
                Self::Timestamp(bounds),
                Token::Timestamp {
                    seconds,
                    nanoseconds,
                },
            ) => bounds.admits(|end| Some((seconds, nanoseconds).cmp(end))),
            _ => false,
        }
    }

    /// Return the interval on one side of the author's bound.
    #[must_use]
    pub fn compile_side(
        source: &Source,
        side: Side,
        inclusive: bool,
        operator: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let literal = orderable(source, operator, findings)?;
        match side {
            Side::Above => Self::of(Some((literal, inclusive)), None),
            Side::Below => Self::of(None, Some((literal, inclusive))),
        }
    }

    /// Return the interval between the two bounds that the author wrote, both inside.
    #[must_use]
    pub fn compile_between(source: &Source, findings: &mut Findings) -> Option<Self> {
        let items = match source {
            Source::List(items) if items.len() == 2 => items,
            other => {
                findings.report(
                    Code::WrongType,
                    format!(
                        "between takes a list of two bounds, not {}",
                        other.describe()
                    ),
                    "write [lowest, highest]; both are inside",
                );
                return None;
            }
        };
        let lower = findings.at(0, |findings| orderable(&items[0], "between", findings));
        let upper = findings.at(1, |findings| orderable(&items[1], "between", findings));
        let (lower, upper) = (lower?, upper?);
        match order(&items[0], &items[1], &lower, &upper) {
            Some(Ordering::Less | Ordering::Equal) => {
                Self::of(Some((lower, true)), Some((upper, true)))
            }
            Some(Ordering::Greater) => {
                findings.report(
                    Code::InvalidBounds,
                    format!(
                        "nothing is between {} and {}: the first bound is above the second",
                        items[0].describe(),
                        items[1].describe()
                    ),
                    "write the lower bound first",
                );
                None
            }
            None => {
                findings.report(
                    Code::InvalidBounds,
                    format!(
                        "{} and {} cannot be compared with each other",
                        items[0].describe(),
                        items[1].describe()
                    ),
                    "write two numbers, two strings, two $bin or two $timestamp",
                );
                None
            }
        }
    }

    fn of(lower: Option<(Literal, bool)>, upper: Option<(Literal, bool)>) -> Option<Self> {
        fn bounds<T>(
            lower: Option<(Literal, bool)>,
            upper: Option<(Literal, bool)>,
            take: impl Fn(Literal) -> Option<T>,
        ) -> Bounds<T> {
            let bound = |end: Option<(Literal, bool)>| {
                let (literal, inclusive) = end?;
                Some(Bound {
                    at: take(literal)?,
                    inclusive,
                })
            };
            Bounds {
                lower: bound(lower),
                upper: bound(upper),
            }
        }
        let kind = &lower.as_ref().or(upper.as_ref())?.0;
        Some(match kind {
            Literal::Number(_) => Self::Number(bounds(lower, upper, |literal| match literal {
                Literal::Number(number) => Some(number),
                _ => None,
            })),
            Literal::Str(_) => Self::Str(bounds(lower, upper, |literal| match literal {
                Literal::Str(text) => Some(text),
                _ => None,
            })),
            Literal::Bin(_) => Self::Bin(bounds(lower, upper, |literal| match literal {
                Literal::Bin(data) => Some(data),
                _ => None,
            })),
            Literal::Timestamp(..) => {
                Self::Timestamp(bounds(lower, upper, |literal| match literal {
                    Literal::Timestamp(seconds, nanoseconds) => Some((seconds, nanoseconds)),
                    _ => None,
                }))
            }
            _ => return None,
        })
    }
}

/// Return the literal, if it has an order.
fn orderable(source: &Source, operator: &str, findings: &mut Findings) -> Option<Literal> {
    let literal = Literal::compile(source, findings)?;
    if matches!(
        literal,
        Literal::Number(_) | Literal::Str(_) | Literal::Bin(_) | Literal::Timestamp(..)
    ) {
        return Some(literal);
    }
    findings.report(
        Code::WrongType,
        format!(
            "{operator} compares numbers, strings, bytes and timestamps, not {}",
            source.describe()
        ),
        "write one of those; to compare for equality write eq",
    );
    None
}

/// Compare two literals; `None` if they are of different kinds. Integers of any size are compared as
/// they were written.
fn order(one: &Source, two: &Source, lower: &Literal, upper: &Literal) -> Option<Ordering> {
    match (lower, upper) {
        (Literal::Number(lower), Literal::Number(upper)) => match (one, two) {
            (Source::Int(one), Source::Int(two)) => Some(one.cmp(two)),
            (Source::Float(one), _) => compare(Number::Float(*one), upper),
            (_, Source::Float(two)) => compare(Number::Float(*two), lower).map(Ordering::reverse),
            _ => None,
        },
        (Literal::Str(one), Literal::Str(two)) => Some(one.cmp(two)),
        (Literal::Bin(one), Literal::Bin(two)) => Some(one.cmp(two)),
        (Literal::Timestamp(one, fraction), Literal::Timestamp(two, other)) => {
            Some((one, fraction).cmp(&(two, other)))
        }
        _ => None,
    }
}
