//! The reason why a text or a list is not a path: kept separate from the reader, which is long enough.

use core::fmt;

/// The reason why something is not a path, with what to write instead.
///
/// ```
/// use factflow_core::conditions::FieldLocator;
///
/// let error = FieldLocator::parse("items[*].price").unwrap_err();
/// assert_eq!(error.problem(), "\"items[*].price\" names several fields");
/// assert_eq!(error.remedy(), "name one, by its index: [0] instead of [*]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    problem: String,
    remedy: String,
    index: Option<usize>,
}

impl PathError {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
            index: None,
        }
    }

    /// Return the error of one segment of a list.
    pub(super) fn at(self, index: usize) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }

    /// Return what is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Return what to write instead; empty where nothing can be named.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Return the place of the wrong segment in a list of them; None if the whole is wrong.
    #[must_use]
    pub const fn index(&self) -> Option<usize> {
        self.index
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl core::error::Error for PathError {}
