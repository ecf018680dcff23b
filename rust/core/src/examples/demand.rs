//! What is asked of a text.

/// One demand on a text, or on bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A pattern is found somewhere in it.
    Matches(String),
    /// It begins with these bytes.
    StartsWith(Vec<u8>),
    /// It ends with these bytes.
    EndsWith(Vec<u8>),
    /// It holds these bytes.
    Contains(Vec<u8>),
    /// Beside `text`, by the order of bytes, it is one of those that are true.
    Ordered {
        /// What it is compared with.
        text: Vec<u8>,
        /// It may be below.
        below: bool,
        /// It may be equal.
        equal: bool,
        /// It may be above.
        above: bool,
    },
    /// It has so many characters, or bytes if it is not text.
    Length {
        /// At least.
        lowest: u64,
        /// At most; `None` for no bound.
        highest: Option<u64>,
    },
}
