//! Windows of samples in front of another algorithm (Netflix concurrency-limits).

use super::change::Change;
use super::parameters::{MOST_NS, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float};

const SECOND_NS: u64 = 1_000_000_000;

/// Hands one sample a window to an algorithm: the mean latency or a percentile, the most in flight, any drop.
///
/// A window ends with the first call that completes after its time, which belongs to it. One with too few samples is
/// thrown away, so that slow services never adapt.
pub(super) struct Windowed {
    inner: Box<dyn Limit>,
    min_window_ns: u64,
    max_window_ns: u64,
    size: u64,
    min_rtt_threshold_ns: u64,
    next_ns: u64,
    window: SampleWindow,
}

/// The samples of one window.
struct SampleWindow {
    /// The percentile to hand on, from 0 up to 1; None for the mean.
    percentile: Option<f64>,
    /// Latencies, if a percentile is wanted; as many as it has room for.
    latencies: Vec<u64>,
    smallest_ns: u64,
    sum_ns: u64,
    count: u64,
    in_flight: u32,
    dropped: bool,
}

impl SampleWindow {
    fn add(&mut self, sample: &Sample) {
        if self.percentile.is_some() {
            if self.latencies.len() == self.latencies.capacity() {
                return;
            }
            self.latencies.push(sample.rtt_ns);
        }
        self.smallest_ns = self.smallest_ns.min(sample.rtt_ns);
        self.sum_ns = self.sum_ns.saturating_add(sample.rtt_ns);
        self.count += 1;
        self.in_flight = self.in_flight.max(sample.in_flight);
        self.dropped |= sample.dropped;
    }

    fn clear(&mut self) {
        self.latencies.clear();
        self.smallest_ns = u64::MAX;
        self.sum_ns = 0;
        self.count = 0;
        self.in_flight = 0;
        self.dropped = false;
    }

    /// Return the latency to hand on; there must be a sample.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the buffer"
    )]
    fn tracked_ns(&mut self) -> u64 {
        let Some(percentile) = self.percentile else {
            return self.sum_ns / self.count;
        };
        let rank = (float(self.count) * percentile + 0.5).floor() as usize;
        let place = rank.max(1).min(self.latencies.len()) - 1;
        *self.latencies.select_nth_unstable(place).1
    }
}

impl Windowed {
    pub(super) fn new(
        inner: Box<dyn Limit>,
        parameters: &mut Parameters,
    ) -> Result<Self, ParameterError> {
        let min_window_ns = parameters.whole("min_window_ns", SECOND_NS, (1, MOST_NS))?;
        let max_window_ns = parameters.whole(
            "max_window_ns",
            SECOND_NS.max(min_window_ns),
            (min_window_ns, MOST_NS),
        )?;
        let size = parameters.whole("size", 10, (1, 1_000_000_000))?;
        let min_rtt_threshold_ns =
            parameters.whole("min_rtt_threshold_ns", 100_000, (0, MOST_NS))?;
        let percentile = parameters.number("percentile", 0.0, (0.0, 1.0))?;
        let samples = parameters.whole("percentile_samples", 256, (1, 1_000_000))?;
        let percentile = (percentile > 0.0).then_some(percentile);
        let room = percentile.map_or(0, |_| usize::try_from(samples).unwrap_or(usize::MAX));
        let mut window = SampleWindow {
            percentile,
            latencies: Vec::with_capacity(room),
            smallest_ns: 0,
            sum_ns: 0,
            count: 0,
            in_flight: 0,
            dropped: false,
        };
        window.clear();
        Ok(Self {
            inner,
            min_window_ns,
            max_window_ns,
            size,
            min_rtt_threshold_ns,
            next_ns: 0,
            window,
        })
    }
}

impl Limit for Windowed {
    fn limit(&self) -> u32 {
        self.inner.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.inner.last_change()
    }

    fn sampled(&mut self, sample: &Sample) {
        if sample.rtt_ns < self.min_rtt_threshold_ns {
            return;
        }
        self.window.add(sample);
        let end_ns = sample.end_ns();
        if end_ns <= self.next_ns {
            return;
        }
        let length = self.window.smallest_ns.saturating_mul(2);
        self.next_ns =
            end_ns.saturating_add(length.max(self.min_window_ns).min(self.max_window_ns));
        if self.window.count >= self.size {
            let summary = Sample {
                start_ns: sample.start_ns,
                rtt_ns: self.window.tracked_ns(),
                in_flight: self.window.in_flight,
                dropped: self.window.dropped,
            };
            self.inner.sampled(&summary);
        }
        self.window.clear();
    }

    fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.window.clear();
        self.inner.restore(snapshot, now_ns);
    }
}
