//! The search for the first limit: half of it, to see if calls queue; then double it until they do.

use super::super::arithmetic::hypot;
use super::window::LevelStats;
use super::{Adaptive, Mode, reasons};

impl Adaptive {
    /// Begin the search again: its levels were too short to be compared.
    pub(super) fn search(&mut self, now_ns: u64, level: &LevelStats) {
        self.before = None;
        self.base = None;
        self.is_new = true;
        self.stay(now_ns, Mode::Up, level);
    }

    pub(super) fn went_up(&mut self, now_ns: u64, level: &LevelStats) {
        if !level.blocked {
            self.before = None;
            self.stay(now_ns, Mode::Up, level);
            return;
        }
        let Some(before) = self.before else {
            self.before = Some(*level);
            self.base = Some((level.latency_ns, level.error_ns));
            if self.estimate >= 2.0 * self.min.max(1.0) {
                self.set(
                    self.estimate / 2.0,
                    now_ns,
                    Mode::Down,
                    reasons::HALVED,
                    level,
                );
            } else {
                self.set(
                    self.estimate * 2.0,
                    now_ns,
                    Mode::Up,
                    reasons::DOUBLED,
                    level,
                );
            }
            return;
        };
        let rise_ns = level.latency_ns - before.latency_ns;
        let noise_ns = 2.5 * hypot(level.error_ns, before.error_ns);
        if rise_ns <= (0.05 * before.latency_ns).max(noise_ns) {
            self.before = Some(*level);
            if self.estimate >= self.max {
                self.settle(now_ns);
                self.stay(now_ns, Mode::Steady, level);
                return;
            }
            let wanted = (self.estimate * 2.0).min(f64::midpoint(self.estimate, self.ceiling()));
            self.set(wanted, now_ns, Mode::Up, reasons::DOUBLED, level);
            return;
        }
        let knee = (self.limit_as_float() - level.rate * rise_ns).max(1.0);
        if knee <= before.estimate * 1.15 {
            self.set(
                before.estimate / 2.0,
                now_ns,
                Mode::Down,
                reasons::HALVED,
                level,
            );
        } else {
            self.set(knee, now_ns, Mode::Steady, reasons::QUEUE, level);
            self.settle(now_ns);
        }
    }

    pub(super) fn went_down(&mut self, now_ns: u64, level: &LevelStats) {
        let before = self.before.unwrap_or(*level);
        let wait_ns = (before.latency_ns - level.latency_ns).max(0.0);
        let knee = (before.estimate - before.rate * wait_ns).max(1.0);
        self.base = Some((level.latency_ns, level.error_ns));
        let noise_ns = 4.0 * hypot(level.error_ns, before.error_ns);
        let is_queue = before.latency_ns - level.latency_ns > noise_ns.max(0.1 * level.latency_ns);
        if level.latency_ns - before.latency_ns > noise_ns.max(0.3 * before.latency_ns) {
            self.window.widen(); // fewer calls cannot be slower: services differ
            self.search(now_ns, level);
            return;
        }
        if !is_queue && self.is_new {
            self.is_new = false;
            let twice = before.estimate * 2.0;
            self.before = Some(LevelStats {
                latency_ns: level.latency_ns,
                ..before
            });
            self.set(
                twice.min(self.ceiling() - 1.0),
                now_ns,
                Mode::Up,
                reasons::DOUBLED,
                level,
            );
            return;
        }
        self.is_new = false;
        if knee <= level.estimate * 1.15 && level.estimate > self.min + 0.5 && is_queue {
            self.before = Some(*level);
            self.set(
                level.estimate / 2.0,
                now_ns,
                Mode::Down,
                reasons::HALVED,
                level,
            );
        } else {
            self.set(knee, now_ns, Mode::Steady, reasons::QUEUE, level);
            self.settle(now_ns);
        }
    }
}
