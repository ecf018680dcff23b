//! Readings of a breaker.

use super::state::State;
use super::tally::Tally;

/// Counts over the breaker's life; they never fall, and no change of state resets them.
///
/// `permitted` = `succeeded` + `failed` + `ignored` + `released` + `unrecorded` + `in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Permits given out.
    pub permitted: u64,
    /// Calls refused.
    pub rejected: u64,
    /// Results that were successes, whether or not they counted.
    pub succeeded: u64,
    /// Results that were failures, whether or not they counted.
    pub failed: u64,
    /// Results of either kind that were slow.
    pub slow: u64,
    /// Results that change no rate.
    pub ignored: u64,
    /// Permits given back without a result.
    pub released: u64,
    /// Results of calls that a disabled breaker permitted.
    pub unrecorded: u64,
    /// Results that came too late to count: from an earlier state, or after their lease. They are among the
    /// succeeded and failed.
    pub stale: u64,
    /// Trial calls that did not report within their lease.
    pub leases_expired: u64,
    /// Permits that are not given back yet; the only count that falls.
    pub in_flight: u64,
}

/// A breaker at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// State.
    pub state: State,
    /// Time at which the state was entered.
    pub since_ns: u64,
    /// Number of the state: each state that is entered, or entered again, has the next one.
    pub generation: u64,
    /// The calls that its rates are about.
    pub window: Tally,
    /// Failed calls per cent; None below the minimum of calls.
    pub failure_rate: Option<f32>,
    /// Slow calls per cent; None below the minimum of calls.
    pub slow_call_rate: Option<f32>,
    /// Calls refused since those of the window began to be counted.
    pub rejected: u64,
    /// Times that it opened in a row since it was last closed.
    pub attempt: u32,
    /// Places for trial calls that are free; 0 unless half open.
    pub trial_places: u32,
    /// Time until a refused call may be permitted: 0 if one may be now, None if only an operator can change that.
    pub retry_after_ns: Option<u64>,
    /// Counts over its life.
    pub totals: Totals,
}
