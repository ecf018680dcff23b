//! The six states, and which of them an operator may move a breaker to.

use core::fmt;

/// The state of a breaker, which decides what it does with calls.
///
/// ```
/// use factflow_core::breaker::State;
///
/// assert_eq!(State::from_name("half_open"), Some(State::HalfOpen));
/// assert!(!State::Closed.may_move_to(State::HalfOpen));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Permits every call and watches the rates.
    Closed,
    /// Permits none until its wait is over.
    Open,
    /// Permits a few trial calls, whose results decide.
    HalfOpen,
    /// Permits none until it is moved by hand.
    ForcedOpen,
    /// Permits every call and records nothing.
    Disabled,
    /// Permits every call and records it, but never trips.
    MetricsOnly,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// Return its name, as configurations and reports have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// Return the state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True if a breaker may be moved by hand from this state to that one. Every state may be entered anew.
    #[must_use]
    pub fn may_move_to(self, to: Self) -> bool {
        match self {
            Self::Open | Self::HalfOpen | Self::ForcedOpen | Self::Disabled => true,
            // No failure was seen yet that trial calls could test.
            Self::Closed => to != Self::HalfOpen,
            // Metrics only never trips, not by hand either: to trip it, move it to closed first.
            Self::MetricsOnly => !matches!(to, Self::Open | Self::HalfOpen),
        }
    }
}

/// Forbidden change of a breaker's state; the breaker is unchanged.
///
/// ```
/// use factflow_core::breaker::{Machine, Settings, State};
///
/// let mut breaker = Machine::new(Settings::default(), 7, 0)?;
/// let error = breaker.transition_to(State::HalfOpen, 1_000).unwrap_err();
/// assert_eq!(error.to_string(), "a breaker that is closed cannot be moved to half_open");
/// # Ok::<(), factflow_core::breaker::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalTransition {
    from: State,
    to: State,
}

impl IllegalTransition {
    pub(super) const fn new(from: State, to: State) -> Self {
        Self { from, to }
    }
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a breaker that is {} cannot be moved to {}",
            self.from.as_str(),
            self.to.as_str()
        )
    }
}

impl core::error::Error for IllegalTransition {}
