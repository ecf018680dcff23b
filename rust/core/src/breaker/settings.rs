//! A breaker's parameters, their defaults and their bounds.

use core::fmt;

const SECOND_NS: u64 = 1_000_000_000;
const MAX_CALLS: u32 = 1_000_000;

/// Calls on which the rates are based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sliding {
    /// The last so many calls.
    Calls(u32),
    /// The calls that ended in the last so many seconds.
    Seconds(u32),
}

/// State of a breaker that was half open for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterHalfOpen {
    /// Back to open.
    Open,
    /// On to closed.
    Closed,
}

/// Use of the wait that a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Keep the breaker open at least that long when it opens.
    Extend,
    /// Open the breaker at once, for that long.
    Open,
    /// Ignore it.
    Ignore,
}

/// A breaker's parameters; the defaults suit calls made for messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Per cent of failed calls at which it opens: above 0, up to 100.
    pub failure_rate_threshold: f64,
    /// Per cent of slow calls at which it opens: above 0, up to 100.
    pub slow_call_rate_threshold: f64,
    /// Duration in nanoseconds above which a call is slow: 1 at least.
    pub slow_call_duration_ns: u64,
    /// Calls on which the rates are based: 1 to a million calls or seconds.
    pub window: Sliding,
    /// Calls before a rate means anything: 1 at least. No more than a window of calls or of trial calls holds.
    pub minimum_calls: u32,
    /// First wait in open: a millisecond at least.
    pub wait_ns: u64,
    /// Factor of the wait, each time: 1 at least.
    pub wait_multiplier: f64,
    /// Longest wait; at least the first one.
    pub max_wait_ns: u64,
    /// Largest share of a wait that jitter removes: 0 to 1.
    pub wait_jitter: f64,
    /// True if the end of the wait makes it half open without a call.
    pub automatic_half_open: bool,
    /// Number of trial calls that half open permits: 1 to a million.
    pub trial_calls: u32,
    /// Longest time in half open; None for no bound.
    pub max_half_open_ns: Option<u64>,
    /// State after that time.
    pub after_half_open: AfterHalfOpen,
    /// Time for which a trial call holds its place: 1 at least.
    pub lease_ns: u64,
    /// Use of the wait that a failure asks for.
    pub retry_after: RetryAfter,
    /// Longest wait that a failure may ask for.
    pub max_retry_after_ns: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_ns: 60 * SECOND_NS,
            window: Sliding::Calls(100),
            minimum_calls: 20,
            wait_ns: 5 * SECOND_NS,
            wait_multiplier: 2.0,
            max_wait_ns: 60 * SECOND_NS,
            wait_jitter: 0.1,
            automatic_half_open: false,
            trial_calls: 3,
            max_half_open_ns: None,
            after_half_open: AfterHalfOpen::Open,
            lease_ns: 120 * SECOND_NS,
            retry_after: RetryAfter::Extend,
            max_retry_after_ns: 3600 * SECOND_NS,
        }
    }
}

/// A parameter outside its bounds.
///
/// ```
/// use factflow_core::breaker::Settings;
///
/// let error = Settings { wait_jitter: 2.0, ..Settings::default() }.check().unwrap_err();
/// assert_eq!(error.to_string(), "wait_jitter: expected 0 to 1, got 2");
/// assert_eq!(error.field(), "wait_jitter");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsError {
    field: &'static str,
    problem: String,
}

impl SettingsError {
    /// Return the parameter's name, as configurations have it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl core::error::Error for SettingsError {}

impl Settings {
    /// Check every bound.
    pub fn check(&self) -> Result<(), SettingsError> {
        // A threshold that rounds to zero in the rates' precision would be reached without failures.
        let rate = |rate: f64| rate <= 100.0 && single(rate) > 0.0;
        let size = match self.window {
            Sliding::Calls(size) | Sliding::Seconds(size) => size,
        };
        let (failure, slow) = (self.failure_rate_threshold, self.slow_call_rate_threshold);
        require(
            rate(failure),
            "failure_rate_threshold",
            "per cent, above 0 and up to 100",
            failure,
        )?;
        require(
            rate(slow),
            "slow_call_rate_threshold",
            "per cent, above 0 and up to 100",
            slow,
        )?;
        require(
            self.slow_call_duration_ns >= 1,
            "slow_call_duration",
            "a nanosecond or more",
            "0",
        )?;
        require(
            (1..=MAX_CALLS).contains(&size),
            "sliding_window_size",
            "1 to 1000000",
            size,
        )?;
        require(
            self.minimum_calls >= 1,
            "minimum_calls",
            "1 or more",
            self.minimum_calls,
        )?;
        require(
            self.wait_ns >= 1_000_000,
            "wait_duration",
            "a millisecond or more",
            Seconds(self.wait_ns),
        )?;
        require(
            self.wait_multiplier >= 1.0 && self.wait_multiplier.is_finite(),
            "wait_multiplier",
            "1 or more",
            self.wait_multiplier,
        )?;
        require(
            self.max_wait_ns >= self.wait_ns,
            "max_wait_duration",
            "no less than wait_duration",
            Seconds(self.max_wait_ns),
        )?;
        require(
            (0.0..=1.0).contains(&self.wait_jitter),
            "wait_jitter",
            "0 to 1",
            self.wait_jitter,
        )?;
        require(
            (1..=MAX_CALLS).contains(&self.trial_calls),
            "permitted_calls_in_half_open",
            "1 to 1000000",
            self.trial_calls,
        )?;
        require(
            self.max_half_open_ns != Some(0),
            "max_half_open",
            "more than 0, or none for ever",
            "0",
        )?;
        require(
            self.lease_ns >= 1,
            "half_open_lease",
            "a nanosecond or more",
            "0",
        )
    }

    /// Return the number of calls before the rates of the window mean anything.
    pub(super) fn minimum(&self) -> u64 {
        u64::from(match self.window {
            Sliding::Calls(size) => self.minimum_calls.min(size),
            Sliding::Seconds(_) => self.minimum_calls,
        })
    }

    /// Return the number of trial calls whose results decide.
    pub(super) fn trial_minimum(&self) -> u64 {
        u64::from(self.minimum_calls.min(self.trial_calls))
    }

    pub(super) fn is_failing(&self, rate: Option<f32>) -> bool {
        rate.is_some_and(|rate| rate >= single(self.failure_rate_threshold))
    }

    pub(super) fn is_slow(&self, rate: Option<f32>) -> bool {
        rate.is_some_and(|rate| rate >= single(self.slow_call_rate_threshold))
    }
}

/// A threshold in the precision of the rates that it is compared with.
#[expect(
    clippy::cast_possible_truncation,
    reason = "thresholds are compared in single precision"
)]
fn single(rate: f64) -> f32 {
    rate as f32
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    #[expect(clippy::cast_precision_loss, reason = "for a reader")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0 as f64 / 1e9)
    }
}

fn require(
    holds: bool,
    field: &'static str,
    expected: &str,
    got: impl fmt::Display,
) -> Result<(), SettingsError> {
    if holds {
        return Ok(());
    }
    Err(SettingsError {
        field,
        problem: format!("expected {expected}, got {got}"),
    })
}
