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
//! `window` is what is watched; this file decides.

mod window;

use self::window::{LevelStats, LevelWindow};
use super::change::{Change, Tracked};
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, nanoseconds, whole};

const SECOND_NS: f64 = 1e9;
/// Longest wait between trials that fail, and the wait after one that succeeded.
const TRIAL_WAIT_NS: (f64, f64) = (2.0 * SECOND_NS, 0.2 * SECOND_NS);
/// Time between measurements of the latency without a queue.
const PROBE_WAIT_NS: f64 = 5.0 * SECOND_NS;
/// Time for which a limit that was refused is not tried again.
const CEILING_NS: f64 = 15.0 * SECOND_NS;
/// Share of failures from which they may be overload.
const MANY_FAILURES: f64 = 0.2;
/// Quantile of the normal distribution for a bound on that share: one in twenty is wrong.
const SURE: f64 = 1.64;

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
    next_trial_ns: u64,
    next_probe_ns: u64,
    /// Lowest limit that was refused lately.
    ceiling: Option<(f64, u64)>,
    /// Limit that is suspected of being too high for the dependency.
    suspect: Option<f64>,
    /// Estimate before failures that had other reasons than the limit.
    resume: Option<f64>,
    seed: u64,
    draws: u64,
}

impl Adaptive {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, min, max } = parameters.bounds(10, Some(1), 200)?;
        let target_ns = parameters.number("target_latency_ns", 0.0, (0.0, 1e14))?;
        Ok(Self {
            tracked: Tracked::new(initial),
            estimate: f64::from(initial),
            min: f64::from(min),
            max: f64::from(max.max(min)),
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
            next_trial_ns: 0,
            next_probe_ns: 0,
            ceiling: None,
            suspect: None,
            resume: None,
            seed: parameters.seed(),
            draws: 0,
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

    /// Decide what follows from a window.
    fn decide(&mut self, now_ns: u64) {
        let is_base = matches!(self.mode, Mode::Probe | Mode::Down)
            || (self.mode == Mode::Up && self.before.is_none());
        let level = self
            .window
            .level(now_ns, self.estimate, self.tracked.limit(), is_base);
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
        let base = match self.base {
            Some(base) if base.0 <= level.latency_ns => base,
            _ => (level.latency_ns, level.error_ns),
        };
        self.base = Some(base);
        let noise_ns = 2.0 * level.error_ns.hypot(base.1);
        let wait_ns = (level.latency_ns - base.0 - noise_ns / 2.0).max(0.0);
        let queue = (level.rate * wait_ns)
            .min(self.limit_as_float() - 1.0)
            .max(0.0);
        if self.is_late(now_ns, &level, queue) {
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

    /// Cut the limit if so many calls failed that the dependency seems to refuse them.
    fn is_refused(&mut self, now_ns: u64, level: &LevelStats) -> bool {
        if level.failed < MANY_FAILURES / 2.0
            && let Some(suspect) = self.suspect.take()
        {
            self.ceiling = Some((suspect, later(now_ns, CEILING_NS))); // fewer calls have mended it
            self.resume = None;
        }
        let bound =
            level.failed - SURE * (level.failed * (1.0 - level.failed) / level.calls).sqrt();
        if level.failed < MANY_FAILURES || bound < MANY_FAILURES / 2.0 {
            return false;
        }
        if self.suspect.take().is_some() {
            self.resume = Some(self.resume.unwrap_or(0.0).max(self.estimate)); // fewer calls fail as well
        } else if self.resume.is_none() {
            self.suspect = Some(self.limit_as_float());
            self.resume = Some(self.estimate);
        }
        let half = self.estimate / 2.0;
        let wanted = if level.failed <= 0.5 {
            self.estimate * (1.0 - level.failed / 2.0)
        } else if self.mode == Mode::More {
            let known = self.before.filter(|before| before.estimate < self.estimate);
            half.max(self.back)
                .min(known.map_or(half, |before| before.estimate.max(half)))
        } else {
            half
        };
        self.set(
            wanted.min(self.estimate - 1.0),
            now_ns,
            Mode::Steady,
            "failures",
            level,
        );
        self.streak = 0;
        self.next_trial_ns = now_ns;
        true
    }

    /// Cut the limit if calls take longer than the target.
    fn is_late(&mut self, now_ns: u64, level: &LevelStats, queue: f64) -> bool {
        let limit = self.limit_as_float();
        if self.target_ns == 0.0 || level.p90_ns <= self.target_ns || limit <= 1.0 {
            return false;
        }
        let half = self.estimate / 2.0;
        let meets_it = (0.9 * level.rate * self.target_ns)
            .min(self.estimate - 1.0)
            .max(half);
        self.before = Some(*level);
        self.set(
            meets_it.min((limit - queue).max(half)),
            now_ns,
            Mode::Cut,
            "target",
            level,
        );
        true
    }

    fn went_up(&mut self, now_ns: u64, level: &LevelStats) {
        if !level.blocked {
            self.before = None;
            self.stay(now_ns, Mode::Up, level);
            return;
        }
        let Some(before) = self.before else {
            self.before = Some(*level);
            self.base = Some((level.latency_ns, level.error_ns));
            self.set(self.estimate * 2.0, now_ns, Mode::Up, "doubling", level);
            return;
        };
        let rise_ns = level.latency_ns - before.latency_ns;
        let noise_ns = 2.5 * level.error_ns.hypot(before.error_ns);
        if rise_ns <= (0.1 * before.latency_ns).max(noise_ns) {
            self.before = Some(*level);
            if self.estimate >= self.max {
                self.settle(now_ns);
                self.stay(now_ns, Mode::Steady, level);
                return;
            }
            let wanted = (self.estimate * 2.0).min(f64::midpoint(self.estimate, self.ceiling()));
            self.set(wanted, now_ns, Mode::Up, "doubling", level);
            return;
        }
        let knee = (self.limit_as_float() - level.rate * rise_ns).max(1.0);
        if knee <= before.estimate * 1.15 {
            self.set(before.estimate / 2.0, now_ns, Mode::Down, "halving", level);
        } else {
            self.set(knee, now_ns, Mode::Steady, "queue", level);
            self.settle(now_ns);
        }
    }

    fn went_down(&mut self, now_ns: u64, level: &LevelStats) {
        let before = self.before.unwrap_or(*level);
        let knee =
            (before.estimate - before.rate * (before.latency_ns - level.latency_ns)).max(1.0);
        self.base = Some((level.latency_ns, level.error_ns));
        let is_queue = before.latency_ns > level.latency_ns * 1.1;
        if knee <= level.estimate * 1.15 && level.estimate > self.min + 0.5 && is_queue {
            self.before = Some(*level);
            self.set(level.estimate / 2.0, now_ns, Mode::Down, "halving", level);
        } else {
            self.set(knee, now_ns, Mode::Steady, "queue", level);
            self.settle(now_ns);
        }
    }

    fn probed(&mut self, now_ns: u64, level: &LevelStats, base: (f64, f64), noise_ns: f64) {
        let base = if (level.latency_ns - base.0).abs() <= noise_ns + 0.05 * base.0 {
            (
                f64::midpoint(base.0, level.latency_ns),
                base.1.min(level.error_ns) * 0.8,
            )
        } else {
            (level.latency_ns, level.error_ns)
        };
        self.base = Some(base);
        let last = self.last.unwrap_or(*level);
        let queue = last.rate * (last.latency_ns - base.0).max(0.0);
        let wanted = if queue > 0.2 * self.back + 0.3 {
            (self.back - queue).max(level.estimate)
        } else {
            self.back
        };
        self.set(wanted, now_ns, Mode::Steady, "probe", level);
        self.next_probe_ns = later(now_ns, PROBE_WAIT_NS * (1.0 + self.draw() / 2.0));
    }

    fn cut(&mut self, now_ns: u64, level: &LevelStats, base: (f64, f64), noise_ns: f64) {
        let before = self.before.unwrap_or(*level);
        if level.latency_ns > base.0 * 1.15 + noise_ns && level.rate < before.rate * 0.9 {
            // Not a queue: the service itself takes longer now.
            self.base = Some((level.latency_ns, level.error_ns));
            let knee =
                before.estimate - before.rate * (before.latency_ns - level.latency_ns).max(0.0);
            self.set(knee.max(1.0), now_ns, Mode::Steady, "slower service", level);
        } else {
            self.stay(now_ns, Mode::Steady, level);
        }
        self.settle(now_ns);
    }

    fn stayed(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        self.last = Some(*level);
        let limit = self.limit_as_float();
        if level.blocked && queue > (limit / 4.0).max(allowed(limit)) {
            self.before = Some(*level);
            self.set(limit - queue, now_ns, Mode::Cut, "queue", level);
            self.streak = 0;
            return;
        }
        self.go_on(now_ns, level, queue);
    }

    fn tried(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        self.last = Some(*level);
        let limit = self.limit_as_float();
        let before = self.before.unwrap_or(*level);
        let growth = (limit / before.estimate.floor().max(1.0)).ln();
        let elasticity = if growth == 0.0 || before.rate == 0.0 {
            0.0
        } else {
            (level.rate / before.rate).ln() / growth
        };
        let is_less = self.mode == Mode::Less;
        let is_better = if self.window.is_narrow() {
            (elasticity > 0.5) != is_less
        } else if is_less {
            queue < 0.3 || elasticity < 0.5
        } else {
            queue <= allowed(limit)
        };
        if is_better {
            self.streak = if is_less { 0 } else { self.streak + 1 };
            self.trial_wait_ns = TRIAL_WAIT_NS.1;
            self.next_trial_ns = now_ns;
            self.go_on(now_ns, level, queue);
        } else {
            self.trial_wait_ns = (self.trial_wait_ns * 2.0).min(TRIAL_WAIT_NS.0);
            self.next_trial_ns = later(now_ns, self.trial_wait_ns * (0.75 + self.draw() / 2.0));
            self.tries_less = !is_less;
            self.streak = 0;
            self.set(self.back, now_ns, Mode::Steady, "trial", level);
        }
    }

    /// Stay, probe or try, at a level that is good.
    fn go_on(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        let limit = self.limit_as_float();
        if level.blocked && self.estimate >= 2.0 && now_ns >= self.next_probe_ns && self.streak == 0
        {
            self.back = self.estimate;
            self.set(self.estimate / 2.0, now_ns, Mode::Probe, "probe", level);
            return;
        }
        if level.blocked && now_ns >= self.next_trial_ns && self.tries(now_ns, level, queue, limit)
        {
            return;
        }
        self.stay(now_ns, Mode::Steady, level);
    }

    /// Begin a trial; false if there is nothing to try.
    fn tries(&mut self, now_ns: u64, level: &LevelStats, queue: f64, limit: f64) -> bool {
        let step = (0.04 * limit).floor().max(1.0);
        let long = if self.window.is_narrow() {
            limit / 4.0
        } else {
            allowed(limit)
        };
        if queue > long {
            self.tries_less = true;
        } else if queue < 0.02 * limit {
            self.tries_less = false;
        }
        if self.tries_less && limit > self.min && queue > 0.3 {
            self.before = Some(*level);
            self.back = self.estimate;
            self.set(
                limit - step.max((queue / 2.0).floor()),
                now_ns,
                Mode::Less,
                "trial",
                level,
            );
            return true;
        }
        self.tries_less = false;
        let next = self.estimate.floor() + 1.0;
        if queue > 0.3 * limit || self.estimate >= self.max || next >= self.ceiling() {
            return false;
        }
        let mut wanted = if self.streak > 0 {
            self.estimate * 1.5 + 1.0
        } else {
            limit + step
        };
        if let Some(resume) = self.resume {
            if self.estimate >= resume {
                self.resume = None;
            } else if self.ceiling.is_none() {
                wanted = wanted.max(resume);
            }
        }
        if let Some((ceiling, _)) = self.ceiling {
            wanted = wanted
                .min(f64::midpoint(self.estimate, ceiling).floor().max(next))
                .min(ceiling - 1.0);
        }
        self.before = Some(*level);
        self.back = self.estimate;
        self.set(wanted, now_ns, Mode::More, "trial", level);
        true
    }

    /// Stay for a while before the next trial and the next probe.
    fn settle(&mut self, now_ns: u64) {
        self.streak = 0;
        self.next_probe_ns = later(now_ns, PROBE_WAIT_NS * (0.5 + self.draw() / 2.0));
        self.next_trial_ns = later(now_ns, self.trial_wait_ns);
    }
}

/// Return the length of a queue that is not worth a change.
fn allowed(limit: f64) -> f64 {
    (0.08 * limit).max(0.5)
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

    fn started(&mut self, _now_ns: u64) {
        self.window.started();
    }

    fn blocked(&mut self, _now_ns: u64) {
        self.window.blocked();
    }

    fn sampled(&mut self, sample: &Sample) {
        if self.window.sampled(sample, self.tracked.limit()) {
            self.decide(sample.end_ns());
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
        self.settle(now_ns);
        self.tracked
            .set(whole(self.estimate), now_ns, "restored", &[]);
        self.window.begin(now_ns, true);
    }
}
