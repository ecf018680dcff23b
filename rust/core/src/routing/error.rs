//! The reason why a table cannot be built: kept separate so that the crate which searches texts can be changed.

use core::fmt;

use aho_corasick::BuildError;

/// The reason why a table cannot be built: its rules search one field for more text than an automaton can number.
#[derive(Clone, Debug)]
pub struct TableError {
    fault: BuildError,
}

impl From<BuildError> for TableError {
    fn from(fault: BuildError) -> Self {
        Self { fault }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the table holds too much text to search for: {}",
            self.fault
        )
    }
}

impl core::error::Error for TableError {}
