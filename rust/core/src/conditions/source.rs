//! A condition as its author wrote it, before it is checked.
//!
//! Kept separate from the language that it was written in: the embedding program turns its own objects into this
//! tree.

use core::cmp::Ordering;
use std::borrow::Cow;
use std::sync::Arc;

/// An integer of any size: an author may write one that no message can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integer {
    /// One that a message can carry: within [`i64::MIN`] and [`u64::MAX`].
    Small(i128),
    /// One outside that range.
    Huge {
        /// Below zero.
        negative: bool,
        /// Absolute value, most significant byte first, without leading zeros.
        magnitude: Vec<u8>,
    },
}

impl Integer {
    /// Return the integer with this sign and absolute value, most significant byte first.
    #[must_use]
    pub fn from_magnitude(negative: bool, magnitude: &[u8]) -> Self {
        let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count();
        let magnitude = &magnitude[zeros..];
        if magnitude.len() <= 8 {
            let size = magnitude
                .iter()
                .fold(0_i128, |sum, &byte| sum << 8 | i128::from(byte));
            let number = if negative { -size } else { size };
            if number >= i128::from(i64::MIN) {
                return Self::Small(number);
            }
        }
        Self::Huge {
            negative,
            magnitude: magnitude.to_vec(),
        }
    }

    fn is_negative(&self) -> bool {
        match self {
            Self::Small(number) => *number < 0,
            Self::Huge { negative, .. } => *negative,
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(one), Self::Small(two)) => one.cmp(two),
            (Self::Small(_), Self::Huge { negative, .. }) => {
                if *negative {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Self::Huge { .. }, Self::Small(_)) => other.cmp(self).reverse(),
            (Self::Huge { magnitude: one, .. }, Self::Huge { magnitude: two, .. }) => {
                match (self.is_negative(), other.is_negative()) {
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (negative, _) => {
                        let size = one.len().cmp(&two.len()).then_with(|| one.cmp(two));
                        if negative { size.reverse() } else { size }
                    }
                }
            }
        }
    }
}

/// A condition, or a part of one, as its author wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(Integer),
    /// Any other number, NaN and the infinities included.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Bytes.
    Bin(Vec<u8>),
    /// Values in order.
    List(Vec<Source>),
    /// Entries in the order in which they were written; keys may be anything and may repeat.
    Map(Vec<(Source, Source)>),
    /// An instant: seconds since the Unix epoch, and nanoseconds forward from there.
    Timestamp(i64, u32),
    /// An application's extension: its code and its bytes.
    Ext(i8, Vec<u8>),
    /// A value that no message can carry; the text names its type.
    Foreign(String),
    /// A value beyond the reader's bounds of depth or size.
    Excess,
}

impl Source {
    /// Describe the value for a message to the author.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nil => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Int(Integer::Small(number)) => format!("the integer {number}"),
            Self::Int(Integer::Huge { .. }) => "an integer of more than 64 bits".into(),
            Self::Float(number) => format!("the float {number:?}"),
            Self::Str(text) => format!("the string {}", quote(text)),
            Self::Bin(_) => "bytes".into(),
            Self::List(items) if items.is_empty() => "an empty list".into(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(entries) if entries.is_empty() => "an empty mapping".into(),
            Self::Map(_) => "a mapping".into(),
            Self::Timestamp(..) => "a timestamp".into(),
            Self::Ext(..) => "an extension value".into(),
            Self::Foreign(name) => format!("a {name}"),
            Self::Excess => "something nested too deeply".into(),
        }
    }
}

/// Return the text in quotes, cut where it would fill the screen.
#[must_use]
pub fn quote(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head:?}...")
}

/// One step from the root of a condition to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// Into a mapping.
    Key(Cow<'static, str>),
    /// Into a list.
    Index(usize),
}
