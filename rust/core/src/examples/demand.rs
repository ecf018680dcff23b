//! Demands on a text.

/// One demand on a text, or on bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A match of a pattern somewhere in it.
    Matches(String),
    /// These bytes at its beginning.
    StartsWith(Vec<u8>),
    /// These bytes at its end.
    EndsWith(Vec<u8>),
    /// These bytes somewhere in it.
    Contains(Vec<u8>),
    /// A place beside `text`, in the order of bytes: any of those that are true.
    Ordered {
        /// The text beside it.
        text: Vec<u8>,
        /// True if it may be below.
        below: bool,
        /// True if it may be equal.
        equal: bool,
        /// True if it may be above.
        above: bool,
    },
    /// Number of characters; of bytes if it is not text.
    Length {
        /// At least.
        lowest: u64,
        /// At most; `None` for no bound.
        highest: Option<u64>,
    },
}
