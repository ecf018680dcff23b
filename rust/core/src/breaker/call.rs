//! A call at the breaker's gate: its permit or refusal, its end, and what became of that.

use super::leases::LeaseId;
use super::state::State;

/// The right to make one call, to be given back with a result or without.
#[must_use = "a permit that is neither recorded nor released stays counted as in flight"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    pub(super) generation: u64,
    /// Lease of a trial call.
    pub(super) lease: Option<LeaseId>,
}

/// A call was not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that refused it.
    pub state: State,
    /// Time until the next possible call; None if only an operator can end the refusal.
    pub retry_after_ns: Option<u64>,
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// Outcome.
    pub outcome: Outcome,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A success.
    Success,
    /// A failure.
    Failure {
        /// Pause that the failure asked for.
        retry_after_ns: Option<u64>,
    },
    /// Neither: the call changes no rate.
    Ignored,
}

/// Effect of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Counted in the rates.
    Counted,
    /// Ignored, as its outcome says.
    Ignored,
    /// Result from an earlier state, or after its lease: counted in the lifetime counters only.
    Stale,
    /// Not recorded, because the breaker is disabled.
    Unrecorded,
}
