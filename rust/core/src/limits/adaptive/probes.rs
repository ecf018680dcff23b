//! Probes: fewer calls for a moment, to measure the latency of the service alone.
//!
//! Every other decision takes that latency for known. It changes when a service gets slower or faster, and it is wrong from
//! the beginning where another caller's queue was there first.

use super::super::arithmetic::{hypot, ln};
use super::window::LevelStats;
use super::{Adaptive, Mode, SECOND_NS, later, reasons};

/// Bounds of the time between probes.
const PROBE_WAIT_NS: (f64, f64) = (5.0 * SECOND_NS, 30.0 * SECOND_NS);
/// Least multiple of its own duration that passes before the next: they cost a hundredth or two of throughput.
const PROBES: f64 = 25.0;

/// Share of the calls that a probe takes away which, if they waited, makes half of the rest worth a probe, too.
const ENOUGH: f64 = 0.9;

impl Adaptive {
    pub(super) fn probed(
        &mut self,
        now_ns: u64,
        level: &LevelStats,
        base: (f64, f64),
        noise_ns: f64,
    ) {
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
        let wait_ns =
            (PROBES * self.window.since_begun_ns(now_ns)).clamp(PROBE_WAIT_NS.0, PROBE_WAIT_NS.1);
        self.next_probe_ns = later(now_ns, wait_ns * (1.0 + self.draw() / 2.0));
        let is_enough = if self.window.is_narrow() {
            queue > ENOUGH * (self.back - level.estimate) && self.back > level.estimate + 0.5
        } else {
            self.is_half_enough(&last, level)
        };
        if is_enough {
            self.next_probe_ns = now_ns; // half of it may be enough, too
            self.stay(now_ns, Mode::Steady, level);
            self.tracked.restate(now_ns, reasons::ENOUGH);
        } else if wanted < self.back && self.window.is_narrow() {
            self.before = Some(last);
            self.set(wanted, now_ns, Mode::Less, reasons::QUEUE, level);
        } else {
            self.set(wanted, now_ns, Mode::Steady, reasons::PROBED, level);
        }
    }

    /// True if the throughput of a probe is so near that of the limit before it that the difference was a queue's.
    ///
    /// A probe is the largest of trials: where services differ, it tells what small ones cannot.
    fn is_half_enough(&self, before: &LevelStats, level: &LevelStats) -> bool {
        let cut = ln((self.back / self.estimate).max(1.01));
        let elasticity = ln(before.rate / level.rate) / cut;
        let noise = hypot(level.rate_error, before.rate_error) / cut;
        self.back > self.estimate + 0.5 && before.rate > 0.0 && elasticity + 2.0 * noise < 0.5
    }

    pub(super) fn cut(&mut self, now_ns: u64, level: &LevelStats, base: (f64, f64), noise_ns: f64) {
        let before = self.before.unwrap_or(*level);
        let cut = ln((before.estimate / self.estimate).max(1.01));
        let lost = ln(before.rate / level.rate) / cut; // elasticity of throughput: none in a queue
        if level.latency_ns > base.0 * 1.15 + noise_ns && lost > 0.3 {
            if lost < 0.85 {
                // Latency grows with the load, and so does throughput: no queue.
                self.base = Some((level.latency_ns, level.error_ns));
                let wait_ns = (before.latency_ns - level.latency_ns).max(0.0);
                let knee = (before.estimate - before.rate * wait_ns).max(1.0);
                self.set(knee, now_ns, Mode::Steady, reasons::SLOWER, level);
                self.settle(now_ns);
                return;
            }
            // The service itself may take longer now.
            self.last = Some(before);
            self.back = before.estimate;
            self.set(
                self.estimate / 2.0,
                now_ns,
                Mode::Probe,
                reasons::SLOWER,
                level,
            );
        } else {
            self.stay(now_ns, Mode::Steady, level);
            self.settle(now_ns);
        }
    }

    /// Stay for a while before the next trial and the next probe.
    pub(super) fn settle(&mut self, now_ns: u64) {
        self.streak = 0;
        self.next_probe_ns = later(now_ns, PROBE_WAIT_NS.0 * (0.5 + self.draw() / 2.0));
        self.next_trial_ns = later(now_ns, self.trial_wait_ns);
    }
}
