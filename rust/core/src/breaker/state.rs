//! The six states, and which of them an operator may move a breaker to.

use core::fmt;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Permits every call and watches the rates.
    Closed,
    /// Permits none until its wait is over.
    Open,
    /// Permits a few trial calls, whose results decide.
    HalfOpen,
    /// Permits none until somebody moves it.
    ForcedOpen,
    /// Permits every call and records nothing.
    Disabled,
    /// Permits every call and records it, but never trips.
    MetricsOnly,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// Its name, as configurations and reports have it.
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

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a breaker may be moved by hand from this state to that one. Every state may be entered anew.
    #[must_use]
    pub fn may_move_to(self, to: Self) -> bool {
        match self {
            Self::Open | Self::HalfOpen | Self::ForcedOpen | Self::Disabled => true,
            // Nothing is known yet that trial calls could decide.
            Self::Closed => to != Self::HalfOpen,
            // It never trips, by hand neither: whoever wants that leaves it for closed first.
            Self::MetricsOnly => !matches!(to, Self::Open | Self::HalfOpen),
        }
    }
}

/// A breaker was to be moved where it may not go; it is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalTransition {
    /// Where it is.
    pub from: State,
    /// Where it was to go.
    pub to: State,
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
