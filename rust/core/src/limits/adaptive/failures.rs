//! `Failures`: a test of whether more calls fail than a dependency's own bugs explain.

/// Logarithms of odds that three calls in ten fail, which is taken for overload, against one in ten, which may be whatever
/// the limit is: ln(.3 / .1) for a failure, ln(.7 / .9) for a success.
const ODDS_OF_FAILURE: f64 = 1.098_612;
const ODDS_OF_SUCCESS: f64 = -0.251_314;
/// Natural logarithm of the odds at which it is believed: with one failure in twenty
/// calls, a false alarm in some million of them.
const SURE: f64 = 8.0;

/// Page's cumulative sum test (1954): the odds that many calls fail, against few, at the best time for it to have begun.
///
/// Eight calls are enough if all of them fail; some hundred if a quarter does. One failure in twenty never is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    odds: f64,
    failed: f64,
    calls: f64,
}

impl Failures {
    pub(super) fn add(&mut self, failed: bool) {
        self.calls += 1.0;
        if failed {
            self.failed += 1.0;
            self.odds += ODDS_OF_FAILURE;
        } else {
            self.odds += ODDS_OF_SUCCESS;
        }
        if self.odds <= 0.0 {
            *self = Self::default();
        }
    }

    /// True if they are overload, or a dependency that is down.
    pub(super) fn is_many(&self) -> bool {
        self.odds > SURE
    }

    /// Share of failures since they may have begun.
    pub(super) fn share(&self) -> f64 {
        self.failed / self.calls.max(1.0)
    }

    /// Begin anew: what follows meets another limit.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
