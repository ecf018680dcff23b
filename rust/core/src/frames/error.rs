//! What can be wrong with bytes that claim to be a frame.

use core::fmt;

use crate::value;

/// Why bytes are not a frame, and at which byte that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: Kind,
    /// Byte, counted from the beginning of the input or of the stream.
    pub offset: u64,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The input ends within a frame.
    Truncated {
        /// Bytes that the frame has, as far as is known.
        needed: u64,
        /// Bytes of it that are there.
        remaining: u64,
    },
    /// The first byte is another than format 1's.
    Format(u8),
    /// Flags that this version does not know.
    Flags(u8),
    /// The frame is, or would be, longer than the limit.
    TooLarge {
        /// Bytes that the frame says it has.
        declared: u64,
        /// Most bytes that a frame may have.
        limit: u64,
    },
    /// The bytes are not those that the sender wrote.
    Checksum {
        /// What the frame says.
        declared: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A field of the header is of another type or out of range.
    Header(&'static str),
    /// Header or payload is not a valid value.
    Value(value::Kind),
    /// The frame ended and this many bytes follow it.
    TrailingBytes(u64),
}

impl Error {
    /// An error of this kind at this byte.
    #[must_use]
    pub const fn new(kind: Kind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// Whether more bytes could complete the frame. A value that ends early within a frame of the right checksum is
    /// corrupt: its sender wrote it so.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.kind, Kind::Truncated { .. })
    }

    /// The same, of a part that begins at `base`.
    #[must_use]
    pub const fn within(self, base: u64) -> Self {
        Self {
            kind: self.kind,
            offset: self.offset + base,
        }
    }

    /// An error of the value that begins `base` bytes after the frame.
    pub(super) const fn of_value(error: value::Error) -> Self {
        Self::new(Kind::Value(error.kind), error.offset as u64)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Truncated { needed, remaining } => {
                write!(
                    f,
                    "expected a frame of at least {needed} bytes, came {remaining}: the input ends too early"
                )
            }
            Kind::Format(byte) => {
                write!(
                    f,
                    "expected a frame of format 1, which begins with 0xc1, came 0x{byte:02x}"
                )
            }
            Kind::Flags(flags) => write!(
                f,
                "expected no flags, which format 1 does not define, came 0x{flags:02x}"
            ),
            Kind::TooLarge { declared, limit } => {
                write!(
                    f,
                    "expected a frame of at most {limit} bytes, came one of {declared}; raise the limit if it may be so large"
                )
            }
            Kind::Checksum { declared, computed } => {
                write!(
                    f,
                    "expected bytes with checksum {declared:08x}, came bytes with {computed:08x}: they were changed on the way"
                )
            }
            Kind::Header(expected) => write!(
                f,
                "expected {expected} in the frame's header, came something else"
            ),
            Kind::Value(kind) => {
                return value::Error::new(kind, usize::try_from(self.offset).unwrap_or(usize::MAX))
                    .fmt(f);
            }
            Kind::TrailingBytes(count) => {
                write!(f, "expected the end of the frame, came {count} more bytes")
            }
        }?;
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for Error {}
