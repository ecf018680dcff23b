//! A call at the breaker's gate: its permit or refusal, its end, and what became of that.

use super::leases::LeaseId;
use super::state::State;

/// The right to make one call, to be given back with a result or without.
#[must_use = "a permit that is neither recorded nor released stays counted as in flight"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    pub(super) generation: u64,
    /// Of a trial call.
    pub(super) lease: Option<LeaseId>,
}

/// A call was not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that refused it.
    pub state: State,
    /// When to ask again; None if only an operator can change the answer.
    pub retry_after_ns: Option<u64>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// How long it took.
    pub duration_ns: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts as a success.
    Success,
    /// It counts as a failure.
    Failure {
        /// For how long the failure asked to stay away.
        retry_after_ns: Option<u64>,
    },
    /// It counts as nothing.
    Ignored,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts in the rates.
    Counted,
    /// It counts as nothing, as it was said to.
    Ignored,
    /// It came from an earlier state, or after its lease: lifetime counters only.
    Stale,
    /// A disabled breaker records nothing.
    Unrecorded,
}
