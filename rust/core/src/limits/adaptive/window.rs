//! `LevelWindow`: the calls that were made under one limit, and their statistics.

use super::super::{Sample, float};
use super::failures::Failures;
use super::spread::Spread;

const MS: u64 = 1_000_000;

/// Most latencies that are kept: every so-many-th of a large limit's, so that they span the window.
const MOST_LATENCIES: usize = 400;
/// Latencies that are kept of as many calls as the limit allows.
const LATENCIES_A_ROUND: u32 = 150;
/// Fewest calls of a window, where services are all alike and where they differ.
const FEWEST: (u64, u64) = (10, 60);
const MOST_CALLS: u64 = 4000;
/// Bounds of a window's length, which is one and a half times the longest latency.
const LENGTH_NS: (u64, u64) = (20 * MS, 1500 * MS);
/// Length at which a few calls are enough.
const LONGEST_NS: u64 = 3000 * MS;
const FEW: u64 = 5;
/// Part of a latency within which ends are one burst.
const BURST: u64 = 1000;

/// Statistics of one level of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelStats {
    /// The estimate behind the limit.
    pub estimate: f64,
    /// Successes a nanosecond.
    pub rate: f64,
    /// Standard error of that rate, as a share of it.
    pub rate_error: f64,
    /// Central latency: the mean, or that of the lower four fifths where services differ much.
    pub latency_ns: f64,
    /// Standard error of that latency.
    pub error_ns: f64,
    /// 90th percentile of latency.
    pub p90_ns: f64,
    /// Share of calls that failed from overload.
    pub failed: f64,
    /// Calls of the window.
    pub calls: f64,
    /// True if a call wanted to start and could not.
    pub blocked: bool,
}

/// Calls that were made under one limit.
///
/// After a change of the limit, calls of the one before are waited for, and then the first call that started after these:
/// what comes then meets the dependency as the new limit leaves it.
pub(super) struct LevelWindow {
    in_flight: u32,
    /// Time of the last start or end, and the sum of calls in flight by time since the window opened.
    counted_ns: u64,
    area: f64,
    area_from_ns: u64,
    begun_ns: u64,
    /// Time of the last end.
    last_ns: u64,
    /// True if calls end many at a time: such a window ends between bursts.
    bursts: bool,
    /// True if it has enough calls.
    full: bool,
    /// Calls in flight that started before the change.
    old: u32,
    drained_ns: Option<u64>,
    opened_ns: Option<u64>,
    blocked: bool,
    /// In single precision, which is half of the room and exact to a tenth of a millionth.
    latencies_ns: Vec<f32>,
    calls: u64,
    successes: u64,
    sum_ns: u64,
    longest_ns: u64,
    spread: Spread,
    pub failures: Failures,
}

impl LevelWindow {
    pub(super) fn new() -> Self {
        Self {
            in_flight: 0,
            counted_ns: 0,
            area: 0.0,
            area_from_ns: 0,
            begun_ns: 0,
            last_ns: 0,
            bursts: false,
            full: false,
            old: 1, // the first calls meet an empty dependency: the first of them is waited for
            drained_ns: None,
            opened_ns: None,
            blocked: false,
            latencies_ns: Vec::with_capacity(MOST_LATENCIES),
            calls: 0,
            successes: 0,
            sum_ns: 0,
            longest_ns: 0,
            spread: Spread::default(),
            failures: Failures::default(),
        }
    }

    pub(super) const fn is_narrow(&self) -> bool {
        self.spread.is_narrow()
    }

    /// Take services to differ.
    pub(super) fn widen(&mut self) {
        self.spread.widen();
    }

    /// Begin a new one, under another limit or the same.
    pub(super) fn begin(&mut self, now_ns: u64, changed: bool) {
        if changed {
            self.old = self.in_flight;
            self.opened_ns = None;
            self.drained_ns = (self.old == 0).then_some(now_ns);
        } else {
            self.opened_ns = Some(self.last_ns.min(now_ns));
        }
        self.begun_ns = now_ns;
        self.area = 0.0;
        self.area_from_ns = now_ns;
        self.latencies_ns.clear();
        self.calls = 0;
        self.successes = 0;
        self.sum_ns = 0;
        self.spread.begin();
        self.blocked = false;
        self.bursts = false;
        self.full = false;
    }

    /// Time since it began, with that for which calls of another limit were waited for.
    pub(super) fn since_begun_ns(&self, now_ns: u64) -> f64 {
        float(now_ns.saturating_sub(self.begun_ns))
    }

    /// Add the time since the last start or end to the sum of calls in flight.
    fn count(&mut self, now_ns: u64) {
        self.area += f64::from(self.in_flight) * float(now_ns.saturating_sub(self.counted_ns));
        self.counted_ns = self.counted_ns.max(now_ns);
    }

    pub(super) fn started(&mut self, now_ns: u64) {
        self.count(now_ns);
        self.in_flight = self.in_flight.saturating_add(1);
    }

    pub(super) fn blocked(&mut self) {
        self.blocked = true;
    }

    /// A call has ended without a sample.
    pub(super) fn ignored(&mut self, now_ns: u64) {
        self.count(now_ns);
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.opened_ns.is_none() && self.drained_ns.is_none() {
            self.drain(now_ns);
        }
    }

    /// Add a call that has ended; return true if the window had enough of them before it, or has now.
    pub(super) fn sampled(&mut self, sample: &Sample, limit: u32) -> bool {
        let now_ns = sample.end_ns();
        self.count(now_ns);
        self.in_flight = self.in_flight.saturating_sub(1);
        let is_burst = now_ns.saturating_sub(self.last_ns) <= sample.rtt_ns / BURST;
        if self.opened_ns.is_none() {
            match self.drained_ns {
                None => self.drain(now_ns),
                Some(drained_ns) if sample.start_ns >= drained_ns || sample.dropped => {
                    self.opened_ns = Some(now_ns);
                    self.area = 0.0;
                    self.area_from_ns = now_ns;
                }
                Some(_) => {}
            }
            self.last_ns = now_ns;
            return false;
        }
        if self.full && !(is_burst && self.calls < 2 * MOST_CALLS) {
            return true;
        }
        self.add(sample, limit, is_burst);
        (self.full && !self.bursts) || self.fails()
    }

    /// True if so many calls fail that the dependency seems to refuse them.
    pub(super) fn fails(&self) -> bool {
        self.failures.is_many(self.in_flight, self.longest_ns)
    }

    /// Add the call that ended a burst, if the limit is the same.
    pub(super) fn carry(&mut self, sample: &Sample, limit: u32) {
        if self
            .opened_ns
            .is_some_and(|opened_ns| opened_ns < sample.end_ns())
            && self.calls == 0
        {
            self.add(sample, limit, false);
        }
    }

    fn add(&mut self, sample: &Sample, limit: u32, is_burst: bool) {
        let (now_ns, opened_ns) = (sample.end_ns(), self.opened_ns.unwrap_or(0));
        self.last_ns = now_ns;
        if now_ns <= opened_ns {
            return; // of the burst after which it opened
        }
        self.bursts |= is_burst && self.calls > 0;
        self.calls += 1;
        self.failures.add(sample, self.longest_ns);
        self.sum_ns = self.sum_ns.saturating_add(sample.rtt_ns);
        if !sample.dropped {
            self.successes += 1;
            self.spread.add(float(sample.rtt_ns));
            let stride = u64::from((limit / LATENCIES_A_ROUND).max(1));
            if self.latencies_ns.len() < MOST_LATENCIES && self.successes.is_multiple_of(stride) {
                self.latencies_ns.push(single(sample.rtt_ns));
            }
            self.longest_ns = self.longest_ns.max(sample.rtt_ns) - self.longest_ns / 200;
        }
        let length_ns = now_ns.saturating_sub(opened_ns);
        let needed_ns = (self.longest_ns.saturating_mul(3) / 2).clamp(LENGTH_NS.0, LENGTH_NS.1);
        let fewest = if self.is_narrow() { FEWEST.0 } else { FEWEST.1 };
        let needed = u64::from(limit).clamp(fewest, MOST_CALLS);
        self.full = (length_ns >= needed_ns && self.calls >= needed)
            || (self.calls >= FEW && length_ns >= LONGEST_NS);
    }

    fn drain(&mut self, now_ns: u64) {
        self.old = self.old.saturating_sub(1);
        if self.old == 0 {
            self.drained_ns = Some(now_ns);
        }
    }

    /// Return the statistics; `is_base` if no queue is expected, so that any spread is the service's own.
    pub(super) fn level(&mut self, now_ns: u64, estimate: f64, is_base: bool) -> LevelStats {
        self.latencies_ns.sort_unstable_by(f32::total_cmp);
        let count = self.latencies_ns.len();
        let all = Moments::of(&self.latencies_ns);
        let own_ns = self.spread.own(all.deviation);
        if count > 0 {
            self.spread.judge(own_ns / all.mean.max(1.0), is_base);
        }
        let (central, error_ns) = if self.is_narrow() {
            (all, own_ns / float(count.max(1) as u64).sqrt() / 2.0)
        } else {
            let lower = (count * 4).div_ceil(5);
            let lower_moments = Moments::of(&self.latencies_ns[..lower]);
            (
                lower_moments,
                lower_moments.deviation / float(lower.max(1) as u64).sqrt(),
            )
        };
        let length_ns = float(
            self.last_ns
                .saturating_sub(self.opened_ns.unwrap_or(now_ns)),
        )
        .max(1.0);
        // Little's law is exact where latencies are about the same; a count depends on where the window begins.
        let rate = if self.is_narrow() && self.sum_ns > 0 && self.area > 0.0 {
            self.area / float(now_ns.saturating_sub(self.area_from_ns)).max(1.0)
                * float(self.successes)
                / float(self.sum_ns)
        } else {
            float(self.successes) / length_ns
        };
        LevelStats {
            estimate,
            rate,
            rate_error: all.deviation / (all.mean * float(count.max(1) as u64).sqrt()).max(1.0),
            latency_ns: central.mean,
            error_ns,
            p90_ns: self
                .latencies_ns
                .get(count * 9 / 10)
                .copied()
                .map_or(0.0, f64::from),
            failed: 1.0 - float(self.successes) / float(self.calls).max(1.0),
            calls: float(self.calls),
            blocked: self.blocked,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a latency need not be more exact"
)]
fn single(nanoseconds: u64) -> f32 {
    nanoseconds as f32
}

/// Mean and standard deviation.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    deviation: f64,
}

impl Moments {
    fn of(latencies_ns: &[f32]) -> Self {
        let count = float(latencies_ns.len().max(1) as u64);
        let mean = latencies_ns
            .iter()
            .map(|latency| f64::from(*latency))
            .sum::<f64>()
            / count;
        let squares = latencies_ns
            .iter()
            .map(|latency| {
                let off = f64::from(*latency) - mean;
                off * off
            })
            .sum::<f64>();
        Self {
            mean,
            deviation: (squares / count).sqrt(),
        }
    }
}
