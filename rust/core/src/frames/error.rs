//! The fault of bytes that claim to be a frame.

use core::fmt;

use crate::value::ValueError;

/// The reason why bytes are not a frame, and the byte at which that shows.
///
/// ```
/// use factflow_core::frames::{DEFAULT_MAX_BYTES, decode};
/// use factflow_core::value::Limits;
///
/// let error = decode(&[0xc1, 0x40], DEFAULT_MAX_BYTES, &Limits::DEFAULT).unwrap_err();
/// assert_eq!(error.to_string(), "expected no flags, which format 1 does not define, got 0x40 (at byte 1)");
/// assert_eq!((error.offset(), error.is_truncated()), (1, false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    fault: FrameFault,
    offset: u64,
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameFault {
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
        /// Checksum in the frame.
        declared: u32,
        /// Checksum of its bytes.
        computed: u32,
    },
    /// A field of the header is of another type or out of range.
    Header(&'static str),
    /// Header or payload is not a valid value. The error's own offset is the frame error's.
    Value(ValueError),
    /// The frame ended and this many bytes follow it.
    TrailingBytes(u64),
}

impl FrameError {
    pub(super) const fn new(fault: FrameFault, offset: u64) -> Self {
        Self { fault, offset }
    }

    /// Return the byte, counted from the beginning of the input or of the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// True if more bytes could complete the frame. A value that ends early within a frame of the right checksum is
    /// corrupt: its sender wrote it so.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.fault, FrameFault::Truncated { .. })
    }

    /// True if a value in the input ends too early, which is no fault if the input was cut there.
    #[must_use]
    pub(super) const fn is_of_cut_value(&self) -> bool {
        matches!(self.fault, FrameFault::Value(error) if error.is_truncated())
    }

    /// Return the same error of a part that begins at `base`.
    #[must_use]
    pub(super) const fn within(self, base: u64) -> Self {
        Self::new(self.fault, self.offset + base)
    }

    /// Return the error of a value in the frame.
    pub(super) const fn of_value(error: ValueError) -> Self {
        Self::new(FrameFault::Value(error), error.offset() as u64)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            FrameFault::Truncated { needed, remaining } => {
                write!(
                    f,
                    "expected a frame of at least {needed} bytes, got {remaining}: the input ends too early"
                )
            }
            FrameFault::Format(byte) => {
                write!(
                    f,
                    "expected a frame of format 1, which begins with 0xc1, got 0x{byte:02x}"
                )
            }
            FrameFault::Flags(flags) => write!(
                f,
                "expected no flags, which format 1 does not define, got 0x{flags:02x}"
            ),
            FrameFault::TooLarge { declared, limit } => {
                write!(
                    f,
                    "expected a frame of at most {limit} bytes, got one of {declared}; raise the limit if it may be so large"
                )
            }
            FrameFault::Checksum { declared, computed } => {
                write!(
                    f,
                    "expected bytes with checksum {declared:08x}, got bytes with {computed:08x}: they were changed on the way"
                )
            }
            FrameFault::Header(expected) => write!(
                f,
                "expected {expected} in the frame's header, got something else"
            ),
            FrameFault::Value(error) => {
                let base = usize::try_from(self.offset).unwrap_or(usize::MAX) - error.offset();
                return error.within(base).fmt(f);
            }
            FrameFault::TrailingBytes(count) => {
                write!(f, "expected the end of the frame, got {count} more bytes")
            }
        }?;
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for FrameError {}
