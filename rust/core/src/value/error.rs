//! The fault of bytes that claim to be a value.

use core::fmt;

/// The reason why bytes are not a value, and the byte at which that shows.
///
/// The text says what was expected and what it got; [`is_truncated`](Self::is_truncated) tells an early end from
/// corruption. The kinds are private, so that a new one breaks no caller.
///
/// ```
/// use factflow_core::value::{Limits, validate};
///
/// let error = validate(&[0x92, 0x01, 0xc1], &Limits::DEFAULT).unwrap_err();
/// assert_eq!(error.to_string(), "expected a value, got the reserved byte 0xc1 (at byte 2)");
/// assert_eq!((error.offset(), error.is_truncated()), (2, false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueError {
    fault: ValueFault,
    offset: usize,
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFault {
    /// The item needs more bytes than there are.
    Truncated {
        /// Least number of bytes that must follow the item's offset.
        needed: u64,
        /// Number of bytes that do.
        remaining: u64,
    },
    /// 0xc1, which msgpack never uses.
    ReservedByte,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// Extension -1 of a length other than 4, 8 or 12 bytes.
    TimestampLength(u32),
    /// A timestamp with a billion nanoseconds or more.
    TimestampNanoseconds(u32),
    /// A map key that is not a string; the byte is its marker.
    KeyNotString(u8),
    /// The same key twice in one map; the offset is the second one's.
    DuplicateKey,
    /// Containers are nested deeper than this limit.
    TooDeep(u32),
    /// There are more elements, keys and values together, than this limit.
    TooManyElements(u32),
    /// The value ended and this many bytes follow it.
    TrailingBytes(u64),
}

impl ValueError {
    pub(crate) const fn new(fault: ValueFault, offset: usize) -> Self {
        Self { fault, offset }
    }

    #[cold]
    pub(crate) const fn truncated(offset: usize, needed: u64, remaining: usize) -> Self {
        Self::new(
            ValueFault::Truncated {
                needed,
                remaining: remaining as u64,
            },
            offset,
        )
    }

    /// Return the byte, counted from the beginning of the input, at which the offending item begins.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// True if more bytes could make the input valid; everything else stays wrong whatever follows.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.fault, ValueFault::Truncated { .. })
    }

    /// Return the same error of a value that begins `base` bytes into something else.
    #[must_use]
    pub(crate) const fn within(self, base: usize) -> Self {
        Self::new(self.fault, self.offset + base)
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            ValueFault::Truncated { needed, remaining } => {
                write!(
                    f,
                    "expected an item of at least {needed} bytes, got {remaining}: the input ends too early"
                )
            }
            ValueFault::ReservedByte => write!(f, "expected a value, got the reserved byte 0xc1"),
            ValueFault::InvalidUtf8 => {
                write!(f, "expected UTF-8 text, got other bytes; carry them as bin")
            }
            ValueFault::TimestampLength(length) => {
                write!(
                    f,
                    "expected a timestamp of 4, 8 or 12 bytes, got one of {length}"
                )
            }
            ValueFault::TimestampNanoseconds(nanoseconds) => {
                write!(
                    f,
                    "expected a timestamp with at most 999999999 nanoseconds, got {nanoseconds}"
                )
            }
            ValueFault::KeyNotString(marker) => {
                write!(f, "expected a string as map key, got marker 0x{marker:02x}")
            }
            ValueFault::DuplicateKey => {
                write!(
                    f,
                    "expected each key of a map once, got one for the second time"
                )
            }
            ValueFault::TooDeep(limit) => {
                write!(
                    f,
                    "expected at most {limit} nested containers, got one more"
                )
            }
            ValueFault::TooManyElements(limit) => {
                write!(f, "expected at most {limit} elements, got more")
            }
            ValueFault::TrailingBytes(count) => {
                write!(f, "expected the end of the value, got {count} more bytes")
            }
        }?;
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for ValueError {}
