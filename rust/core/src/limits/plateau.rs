//! `plateau`: one call more as long as that pays in throughput (huggingface.js, its parallel downloads).

use super::change::{Change, Tracked};
use super::parameters::{LimitRange, MOST_NS, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float};

/// Most limits whose throughput is remembered at a time; of two that are a multiple of it apart, the newer one.
const ROOM: u32 = 128;

/// Compares the throughput of a limit with that of the limit below, in ticks; latency is not looked at.
///
/// One more is tried whenever throughput is known and no try failed lately, and kept if it brings a twentieth more. A
/// tick counts if all of the limit was in use and nothing beyond it, and none that follows a change. A drop is one less.
/// A tick in which calls ran and none ended is one more: what is waited for is latency, which more calls hide.
///
/// Other than in the original, ticks are looked at when calls end, so that a pause is one tick however long it was; and
/// a limit whose lower neighbour is unknown goes down only until one more pays, not until a known limit is reached.
pub(super) struct Plateau {
    tracked: Tracked,
    range: LimitRange,
    tick_ns: u64,
    margin: f64,
    smoothing: f64,
    hold_ticks: u64,
    levels: PlateauLevels,
    /// The next tick is not counted: it follows a change.
    settling: bool,
    /// Ticks until one more may be tried.
    holding: u64,
    /// End of the current tick; None before the first call.
    tick_end_ns: Option<u64>,
    successes: u64,
    dropped: bool,
    in_flight: u32,
}

/// Throughputs by limit, in calls a tick.
struct PlateauLevels([(u32, f64); ROOM as usize]);

impl PlateauLevels {
    const fn place(limit: u32) -> usize {
        (limit % ROOM) as usize
    }

    fn get(&self, limit: u32) -> Option<f64> {
        let (known, rate) = self.0[Self::place(limit)];
        (known == limit && limit > 0).then_some(rate)
    }

    fn put(&mut self, limit: u32, rate: f64) {
        self.0[Self::place(limit)] = (limit, rate);
    }

    fn forget(&mut self, limit: u32) {
        self.0[Self::place(limit)] = (0, 0.0);
    }
}

impl Plateau {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let range = parameters.bounds(1, Some(1), 200)?;
        Ok(Self {
            tracked: Tracked::new(range.initial),
            range,
            tick_ns: parameters.whole("tick_ns", 500_000_000, (1, MOST_NS))?,
            margin: parameters.number("margin", 1.05, (1.0, 10.0))?,
            smoothing: parameters.number("smoothing", 0.5, (0.0, 1.0))?,
            hold_ticks: parameters.whole("hold_ticks", 10, (0, 1_000_000_000))?,
            levels: PlateauLevels([(0, 0.0); ROOM as usize]),
            settling: true,
            holding: 0,
            tick_end_ns: None,
            successes: 0,
            dropped: false,
            in_flight: 0,
        })
    }

    fn go(&mut self, limit: u32, now_ns: u64, reason: &'static str) {
        let before = self.tracked.limit();
        let statistics = [
            ("calls_per_tick", float(self.successes)),
            ("calls_per_tick_below", self.rate(before.saturating_sub(1))),
            ("in_flight", f64::from(self.in_flight)),
        ];
        self.settling = true;
        let bounded = self.range.clamp(limit);
        self.tracked.set(bounded, now_ns, reason, &statistics);
    }

    fn rate(&self, limit: u32) -> f64 {
        self.levels.get(limit).unwrap_or(0.0)
    }

    /// A tick has ended.
    fn tick(&mut self, now_ns: u64) {
        self.holding = self.holding.saturating_sub(1);
        let limit = self.tracked.limit();
        if self.dropped {
            self.holding = self.hold_ticks;
            self.go(limit - 1, now_ns, "dropped");
        } else if self.settling {
            self.settling = false;
        } else if self.in_flight == limit {
            self.compare(limit, now_ns);
        }
    }

    /// Decide by a tick in which the limit was in use.
    fn compare(&mut self, limit: u32, now_ns: u64) {
        let present = float(self.successes);
        let known = self.levels.get(limit).unwrap_or(present);
        let rate = known * (1.0 - self.smoothing) + present * self.smoothing;
        self.levels.put(limit, rate);
        let below = self.levels.get(limit - 1);
        match below {
            None if limit > self.range.min => {
                let above = self.levels.get(limit + 1);
                if limit < self.range.max && above.is_some_and(|above| above >= rate * self.margin)
                {
                    self.go(limit + 1, now_ns, "gain");
                } else {
                    self.go(limit - 1, now_ns, "unknown below");
                }
            }
            Some(below) if limit > self.range.min && rate < below * self.margin => {
                self.go(limit - 1, now_ns, "no gain");
                self.levels.forget(limit);
                self.holding = self.hold_ticks;
            }
            _ if self.holding == 0 && limit < self.range.max => self.go(limit + 1, now_ns, "trial"),
            _ => {}
        }
    }
}

impl Limit for Plateau {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let now_ns = sample.end_ns();
        let limit = self.tracked.bounded(&self.range, now_ns);
        let end_ns = *self
            .tick_end_ns
            .get_or_insert_with(|| now_ns.saturating_add(self.tick_ns));
        if now_ns >= end_ns {
            self.tick(now_ns);
            let empty = (now_ns - end_ns) / self.tick_ns;
            self.holding = self.holding.saturating_sub(empty);
            if empty > 0 && sample.start_ns <= end_ns && sample.in_flight >= limit {
                self.go(self.tracked.limit().saturating_add(1), now_ns, "stalled");
            }
            let passed = (empty + 1).saturating_mul(self.tick_ns);
            self.tick_end_ns = Some(end_ns.saturating_add(passed));
            self.successes = 0;
            self.dropped = false;
            self.in_flight = 0;
        }
        self.successes += u64::from(!sample.dropped);
        self.dropped |= sample.dropped;
        self.in_flight = self.in_flight.max(sample.in_flight);
    }

    /// Throughputs are measured anew, from the limit downwards.
    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.levels = PlateauLevels([(0, 0.0); ROOM as usize]);
        self.tick_end_ns = None;
        self.successes = 0;
        self.dropped = false;
        self.in_flight = 0;
        self.holding = 0;
        self.go(snapshot.limit, now_ns, "restored");
    }

    fn has_windows(&self) -> bool {
        true
    }
}
