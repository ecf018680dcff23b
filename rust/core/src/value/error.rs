//! What can be wrong with bytes that claim to be a value.

use core::fmt;

/// Why bytes are not a value, and at which byte that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: Kind,
    /// Byte, counted from the beginning of the input, at which the offending item begins.
    pub offset: usize,
}

/// What is wrong. [`Kind::is_truncated`] tells an early end from corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
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

impl Kind {
    /// Whether more bytes could make the input valid; everything else stays wrong whatever follows.
    #[must_use]
    pub const fn is_truncated(self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}

impl Error {
    /// An error of this kind at this byte.
    #[must_use]
    pub const fn new(kind: Kind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// Whether more bytes could make the input valid.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.kind.is_truncated()
    }

    #[cold]
    pub(crate) const fn truncated(offset: usize, needed: u64, remaining: usize) -> Self {
        Self::new(
            Kind::Truncated {
                needed,
                remaining: remaining as u64,
            },
            offset,
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Truncated { needed, remaining } => {
                write!(
                    f,
                    "expected an item of at least {needed} bytes, came {remaining}: the input ends too early"
                )
            }
            Kind::ReservedByte => write!(f, "expected a value, came the reserved byte 0xc1"),
            Kind::InvalidUtf8 => write!(
                f,
                "expected UTF-8 text, came other bytes; carry them as bin"
            ),
            Kind::TimestampLength(length) => {
                write!(
                    f,
                    "expected a timestamp of 4, 8 or 12 bytes, came one of {length}"
                )
            }
            Kind::TimestampNanoseconds(nanoseconds) => {
                write!(
                    f,
                    "expected a timestamp with at most 999999999 nanoseconds, came {nanoseconds}"
                )
            }
            Kind::KeyNotString(marker) => write!(
                f,
                "expected a string as map key, came marker 0x{marker:02x}"
            ),
            Kind::DuplicateKey => write!(
                f,
                "expected each key of a map once, came one for the second time"
            ),
            Kind::TooDeep(limit) => write!(
                f,
                "expected at most {limit} nested containers, came one more"
            ),
            Kind::TooManyElements(limit) => {
                write!(f, "expected at most {limit} elements, came more")
            }
            Kind::TrailingBytes(count) => {
                write!(f, "expected the end of the value, came {count} more bytes")
            }
        }?;
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for Error {}
