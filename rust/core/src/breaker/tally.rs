//! Counts of calls and the rates that follow from them.

/// Numbers of calls, of failed calls and of slow calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All calls.
    pub calls: u64,
    /// Failed calls.
    pub failed: u64,
    /// Slow calls, failed or not.
    pub slow: u64,
}

impl Tally {
    pub(super) fn add(&mut self, failed: bool, slow: bool) {
        self.calls += 1;
        self.failed += u64::from(failed);
        self.slow += u64::from(slow);
    }

    /// Subtract counts that were added before.
    pub(super) fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }

    /// Return failed calls per cent, once there were that many calls.
    #[must_use]
    pub fn failure_rate(&self, minimum: u64) -> Option<f32> {
        self.rate(self.failed, minimum)
    }

    /// Return slow calls per cent, once there were that many calls.
    #[must_use]
    pub fn slow_call_rate(&self, minimum: u64) -> Option<f32> {
        self.rate(self.slow, minimum)
    }

    /// Rates are single precision, as resilience4j's are. Divided in double and rounded once, they equal its quotient
    /// wherever that one is exact in its operands, and stay right beyond 2^24, where they are not.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts stay below 2^53, and rounding to single precision is the definition"
    )]
    fn rate(&self, part: u64, minimum: u64) -> Option<f32> {
        (self.calls >= minimum.max(1)).then(|| (part as f64 * 100.0 / self.calls as f64) as f32)
    }
}
