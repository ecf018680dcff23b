//! Concurrency limits: algorithms that find out how many calls at a time a dependency takes.
//!
//! Told when calls start and how they end, an algorithm answers how many may be in flight. Nothing here waits, reads a
//! clock or draws a number of its own: times are arguments, in integer nanoseconds, and randomness is injected. A step
//! allocates nothing. Every change of a limit comes with its reason and the statistics behind it.
//!
//! The algorithms that bear published names are exact to their originals, float arithmetic and corner cases included,
//! except where these break: no limit here ever reaches 0 or stops being a number. `adaptive` is this engine's own.
//!
//! One file each, and a line in `list`: `adaptive`, `fixed`, `aimd`, `vegas`, `gradient`, `gradient2`, `arc`,
//! `plateau`, `brpc`, `bbr`; `windowed` wraps those that have no windows of their own; `controller` gives permits as one
//! of them says; `simulation` compares them. `parameters` checks what they are made of, `change` is what they explain,
//! `arithmetic` is what is the same on every machine.

mod adaptive;
mod aimd;
mod arc;
mod arithmetic;
mod bbr;
mod brpc;
mod change;
mod controller;
mod fixed;
mod gradient;
mod gradient2;
mod jitter;
mod list;
mod parameters;
mod plateau;
pub mod simulation;
mod vegas;
mod windowed;

#[cfg(test)]
mod tests;

pub use change::Change;
pub use controller::{CallEnd, CallPermit, Controller, Counts, History, LimitBounds, own};
pub use jitter::Jitter;
pub use list::{NAMES, new_limit, parameter_names};
pub use parameters::{ParameterError, Parameters, Value};

/// A call that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Time at which the call started.
    pub start_ns: u64,
    /// Duration of the call.
    pub rtt_ns: u64,
    /// Calls in flight when it started, itself included.
    pub in_flight: u32,
    /// True if it failed from overload.
    pub dropped: bool,
}

impl Sample {
    /// Time at which it ended.
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.rtt_ns)
    }
}

/// Knowledge of an algorithm, for one that starts again after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The limit found.
    pub limit: u32,
    /// Latency of the dependency without a queue, or the usual one, if the algorithm knows it.
    pub baseline_ns: Option<u64>,
}

/// An algorithm with its state.
///
/// Each call is told by `started` and then by one of `sampled` and `ignored`. Algorithms of the sampling kind need only
/// `sampled`.
pub trait Limit: Send + Sync {
    /// Calls that may be in flight: 1 at least.
    fn limit(&self) -> u32;

    /// Last change of the limit; None before the first.
    fn last_change(&self) -> Option<&Change>;

    /// A call starts.
    fn started(&mut self, _now_ns: u64) {}

    /// A call wants to start, and may not.
    fn blocked(&mut self, _now_ns: u64) {}

    /// A call has ended, with a sample.
    fn sampled(&mut self, sample: &Sample);

    /// A call has ended, and nothing follows from it.
    fn ignored(&mut self, _now_ns: u64) {}

    /// True if it can use the sample.
    fn accepts(&self, _sample: &Sample) -> bool {
        true
    }

    /// Return what it has learnt, for `restore` after a restart.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.limit(),
            baseline_ns: None,
        }
    }

    /// Begin with what another of this kind has learnt, within the bounds of this one. Measurements begin anew.
    fn restore(&mut self, snapshot: Snapshot, now_ns: u64);

    /// True if the algorithm counts starts itself, so that samples alone do not do.
    fn counts_starts(&self) -> bool {
        false
    }

    /// True if the algorithm gathers samples itself, so that no windows may be put in front of it.
    fn has_windows(&self) -> bool {
        self.counts_starts()
    }
}

/// Return the integer limit of an estimate: its integer part, 1 at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates, and takes what is no number for 0"
)]
fn whole(estimate: f64) -> u32 {
    (estimate as u32).max(1)
}

/// Return a positive float as nanoseconds; None if it is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates, and takes what is no number for 0"
)]
fn nanoseconds(float: f64) -> Option<u64> {
    Some(float as u64).filter(|nanoseconds| *nanoseconds > 0)
}

/// Return nanoseconds as a float, as the originals compute with them.
#[expect(
    clippy::cast_precision_loss,
    reason = "durations are far below 2^53 ns"
)]
fn float(nanoseconds: u64) -> f64 {
    nanoseconds as f64
}
