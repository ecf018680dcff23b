//! `gradient2`: the ratio of a long average of latencies to the present one (Netflix concurrency-limits).

use super::change::{Change, Tracked};
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, nanoseconds, whole};

/// Multiplies the limit by the ratio of latencies, and adds room for a queue; drops are not looked at.
///
/// In a standing queue the average follows the latency, and the limit grows up to its maximum.
pub(super) struct Gradient2 {
    tracked: Tracked,
    estimate: f64,
    min: u32,
    max: u32,
    smoothing: f64,
    queue_size: f64,
    tolerance: f64,
    average: Average,
}

/// Arithmetic mean of the first samples, then an exponential one.
struct Average {
    factor: f64,
    warmup: u64,
    count: u64,
    sum: f64,
    value: f64,
}

impl Average {
    fn add(&mut self, sample: f64) -> f64 {
        if self.count < self.warmup {
            self.count += 1;
            self.sum += sample;
            self.value = self.sum / float(self.count);
        } else {
            self.value = self.value * (1.0 - self.factor) + sample * self.factor;
        }
        self.value
    }
}

impl Gradient2 {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, min, max } = parameters.bounds(20, Some(20), 200)?;
        let smoothing = parameters.number("smoothing", 0.2, (0.0, 1.0))?;
        let queue_size = parameters.number("queue_size", 4.0, (0.0, 1e6))?;
        let tolerance = parameters.number("tolerance", 1.5, (1.0, 1e6))?;
        let long_window = parameters.whole("long_window", 600, (1, 1_000_000_000))?;
        let warmup = parameters.whole("warmup", 10, (0, 1_000_000_000))?;
        Ok(Self {
            tracked: Tracked::new(initial),
            estimate: f64::from(initial),
            min,
            max,
            smoothing,
            queue_size,
            tolerance,
            average: Average {
                factor: 2.0 / float(long_window + 1),
                warmup,
                count: 0,
                sum: 0.0,
                value: 0.0,
            },
        })
    }
}

impl Limit for Gradient2 {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let short = float(sample.rtt_ns);
        let long = self.average.add(short);
        let ratio = long / short;
        if ratio.is_nan() {
            return; // only calls that took no time so far: nothing to compare
        }
        if ratio > 2.0 {
            self.average.value *= 0.95;
        }
        if f64::from(sample.in_flight) < self.estimate / 2.0 {
            return;
        }
        let gradient = (self.tolerance * long / short).clamp(0.5, 1.0);
        let wanted = self.estimate * gradient + self.queue_size;
        let smoothed = self.estimate * (1.0 - self.smoothing) + wanted * self.smoothing;
        self.estimate = f64::from(self.max).min(smoothed).max(f64::from(self.min));
        let statistics = [
            ("rtt_ns", short),
            ("long_rtt_ns", long),
            ("gradient", gradient),
            ("in_flight", f64::from(sample.in_flight)),
        ];
        let reason = if gradient < 1.0 { "slower" } else { "as fast" };
        self.tracked
            .set(whole(self.estimate), sample.end_ns(), reason, &statistics);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.tracked.limit(),
            baseline_ns: nanoseconds(self.average.value),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.estimate = f64::from(snapshot.limit.max(self.min).min(self.max));
        if let Some(baseline_ns) = snapshot.baseline_ns {
            self.average.value = float(baseline_ns);
            self.average.count = self.average.warmup;
        }
        self.tracked
            .set(whole(self.estimate), now_ns, "restored", &[]);
    }
}
