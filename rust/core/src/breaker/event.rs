//! The events of a breaker: data for the caller to pass on.

use super::state::State;

/// An event of a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Time of the event, by the caller's clock.
    pub time_ns: u64,
    /// The kind of the event.
    pub kind: EventKind,
    /// The failure rate then; of a transition, before it. None below the minimum of calls.
    pub failure_rate: Option<f32>,
    /// The slow call rate then; of a transition, before it.
    pub slow_call_rate: Option<f32>,
    /// Number of the state afterwards: each state that is entered, or entered anew, has the next.
    pub generation: u64,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A call succeeded after so many nanoseconds. This and the next three only where calls are reported.
    Succeeded(u64),
    /// A call failed.
    Failed(u64),
    /// A call ended in a way that counts as nothing.
    Ignored(u64),
    /// A call was refused.
    NotPermitted,
    /// The failure rate reached its threshold (while closed or metrics only).
    FailureRateExceeded,
    /// The slow call rate reached its threshold (while closed or metrics only).
    SlowCallRateExceeded,
    /// A number of trial calls did not report within their lease; their places are free again.
    LeasesExpired(u32),
    /// The state changed.
    Transition {
        /// State before the change.
        from: State,
        /// State after it.
        to: State,
        /// Reason of the change.
        reason: Reason,
        /// Time that it will stay open, if it opened.
        wait_ns: Option<u64>,
    },
    /// The breaker was reset; only its lifetime counters remain.
    Reset,
}

impl EventKind {
    /// Return its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded(_) => "success",
            Self::Failed(_) => "error",
            Self::Ignored(_) => "ignored_error",
            Self::NotPermitted => "not_permitted",
            Self::FailureRateExceeded => "failure_rate_exceeded",
            Self::SlowCallRateExceeded => "slow_call_rate_exceeded",
            Self::LeasesExpired(_) => "leases_expired",
            Self::Transition { .. } => "transition",
            Self::Reset => "reset",
        }
    }
}

/// Reason of a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The failure rate reached its threshold, of calls or of trial calls; also if the slow call rate did, too.
    FailureRate,
    /// The slow call rate reached its threshold.
    SlowCallRate,
    /// A failure asked for a pause.
    RetryAfter,
    /// The wait in open was over.
    WaitElapsed,
    /// The trial calls stayed below both thresholds.
    TrialsPassed,
    /// The half-open state reached its longest duration.
    HalfOpenTimeout,
    /// The state was changed by hand.
    Manual,
    /// The breaker was reset by hand.
    Reset,
}

impl Reason {
    /// Return its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::RetryAfter => "retry_after",
            Self::WaitElapsed => "wait_elapsed",
            Self::TrialsPassed => "trials_passed",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::Manual => "manual",
            Self::Reset => "reset",
        }
    }
}
