//! `adaptive`: the limit of the greatest power, throughput by latency, found by Little's law and by trials.
//!
//! Calls are watched in windows, each under one limit. A pair of windows tells how long calls wait: the latency at half
//! of a limit is that of the service alone, the difference is a queue's, and Little's law gives the number of calls in it.
//! So one pair is enough to leave a queue, whatever its length. Small trials, up or down, decide the rest: more calls are
//! worth it if throughput grows by more than half as much (power is greatest where its elasticity is a half), and so a
//! server whose latency grows from the first call on is found, too.
//!
//! Throughput and latency are compared, never a latency with a number, except for the target: no limit stays at which a
//! tenth of the calls takes longer. A few failures among many calls are the dependency's own; many are taken for overload
//! if fewer calls mend them.
//!
//! `window` is what is watched, `spread` whether services differ, and `failures` a test of failures. This file holds the state, and asks in turn: `refusals`,
//! for calls that fail or are late; `search`, for the first limit; `trials`, for a better one; `probes`, for the latency
//! without a queue. `reasons` are what operators read.

mod failures;
mod probes;
mod reasons;
mod refusals;
mod search;
mod spread;
#[cfg(test)]
mod tests;
mod trials;
mod window;

use self::refusals::RefusedCalls;
use self::window::{LevelStats, LevelWindow};
use super::arithmetic::hypot;
use super::change::{Change, Tracked};
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, nanoseconds, whole};

const SECOND_NS: f64 = 1e9;
/// Longest wait between trials that fail, and the wait after one that succeeded.
const TRIAL_WAIT_NS: (f64, f64) = (2.0 * SECOND_NS, 0.2 * SECOND_NS);

/// Purpose of the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Doubling until latency rises.
    Up,
    /// Halving until latency falls no more.
    Down,
    /// Staying.
    Steady,
    /// A little more than before.
    More,
    /// A little less than before.
    Less,
    /// Half, to measure the latency without a queue.
    Probe,
    /// After a cut: the latency without a queue may have changed.
    Cut,
}

/// See the module.
pub(super) struct Adaptive {
    tracked: Tracked,
    estimate: f64,
    min: f64,
    max: f64,
    target_ns: f64,
    mode: Mode,
    window: LevelWindow,
    /// Latency without a queue, and its standard error.
    base: Option<(f64, f64)>,
    /// The level that the current one is compared with.
    before: Option<LevelStats>,
    /// Last level at which it stayed.
    last: Option<LevelStats>,
    /// The estimate to go back to.
    back: f64,
    /// True if less is tried next.
    tries_less: bool,
    /// Number of trials of more that succeeded in a row.
    streak: u32,
    trial_wait_ns: f64,
    /// Share of the usual wait between trials that fail: little after a queue came, since what changed may change again.
    patience: f64,
    next_trial_ns: u64,
    next_probe_ns: u64,
    /// Lowest limit that was refused lately.
    ceiling: Option<(f64, u64)>,
    ceiling_wait_ns: f64,
    refusal: Option<RefusedCalls>,
    /// Estimate before failures that had other reasons than the limit.
    resume: Option<f64>,
    seed: u64,
    draws: u64,
    /// True until the first two levels are compared.
    is_new: bool,
}

impl Adaptive {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, min, max } = parameters.ordered_bounds(10, 1, 200)?;
        let target_ns = parameters.number("target_latency_ns", 0.0, (0.0, 1e14))?;
        Ok(Self {
            tracked: Tracked::new(initial),
            estimate: f64::from(initial),
            min: f64::from(min),
            max: f64::from(max),
            target_ns,
            mode: Mode::Up,
            window: LevelWindow::new(),
            base: None,
            before: None,
            last: None,
            back: 0.0,
            tries_less: false,
            streak: 0,
            trial_wait_ns: 2.0 * TRIAL_WAIT_NS.1,
            patience: 1.0,
            next_trial_ns: 0,
            next_probe_ns: 0,
            ceiling: None,
            ceiling_wait_ns: refusals::FIRST_CEILING_NS,
            refusal: None,
            resume: None,
            seed: parameters.seed(),
            draws: 0,
            is_new: true,
        })
    }

    /// Set the estimate, and begin a window.
    fn set(
        &mut self,
        estimate: f64,
        now_ns: u64,
        mode: Mode,
        reason: &'static str,
        level: &LevelStats,
    ) {
        self.estimate = estimate.clamp(self.min, self.max);
        self.mode = mode;
        let limit = super::whole(self.estimate + 1e-9);
        let changed = limit != self.tracked.limit();
        let statistics = [
            ("latency_ns", level.latency_ns),
            ("base_latency_ns", self.base.map_or(0.0, |base| base.0)),
            ("calls_per_s", level.rate * SECOND_NS),
            ("failed", level.failed),
        ];
        self.tracked.set(limit, now_ns, reason, &statistics);
        self.window.begin(now_ns, changed);
        self.window
            .failures
            .expect(matches!(mode, Mode::Up | Mode::More));
    }

    fn stay(&mut self, now_ns: u64, mode: Mode, level: &LevelStats) {
        self.set(self.estimate, now_ns, mode, "", level);
    }

    fn draw(&mut self) -> f64 {
        self.draws += 1;
        crate::random::draw(self.seed, self.draws)
    }

    fn limit_as_float(&self) -> f64 {
        f64::from(self.tracked.limit())
    }

    fn ceiling(&self) -> f64 {
        self.ceiling.map_or(f64::INFINITY, |ceiling| ceiling.0)
    }

    /// Return the latency without a queue after a level that may have been below it.
    ///
    /// The least of many noisy means would be too low, so one within the noise counts by how exact it is.
    fn lowered(&self, base: (f64, f64), level: &LevelStats) -> (f64, f64) {
        let below = base.0 - level.latency_ns;
        let noise = hypot(level.error_ns, base.1);
        let is_narrow = self.window.is_narrow();
        if below <= 0.0 || (!is_narrow && below <= noise) {
            base
        } else if !is_narrow || below > 2.0 * noise {
            (level.latency_ns, level.error_ns)
        } else {
            let weight = base.1 * base.1 / (noise * noise);
            (base.0 - weight * below, base.1 * (1.0 - weight).sqrt())
        }
    }

    /// Decide what follows from a window.
    fn decide(&mut self, now_ns: u64) {
        let is_base = self.mode == Mode::Probe;
        let was_narrow = self.window.is_narrow();
        let level = self.window.level(now_ns, self.estimate, is_base);
        if self.ceiling.is_some_and(|(_, until_ns)| now_ns >= until_ns) {
            self.ceiling = None;
        }
        if self.is_refused(now_ns, &level) {
            return;
        }
        if level.rate == 0.0 {
            self.stay(now_ns, self.mode, &level);
            return;
        }
        let base = self
            .base
            .map_or((level.latency_ns, level.error_ns), |base| {
                self.lowered(base, &level)
            });
        self.base = Some(base);
        let noise_ns = 2.0 * hypot(level.error_ns, base.1);
        let wait_ns = (level.latency_ns - base.0 - noise_ns / 2.0).max(0.0);
        let queue = (level.rate * wait_ns)
            .min(self.limit_as_float() - 1.0)
            .max(0.0);
        if self.is_late(now_ns, &level, queue) {
            return;
        }
        if was_narrow && !self.window.is_narrow() && matches!(self.mode, Mode::Up | Mode::Down) {
            self.search(now_ns, &level);
            return;
        }
        match self.mode {
            Mode::Up => self.went_up(now_ns, &level),
            Mode::Down => self.went_down(now_ns, &level),
            Mode::Probe => self.probed(now_ns, &level, base, noise_ns),
            Mode::Cut => self.cut(now_ns, &level, base, noise_ns),
            Mode::Steady => self.stayed(now_ns, &level, queue),
            Mode::More | Mode::Less => self.tried(now_ns, &level, queue),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of nanoseconds"
)]
fn later(now_ns: u64, nanoseconds: f64) -> u64 {
    now_ns.saturating_add(nanoseconds as u64)
}

impl Limit for Adaptive {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn started(&mut self, now_ns: u64) {
        self.window.started(now_ns);
    }

    fn blocked(&mut self, _now_ns: u64) {
        self.window.blocked();
    }

    fn sampled(&mut self, sample: &Sample) {
        if self.window.sampled(sample, self.tracked.limit()) {
            self.decide(sample.end_ns());
            self.window.carry(sample, self.tracked.limit());
        }
    }

    fn ignored(&mut self, now_ns: u64) {
        self.window.ignored(now_ns);
    }

    fn counts_starts(&self) -> bool {
        true
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.tracked.limit(),
            baseline_ns: self
                .base
                .and_then(|(latency_ns, _)| nanoseconds(latency_ns)),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.estimate = f64::from(snapshot.limit).clamp(self.min, self.max);
        self.base = snapshot
            .baseline_ns
            .map(|baseline_ns| (float(baseline_ns), 0.1 * float(baseline_ns)));
        self.mode = Mode::Steady;
        self.is_new = false;
        self.settle(now_ns);
        self.tracked
            .set(whole(self.estimate), now_ns, "restored", &[]);
        self.window.begin(now_ns, true);
    }
}
