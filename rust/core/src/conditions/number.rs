//! Integers and floats on one exact number line: neither is ever rounded to the other's type.
//!
//! Kept separate because it is easy to get wrong: `as f64` makes 2^53 + 1 equal to 2^53, and a cast back saturates.

use core::cmp::Ordering;

use super::source::Integer;

/// A number that a message carries. Single precision is widened, which is exact.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Within [`i64::MIN`] and [`u64::MAX`].
    Int(i128),
    /// Any other number, or NaN.
    Float(f64),
}

/// A number that a condition compares with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NumberLiteral {
    /// Within [`i64::MIN`] and [`u64::MAX`].
    Int(i128),
    /// Never NaN.
    Float(f64),
    /// An integer outside the range of messages' integers. Against those its sign decides; against a float this is
    /// all that matters of it.
    Huge {
        /// The greatest float that is not above it; may be minus infinity.
        below: f64,
        /// True if `below` is the integer itself.
        exact: bool,
        /// Below zero.
        negative: bool,
    },
}

/// 2^63 and 2^64: exact as floats.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// Compare a message's number with a literal; `None` if it is NaN.
#[must_use]
pub fn compare(number: Number, literal: &NumberLiteral) -> Option<Ordering> {
    match (number, *literal) {
        (Number::Int(one), NumberLiteral::Int(two)) => Some(one.cmp(&two)),
        (Number::Float(one), NumberLiteral::Float(two)) => one.partial_cmp(&two),
        (Number::Int(one), NumberLiteral::Float(two)) => {
            compare_float(two, one).map(Ordering::reverse)
        }
        (Number::Float(one), NumberLiteral::Int(two)) => compare_float(one, two),
        (Number::Int(_), NumberLiteral::Huge { negative, .. }) => Some(if negative {
            Ordering::Greater
        } else {
            Ordering::Less
        }),
        (Number::Float(one), NumberLiteral::Huge { below, exact, .. }) => {
            one.partial_cmp(&below).map(|order| match order {
                Ordering::Equal if !exact => Ordering::Less,
                order => order,
            })
        }
    }
}

/// Compare two literals, as far as a message's numbers can tell them apart.
#[must_use]
pub fn compare_literals(one: &NumberLiteral, two: &NumberLiteral) -> Ordering {
    let order = match (*one, *two) {
        (NumberLiteral::Int(number), _) => compare(Number::Int(number), two),
        (NumberLiteral::Float(number), _) => compare(Number::Float(number), two),
        (_, NumberLiteral::Int(number)) => compare(Number::Int(number), one).map(Ordering::reverse),
        (_, NumberLiteral::Float(number)) => {
            compare(Number::Float(number), one).map(Ordering::reverse)
        }
        (
            NumberLiteral::Huge { below, exact, .. },
            NumberLiteral::Huge {
                below: other,
                exact: other_exact,
                ..
            },
        ) => below
            .partial_cmp(&other)
            .map(|order| order.then(other_exact.cmp(&exact))),
    };
    // No literal is NaN.
    order.unwrap_or(Ordering::Equal)
}

/// Compare a float with an integer within [`i64::MIN`] and [`u64::MAX`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "the float is whole and within the range of i128"
)]
fn compare_float(float: f64, int: i128) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= TWO_64 {
        return Some(Ordering::Greater);
    }
    if float < -TWO_63 {
        return Some(Ordering::Less);
    }
    let whole = float.floor();
    // Equal whole parts: what floor took away puts the float above.
    Some((whole as i128).cmp(&int).then(if float > whole {
        Ordering::Greater
    } else {
        Ordering::Equal
    }))
}

impl Number {
    /// Return the number, rounded monotonically: of two numbers the greater's result is not below the other's.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is meant")]
    pub fn rough(self) -> f64 {
        match self {
            // Converting 128 bits takes a call.
            Self::Int(number) => i64::try_from(number).map_or(number as f64, |short| short as f64),
            Self::Float(number) => number,
        }
    }
}

impl NumberLiteral {
    /// Return the number, rounded as by [`Number::rough`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is meant")]
    pub const fn rough(&self) -> f64 {
        match *self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
            Self::Huge { below, .. } => below,
        }
    }

    /// Return the literal for an integer of any size.
    #[must_use]
    pub fn from_integer(integer: &Integer) -> Self {
        match integer {
            Integer::Small(number) => Self::Int(*number),
            Integer::Huge {
                negative,
                magnitude,
            } => {
                let (below, exact) = truncate(magnitude);
                let below = match (*negative, exact) {
                    (false, _) => below,
                    (true, true) => -below,
                    // The next float away from zero; after the greatest comes infinity.
                    (true, false) => -f64::from_bits(below.to_bits() + 1),
                };
                Self::Huge {
                    below,
                    exact,
                    negative: *negative,
                }
            }
        }
    }

    /// Return the one representation that all equal numbers share, for hashing; `None` if no message's number equals
    /// it.
    #[must_use]
    pub fn key(&self) -> Option<NumberKey> {
        match *self {
            Self::Int(number) => NumberKey::of(Number::Int(number)),
            Self::Float(number) => NumberKey::of(Number::Float(number)),
            Self::Huge {
                below, exact: true, ..
            } => NumberKey::of(Number::Float(below)),
            Self::Huge { exact: false, .. } => None,
        }
    }
}

/// Return the greatest float that is not above the magnitude, and whether it is exactly that.
fn truncate(magnitude: &[u8]) -> (f64, bool) {
    let bits =
        magnitude.len() * 8 - magnitude.first().map_or(0, |byte| byte.leading_zeros()) as usize;
    if bits > 1024 {
        return (f64::MAX, false);
    }
    // The top 64 bits hold the 53 that a float keeps.
    let mut top: u64 = 0;
    let mut rest = false;
    let mut taken = 0;
    for (index, &byte) in magnitude.iter().enumerate() {
        for shift in (0..8).rev() {
            let bit = byte >> shift & 1;
            if index == 0 && taken == 0 && bit == 0 {
                continue; // a leading zero
            }
            if taken < 53 {
                top = top << 1 | u64::from(bit);
                taken += 1;
            } else {
                rest |= bit == 1;
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 53 bits")]
    let mut float = top as f64;
    for _ in taken..bits {
        float *= 2.0; // exact: only the exponent changes
    }
    (float, !rest)
}

/// Numbers that are equal have equal keys, whatever their types; NaN has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberKey {
    /// Whole and within the range of integers; its 64 bits, and whether it is below zero.
    Int(u64, bool),
    /// The bits of any other float.
    Float(u64),
}

impl NumberKey {
    /// Return the key of a number, unless it is NaN.
    #[inline]
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "whole and in range where it is used; the sign is kept beside"
    )]
    pub fn of(number: Number) -> Option<Self> {
        match number {
            Number::Int(number) => Some(Self::Int(number as u64, number < 0)),
            // The cast is exact for whole numbers of 64 signed bits, and for no other gives the same number back.
            Number::Float(number) if number.abs() < TWO_63 && number as i64 as f64 == number => {
                Some(Self::Int(number as i64 as u64, number < 0.0))
            }
            Number::Float(number) if number == -TWO_63 => Some(Self::Int(1 << 63, true)),
            // Every float of this size is whole.
            Number::Float(number) if (TWO_63..TWO_64).contains(&number) => {
                Some(Self::Int(number as u64, false))
            }
            Number::Float(number) if number.is_nan() => None,
            Number::Float(number) => Some(Self::Float(number.to_bits())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cmp::Ordering::{Equal, Greater, Less};

    fn huge(text: &str, negative: bool) -> NumberLiteral {
        let bytes: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect();
        NumberLiteral::from_integer(&Integer::from_magnitude(negative, &bytes))
    }

    #[test]
    fn integers_and_floats_compare_without_rounding() {
        let two_53 = 1_i128 << 53;
        let two_53_float = 9_007_199_254_740_992.0;
        let int = |n| NumberLiteral::Int(n);
        assert_eq!(
            compare(Number::Float(two_53_float), &int(two_53)),
            Some(Equal)
        );
        assert_eq!(
            compare(Number::Float(two_53_float), &int(two_53 + 1)),
            Some(Less)
        );
        assert_eq!(
            compare(Number::Int(two_53 + 1), &NumberLiteral::Float(two_53_float)),
            Some(Greater)
        );
        assert_eq!(
            compare(Number::Float(TWO_63), &int(i128::from(i64::MAX))),
            Some(Greater)
        );
        assert_eq!(
            compare(Number::Float(-TWO_63), &int(i128::from(i64::MIN))),
            Some(Equal)
        );
        assert_eq!(
            compare(Number::Float(TWO_64), &int(i128::from(u64::MAX))),
            Some(Greater)
        );
        assert_eq!(compare(Number::Float(-0.5), &int(0)), Some(Less));
        assert_eq!(compare(Number::Float(-0.5), &int(-1)), Some(Greater));
        assert_eq!(compare(Number::Float(-0.0), &int(0)), Some(Equal));
        assert_eq!(
            compare(Number::Float(f64::INFINITY), &int(0)),
            Some(Greater)
        );
        assert_eq!(
            compare(Number::Float(f64::NEG_INFINITY), &int(0)),
            Some(Less)
        );
        assert_eq!(compare(Number::Float(f64::NAN), &int(0)), None);
    }

    #[test]
    fn an_integer_that_no_message_carries_still_has_its_place() {
        let two_64 = huge("010000000000000000", false);
        assert_eq!(
            compare(Number::Int(i128::from(u64::MAX)), &two_64),
            Some(Less)
        );
        assert_eq!(compare(Number::Float(TWO_64), &two_64), Some(Equal));
        let above = huge("010000000000000001", false);
        assert_eq!(compare(Number::Float(TWO_64), &above), Some(Less));
        assert_eq!(
            compare(Number::Float(TWO_64 * (1.0 + f64::EPSILON)), &above),
            Some(Greater)
        );
        let below = huge("010000000000000001", true);
        assert_eq!(compare(Number::Float(-TWO_64), &below), Some(Greater));
        assert_eq!(
            compare(Number::Float(-TWO_64 * (1.0 + f64::EPSILON)), &below),
            Some(Less)
        );
        assert_eq!(
            compare(Number::Int(i128::from(i64::MIN)), &below),
            Some(Greater)
        );
        let endless = huge(&"ff".repeat(200), false);
        assert_eq!(compare(Number::Float(f64::MAX), &endless), Some(Less));
        assert_eq!(
            compare(Number::Float(f64::INFINITY), &endless),
            Some(Greater)
        );
        let endless = huge(&"ff".repeat(200), true);
        assert_eq!(compare(Number::Float(f64::MIN), &endless), Some(Greater));
        assert_eq!(
            compare(Number::Float(f64::NEG_INFINITY), &endless),
            Some(Less)
        );
    }

    #[test]
    fn equal_numbers_have_equal_keys() {
        let key = |n| NumberKey::of(n);
        assert_eq!(key(Number::Float(1.0)), key(Number::Int(1)));
        assert_eq!(key(Number::Float(-0.0)), key(Number::Int(0)));
        assert_eq!(
            key(Number::Float(-TWO_63)),
            key(Number::Int(i128::from(i64::MIN)))
        );
        assert_ne!(key(Number::Int(-1)), key(Number::Int(i128::from(u64::MAX))));
        assert_ne!(key(Number::Float(0.5)), key(Number::Int(0)));
        assert_eq!(key(Number::Float(f64::NAN)), None);
        assert_eq!(
            huge("010000000000000000", false).key(),
            key(Number::Float(TWO_64))
        );
        assert_eq!(huge("010000000000000001", false).key(), None);
    }
}
