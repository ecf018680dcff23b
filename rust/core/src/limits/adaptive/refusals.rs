//! Refusals: cuts where calls fail, or take longer than the target.
//!
//! A dependency that refuses because it has too many calls serves again as soon as it has fewer; one that is down does not.
//! So a limit that failed is a ceiling for a while, unless one call at a time failed as well: then the limit from before is
//! resumed when calls succeed again.

use super::super::float;
use super::failures::SLOW;
use super::trials::allowed;
use super::window::LevelStats;
use super::{Adaptive, Mode, SECOND_NS, later, reasons};

/// Time for which a limit that was refused is not tried again: it doubles, up to the longest.
pub(super) const FIRST_CEILING_NS: f64 = 7.5 * SECOND_NS;
const LONGEST_CEILING_NS: f64 = 60.0 * SECOND_NS;
/// Share of failures below which calls succeed again.
const FEW_FAILURES: f64 = 0.1;

/// Failures of many calls, and the cuts that followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedCalls {
    /// Lowest limit at which they fail.
    lowest: f64,
    /// Estimate before the cuts.
    first: f64,
    cuts: u32,
    /// True if that estimate was tried again.
    is_retried: bool,
    /// True if they take long to fail: they waited, and latency shows when calls wait.
    is_slow: bool,
}

impl Adaptive {
    /// Cut the limit if so many calls fail that the dependency seems to refuse them.
    pub(super) fn is_refused(&mut self, now_ns: u64, level: &LevelStats) -> bool {
        let failures = self.window.failures;
        if !self.window.fails() {
            if level.failed < FEW_FAILURES {
                self.mended(now_ns);
            }
            return false;
        }
        self.window.failures.forget();
        let limit = self.limit_as_float();
        let mut refusal = self.refusal.unwrap_or(RefusedCalls {
            lowest: limit,
            first: if self.mode == Mode::Probe {
                self.back
            } else {
                self.estimate
            },
            cuts: 0,
            is_retried: false,
            is_slow: false,
        });
        refusal.is_slow = self
            .base
            .is_some_and(|(base_ns, _)| failures.mean_ns() > float(SLOW) * base_ns);
        self.refusal = if limit > self.min {
            refusal.lowest = refusal.lowest.min(limit);
            refusal.cuts += 1;
            self.resume = None;
            Some(refusal)
        } else {
            self.resume = Some(self.resume.unwrap_or(0.0).max(refusal.first)); // so few fail as well: it is down
            None
        };
        let known = self.before.filter(|before| {
            matches!(self.mode, Mode::More | Mode::Up)
                && before.estimate < limit
                && before.failed < FEW_FAILURES
        });
        let is_stalled = refusal.is_slow && failures.share() >= 1.0;
        let served = known.map_or_else(
            || (limit * (1.0 - failures.share())).max(limit / 2.0),
            |before| before.estimate,
        );
        self.set(
            if is_stalled {
                self.min
            } else {
                served.min(limit - 1.0)
            },
            now_ns,
            Mode::Steady,
            reasons::FAILURES,
            level,
        );
        self.streak = 0;
        self.next_trial_ns = now_ns;
        true
    }

    /// Calls succeed, after a cut or without one.
    pub(super) fn mended(&mut self, now_ns: u64) {
        let Some(refusal) = &mut self.refusal else {
            return;
        };
        if refusal.cuts > 1 && !refusal.is_retried {
            refusal.is_retried = true; // it may have been down for a moment: the limit before is tried once
            self.resume = Some(refusal.first);
        } else if self.resume.is_none() {
            if refusal.is_slow {
                self.refusal = None;
                return;
            }
            self.ceiling_wait_ns = (2.0 * self.ceiling_wait_ns).min(LONGEST_CEILING_NS);
            self.ceiling = Some((refusal.lowest, later(now_ns, self.ceiling_wait_ns)));
            self.refusal = None;
        } else if self.resume.is_some_and(|resume| self.estimate >= resume) {
            self.refusal = None;
        }
    }

    /// Cut the limit if calls take longer than the target.
    pub(super) fn is_late(&mut self, now_ns: u64, level: &LevelStats, queue: f64) -> bool {
        let limit = self.limit_as_float();
        if matches!(self.mode, Mode::Down) || (self.mode == Mode::Up && self.before.is_none()) {
            return false; // the search leaves a queue faster
        }
        if self.target_ns == 0.0 || level.p90_ns <= self.target_ns {
            return false;
        }
        if limit <= self.min {
            self.tracked.restate(now_ns, reasons::UNREACHABLE);
            self.stay(now_ns, Mode::Steady, level);
            return true;
        }
        if self.mode == Mode::More && queue <= limit - self.back + allowed(limit) {
            self.undo(now_ns, level, queue, reasons::TARGET);
            return true;
        }
        let half = self.estimate / 2.0;
        let meets_it = (0.9 * level.rate * self.target_ns)
            .min(self.estimate - 1.0)
            .max(half);
        self.before = Some(*level);
        self.hurry();
        self.set(
            meets_it.min((limit - queue).max(half)),
            now_ns,
            Mode::Cut,
            reasons::TARGET,
            level,
        );
        true
    }
}
