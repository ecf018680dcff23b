//! `Failures`: a test of whether more calls fail than a dependency's own bugs explain.

use super::super::{Sample, float};

/// Logarithms of odds that three calls in ten fail, which is taken for overload, against one in ten, which may be whatever
/// the limit is: ln(.3 / .1) for a failure, ln(.7 / .9) for a success.
const ODDS_OF_FAILURE: f64 = 1.098_612;
const ODDS_OF_SUCCESS: f64 = -0.251_314;
/// Natural logarithm of the odds at which it is believed: with one failure in twenty
/// calls, a false alarm in some million of them.
const SURE: f64 = 8.0;

/// Share of failures between the few and the many.
const LEAST_SHARE: f64 = 0.2;
/// Most that the failures of one instant count: what happens once to all that are there is one event.
const MOST_OF_AN_INSTANT: f64 = 3.2;
/// Multiple of the usual latency from which on a call that failed is taken to have waited.
pub(super) const SLOW: u64 = 2;
/// Length of an instant, as a part of a latency.
const INSTANT: u64 = 16;

/// Page's cumulative sum test (1954): the odds that many calls fail, against few, at the best time for it to have begun.
///
/// Eight calls at three times are enough if all of them fail; some hundred if a quarter does. One failure in twenty never
/// is, nor are the failures of one instant: a connection that breaks under all its calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    /// Odds until the present instant, and of it.
    odds: f64,
    present: f64,
    /// Time until which it lasts.
    until_ns: u64,
    failed: f64,
    calls: f64,
    /// True while more calls than before are tried: what fails then is taken to fail by that.
    each_counts: bool,
    /// Sum of the durations of failed calls.
    sum_ns: f64,
}

impl Failures {
    /// Add a call, where calls usually last so long.
    pub(super) fn add(&mut self, sample: &Sample, usual_ns: u64) {
        let now_ns = sample.end_ns();
        if now_ns > self.until_ns {
            self.odds = self.odds();
            self.present = 0.0;
            let length_ns = if usual_ns > 0 {
                usual_ns
            } else {
                sample.rtt_ns
            } / INSTANT;
            self.until_ns = now_ns.saturating_add(length_ns);
        }
        self.calls += 1.0;
        if sample.dropped {
            self.failed += 1.0;
            self.sum_ns += float(sample.rtt_ns);
            if self.each_counts || sample.rtt_ns > usual_ns.saturating_mul(SLOW) {
                self.odds += ODDS_OF_FAILURE;
            } else {
                self.present += ODDS_OF_FAILURE;
            }
        } else {
            self.present += ODDS_OF_SUCCESS;
        }
        if self.odds + self.present <= 0.0 {
            self.forget();
        }
    }

    fn odds(&self) -> f64 {
        self.odds + self.present.min(MOST_OF_AN_INSTANT)
    }

    /// True if they are overload, or a dependency that is down; `in_flight` calls have not ended, and usually last so long.
    ///
    /// Calls that fail fast end before those that started with them and may succeed: these count as if they did.
    pub(super) fn is_many(&self, in_flight: u32, usual_ns: u64) -> bool {
        let is_fast = self.mean_ns() < float(usual_ns) / 2.0;
        let unknown = if is_fast { f64::from(in_flight) } else { 0.0 };
        self.odds() > SURE && self.failed >= LEAST_SHARE * (self.calls + unknown)
    }

    /// Share of failures since they may have begun.
    pub(super) fn share(&self) -> f64 {
        self.failed / self.calls.max(1.0)
    }

    /// Mean duration of the failed calls.
    pub(super) fn mean_ns(&self) -> f64 {
        self.sum_ns / self.failed.max(1.0)
    }

    /// Begin anew: what follows meets another limit.
    pub(super) fn forget(&mut self) {
        *self = Self {
            until_ns: self.until_ns,
            each_counts: self.each_counts,
            ..Self::default()
        };
    }

    /// Note whether more calls than before are tried from now on.
    pub(super) fn expect(&mut self, more_are_tried: bool) {
        self.each_counts = more_are_tried;
    }
}
