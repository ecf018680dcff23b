//! Trials: a little more or less, kept if that was better.

use super::super::arithmetic::{hypot, ln};
use super::window::LevelStats;
use super::{Adaptive, Mode, TRIAL_WAIT_NS, later, reasons};

/// Share of latency that trials may cost.
const TRIAL_COST: f64 = 0.015;
/// Multiple of the limit before from which on a trial is a leap, of which only a part may be worth it.
const LEAP: f64 = 1.2;
/// Share of the usual wait that is left after a queue came.
const HURRY: f64 = 0.15;

impl Adaptive {
    pub(super) fn stayed(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        self.last = Some(*level);
        let limit = self.limit_as_float();
        if level.blocked && self.estimate > self.min && queue > (limit / 4.0).max(allowed(limit)) {
            self.before = Some(*level);
            self.hurry();
            self.set(limit - queue, now_ns, Mode::Cut, reasons::QUEUE, level);
            self.streak = 0;
            return;
        }
        self.go_on(now_ns, level, queue);
    }

    pub(super) fn tried(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        self.last = Some(*level);
        let limit = self.limit_as_float();
        let before = self.before.unwrap_or(*level);
        let growth = ln(limit / before.estimate.floor().max(1.0));
        let elasticity = if growth == 0.0 || before.rate == 0.0 {
            0.0
        } else {
            ln(level.rate / before.rate) / growth
        };
        let noise = hypot(level.rate_error, before.rate_error) / growth.abs().max(0.01);
        let is_less = self.mode == Mode::Less;
        let is_better = if self.window.is_narrow() {
            (elasticity > 0.5) != is_less
        } else if is_less {
            elasticity - noise < 0.5
        } else {
            queue <= allowed(limit) || elasticity - noise > 0.5
        };
        if is_better {
            let is_free = if self.window.is_narrow() {
                elasticity > 0.75
            } else {
                queue < 0.5 * allowed(limit)
            };
            self.streak = match (is_less, is_free) {
                (true, _) => 0,
                (false, true) => self.streak + 1,
                (false, false) => u32::from(self.window.is_narrow()),
            };
            self.tries_less = !is_less && !is_free && !self.window.is_narrow();
            self.trial_wait_ns = TRIAL_WAIT_NS.1;
            self.next_trial_ns = now_ns;
            if self.mode == Mode::More
                && self.window.is_narrow()
                && !is_free
                && limit > LEAP * before.estimate
            {
                // Part of the leap was worth it: as many calls as give the same throughput without a queue.
                let worth = before.estimate * (level.rate / before.rate).max(1.0);
                self.streak = 0;
                self.set(
                    worth.max(before.estimate + 1.0).min(limit),
                    now_ns,
                    Mode::Steady,
                    reasons::QUEUE,
                    level,
                );
                return;
            }
            self.go_on(now_ns, level, queue);
        } else {
            self.undo(now_ns, level, queue, reasons::UNDONE);
        }
    }

    /// Go back to the limit before a trial that was no better.
    pub(super) fn undo(
        &mut self,
        now_ns: u64,
        level: &LevelStats,
        queue: f64,
        reason: &'static str,
    ) {
        let limit = self.limit_as_float();
        let is_less = self.mode == Mode::Less;
        let cost = step_of(limit) / limit * self.window.since_begun_ns(now_ns);
        self.trial_wait_ns = (cost / TRIAL_COST).clamp(TRIAL_WAIT_NS.1, TRIAL_WAIT_NS.0);
        self.trial_wait_ns *= self.patience;
        self.patience = (2.0 * self.patience).min(1.0);
        self.next_trial_ns = later(now_ns, self.trial_wait_ns * (0.75 + self.draw() / 2.0));
        self.tries_less = !is_less;
        self.streak = 0;
        if is_less && queue > long(limit, self.window.is_narrow()) {
            self.next_probe_ns = now_ns; // no call waited: the latency without a queue is another now
        }
        let knee = if is_less || !self.window.is_narrow() {
            0.0
        } else {
            limit - queue
        };
        self.set(self.back.max(knee), now_ns, Mode::Steady, reason, level);
    }

    /// Stay, probe or try, at a level that is good.
    pub(super) fn go_on(&mut self, now_ns: u64, level: &LevelStats, queue: f64) {
        let limit = self.limit_as_float();
        if level.blocked && self.estimate >= 2.0 && now_ns >= self.next_probe_ns && self.streak == 0
        {
            self.back = self.estimate;
            self.set(
                self.estimate / 2.0,
                now_ns,
                Mode::Probe,
                reasons::PROBE,
                level,
            );
            return;
        }
        if level.blocked && now_ns >= self.next_trial_ns && self.tries(now_ns, level, queue, limit)
        {
            return;
        }
        self.stay(now_ns, Mode::Steady, level);
    }

    /// Try again soon: something changed.
    pub(super) fn hurry(&mut self) {
        if self.window.is_narrow() {
            self.patience = HURRY;
            self.trial_wait_ns = self.trial_wait_ns.min(HURRY * TRIAL_WAIT_NS.0);
        }
    }

    /// Begin a trial; false if there is nothing to try.
    pub(super) fn tries(
        &mut self,
        now_ns: u64,
        level: &LevelStats,
        queue: f64,
        limit: f64,
    ) -> bool {
        let step = step_of(limit);
        if queue > long(limit, self.window.is_narrow()) {
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
                reasons::LESS,
                level,
            );
            return true;
        }
        self.tries_less = false;
        let next = self.estimate.floor() + 1.0;
        if queue > 0.3 * limit || self.estimate >= self.max || next >= self.ceiling() {
            return false;
        }
        let mut wanted = limit + (step * f64::from(3_u32.pow(self.streak.min(8)))).min(limit);
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
        self.set(wanted, now_ns, Mode::More, reasons::MORE, level);
        true
    }
}

/// Return the calls by which a trial differs.
fn step_of(limit: f64) -> f64 {
    (0.04 * limit).floor().max(1.0)
}

/// Return the length of a queue that is not worth a change.
pub(super) fn allowed(limit: f64) -> f64 {
    (0.08 * limit).max(0.5)
}

/// Return the length of a queue that is reason enough to try less.
fn long(limit: f64, is_narrow: bool) -> f64 {
    if is_narrow {
        limit / 4.0
    } else {
        allowed(limit)
    }
}
