//! `gradient`: the ratio of the smallest latency to the present one (Netflix concurrency-limits, the older of two).

use super::change::{Change, Tracked};
use super::jitter::Jitter;
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, whole};

/// Multiplies the limit by the ratio of latencies, and adds room for a queue of its square root.
///
/// Every so many samples it falls to that room, and measures the smallest latency anew. The room is no reason to pass the
/// maximum, as it is in the original if that is less.
pub(super) struct Gradient {
    tracked: Tracked,
    estimate: f64,
    min: u32,
    max: u32,
    smoothing: f64,
    tolerance: f64,
    backoff: f64,
    queue_size: Option<u32>,
    /// Samples between two probes at least; 0 for no probes.
    probe_interval: u64,
    jitter: Jitter,
    countdown: u64,
    smallest_ns: u64,
}

impl Gradient {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, min, max } = parameters.bounds(50, Some(1), 1000)?;
        let smoothing = parameters.number("smoothing", 0.2, (0.0, 1.0))?;
        let tolerance = parameters.number("tolerance", 2.0, (1.0, 1e6))?;
        let backoff = parameters.number("backoff", 0.9, (0.5, 1.0))?;
        let queue_size = parameters.given_whole("queue_size", (0, 1_000_000))?;
        let probe_interval = parameters.whole("probe_interval", 1000, (0, 1_000_000_000))?;
        let jitter = parameters.jitter(0.0)?;
        let mut made = Self {
            tracked: Tracked::new(initial),
            estimate: f64::from(initial),
            min,
            max,
            smoothing,
            tolerance,
            backoff,
            queue_size: queue_size.and_then(|size| u32::try_from(size).ok()),
            probe_interval,
            jitter,
            countdown: 0,
            smallest_ns: 0,
        };
        made.countdown = made.next_countdown();
        Ok(made)
    }

    /// Draw the number of samples until the next probe: one to two intervals.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the interval"
    )]
    fn next_countdown(&mut self) -> u64 {
        let drawn = (float(self.probe_interval) * self.jitter.take()) as u64;
        self.probe_interval + drawn.min(self.probe_interval.saturating_sub(1))
    }

    /// Return the room for a queue: the square root of the limit, 4 at least, unless it was configured.
    fn queue(&self) -> f64 {
        f64::from(
            self.queue_size
                .unwrap_or_else(|| whole(self.estimate).isqrt().max(4)),
        )
    }
}

impl Limit for Gradient {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let (queue, now) = (self.queue(), sample.end_ns());
        if self.countdown == 0 && self.probe_interval > 0 {
            self.countdown = self.next_countdown();
            self.estimate = f64::from(self.min).max(queue).min(f64::from(self.max));
            self.smallest_ns = 0;
            self.tracked
                .set(whole(self.estimate), now, "probe", &[("queue", queue)]);
            return;
        }
        self.countdown = self.countdown.saturating_sub(1);
        if self.smallest_ns == 0 || sample.rtt_ns < self.smallest_ns {
            self.smallest_ns = sample.rtt_ns;
        }
        let ratio = if sample.rtt_ns == 0 {
            1.0
        } else {
            (self.tolerance * float(self.smallest_ns) / float(sample.rtt_ns)).clamp(0.5, 1.0)
        };
        let (mut wanted, reason) = if sample.dropped {
            (self.estimate * self.backoff, "dropped")
        } else if f64::from(sample.in_flight) < self.estimate / 2.0 {
            return;
        } else {
            (
                self.estimate * ratio + queue,
                if ratio < 1.0 { "slower" } else { "as fast" },
            )
        };
        if wanted < self.estimate {
            wanted = f64::from(self.min)
                .max(self.estimate * (1.0 - self.smoothing) + self.smoothing * wanted);
        }
        self.estimate = wanted.max(queue).min(f64::from(self.max));
        let statistics = [
            ("rtt_ns", float(sample.rtt_ns)),
            ("smallest_rtt_ns", float(self.smallest_ns)),
            ("gradient", ratio),
            ("queue", queue),
        ];
        self.tracked
            .set(whole(self.estimate), now, reason, &statistics);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.tracked.limit(),
            baseline_ns: Some(self.smallest_ns).filter(|smallest_ns| *smallest_ns > 0),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.estimate = f64::from(snapshot.limit.max(self.min).min(self.max));
        self.smallest_ns = snapshot.baseline_ns.unwrap_or(0);
        self.countdown = self.next_countdown();
        self.tracked
            .set(whole(self.estimate), now_ns, "restored", &[]);
    }
}
