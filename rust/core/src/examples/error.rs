//! The reason why it was not found out whether there is a text.

use core::fmt;

/// The reason why it is not known whether any text meets the demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExamplesError {
    reason: String,
}

impl ExamplesError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ExamplesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for ExamplesError {}
