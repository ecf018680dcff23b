//! Problems of a condition, as data: each has a stable code and a place.

use std::borrow::Cow;

use super::source::PathStep;

/// Stable codes of load-time problems. The embedding program has their titles and explanations.
///
/// ```
/// use factflow_core::conditions::Code;
///
/// assert_eq!(Code::InvalidPattern.as_str(), "E403");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// No operator has this name.
    UnknownOperator,
    /// The operator cannot be given a value of this type.
    WrongType,
    /// A regular expression that cannot be compiled within its bounds.
    InvalidPattern,
    /// A path that names no place.
    InvalidPath,
    /// A key that conditions do not have.
    UnknownKey,
    /// `field`, `operator` or `value` is not there.
    MissingKey,
    /// A list that must hold something is empty.
    Empty,
    /// Nested too deeply, or too large.
    TooLarge,
    /// A condition that is no mapping, or two conditions in one.
    NotACondition,
    /// A tagged literal that cannot be read.
    InvalidTag,
    /// Bounds that admit nothing, or cannot be compared with each other.
    InvalidBounds,
    /// A text that is no IP network.
    InvalidNetwork,
    /// A user's operator refuses the value.
    Refused,
}

impl Code {
    /// Every code, in order.
    pub const ALL: [Self; 13] = [
        Self::UnknownOperator,
        Self::WrongType,
        Self::InvalidPattern,
        Self::InvalidPath,
        Self::UnknownKey,
        Self::MissingKey,
        Self::Empty,
        Self::TooLarge,
        Self::NotACondition,
        Self::InvalidTag,
        Self::InvalidBounds,
        Self::InvalidNetwork,
        Self::Refused,
    ];

    /// Return the code as it is printed; it never changes its meaning.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownOperator => "E401",
            Self::WrongType => "E402",
            Self::InvalidPattern => "E403",
            Self::InvalidPath => "E404",
            Self::UnknownKey => "E405",
            Self::MissingKey => "E406",
            Self::Empty => "E407",
            Self::TooLarge => "E408",
            Self::NotACondition => "E409",
            Self::InvalidTag => "E410",
            Self::InvalidBounds => "E411",
            Self::InvalidNetwork => "E412",
            Self::Refused => "E413",
        }
    }
}

/// One problem of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind of problem.
    pub code: Code,
    /// Place, from the condition's root.
    pub path: Vec<PathStep>,
    /// The problem: what was expected, and what stands there.
    pub problem: String,
    /// The remedy: the text to write instead.
    pub remedy: String,
}

/// Position of the compiler while it reads, and its problems so far.
#[derive(Debug)]
pub struct Findings {
    path: Vec<PathStep>,
    found: Vec<Finding>,
}

impl Findings {
    /// Return an empty list of findings, for a compiler at this path.
    #[must_use]
    pub fn under_path(path: Vec<PathStep>) -> Self {
        Self {
            path,
            found: Vec::new(),
        }
    }

    /// Add a problem of the part that is being read.
    pub fn report(&mut self, code: Code, problem: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(Finding {
            code,
            path: self.path.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Read the part under a key.
    pub fn under<T>(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.within(PathStep::Key(key.into()), read)
    }

    /// Read the part at an index.
    pub fn at<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within(PathStep::Index(index), read)
    }

    fn within<T>(&mut self, step: PathStep, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = read(self);
        self.path.pop();
        result
    }

    /// Return the position of the compiler.
    #[must_use]
    pub fn path(&self) -> &[PathStep] {
        &self.path
    }

    /// Return all problems, in the order in which the condition was read.
    #[must_use]
    pub fn into_vec(self) -> Vec<Finding> {
        self.found
    }

    /// True if nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}
