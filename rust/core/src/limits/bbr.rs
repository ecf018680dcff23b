//! `bbr`: the most calls that ended in a tenth of a second, times the smallest latency (Kratos aegis, after Sentinel).

use super::change::{Change, Tracked};
use super::parameters::{LimitRange, MOST_NS, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, whole};

/// The product of throughput and latency of the last ten seconds, each at its best, and one call more.
///
/// Failures count as calls, as in the original. That limits only while the machine's processors are busy; here nothing
/// measures processors, and what stands in is said by `overload_ns`: 0 takes the dependency for busy at all times, a
/// number for as long after a drop, and without one the limit is its maximum.
///
/// Latencies are not rounded up to milliseconds.
pub(super) struct Bbr {
    tracked: Tracked,
    range: LimitRange,
    bucket_ns: u64,
    overload_ns: u64,
    buckets: Box<[Bucket]>,
    /// Ordinal of the current bucket; None before the first call.
    current: Option<u64>,
    now_ns: u64,
    dropped_ns: Option<u64>,
    /// Most calls that ended in a bucket, and the smallest mean latency of one; None before a bucket is complete.
    best: Option<(u32, f64)>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    count: u32,
    sum_ns: u64,
}

impl Bbr {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let range = parameters.bounds(20, Some(1), 200)?;
        let count = parameters.whole("buckets", 100, (2, 1000))?;
        let window_ns = parameters.whole("window_ns", 10_000_000_000, (count, MOST_NS))?;
        let overload_ns = parameters.whole("overload_ns", 0, (0, MOST_NS))?;
        Ok(Self {
            tracked: Tracked::new(range.initial),
            range,
            bucket_ns: window_ns / count,
            overload_ns,
            buckets: (0..count).map(|_| Bucket::default()).collect(),
            current: None,
            now_ns: 0,
            dropped_ns: None,
            best: None,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a remainder by the number of buckets"
    )]
    fn place(&self, ordinal: u64) -> usize {
        (ordinal % self.buckets.len() as u64) as usize
    }

    /// Begin the bucket of this ordinal, empty what is older than the window, and take the best of what is left.
    fn turn(&mut self, ordinal: u64) {
        let first = self.current.map_or(0, |current| current + 1);
        let passed = (ordinal - first).min(self.buckets.len() as u64 - 1);
        for cleared in ordinal - passed..=ordinal {
            let place = self.place(cleared);
            self.buckets[place] = Bucket::default();
        }
        self.current = Some(ordinal);
        let complete = || self.buckets.iter().filter(|bucket| bucket.count > 0);
        let most = complete().map(|bucket| bucket.count).max();
        let smallest_ns = complete()
            .map(|bucket| float(bucket.sum_ns) / f64::from(bucket.count))
            .reduce(f64::min);
        self.best = most.zip(smallest_ns).or(self.best);
    }

    fn decide(&mut self, now_ns: u64) {
        let is_overloaded = self.overload_ns == 0
            || self
                .dropped_ns
                .is_some_and(|dropped_ns| now_ns - dropped_ns < self.overload_ns);
        let (most, smallest_ns) = match self.best {
            Some(best) if is_overloaded => best,
            _ if is_overloaded => return,
            _ => {
                self.tracked.set(self.range.max, now_ns, "no drops", &[]);
                return;
            }
        };
        let product = f64::from(most) * smallest_ns / float(self.bucket_ns);
        let wanted = whole((product + 0.5).floor()).saturating_add(1);
        let statistics = [
            ("calls_per_bucket", f64::from(most)),
            ("smallest_rtt_ns", smallest_ns),
        ];
        let bounded = self.range.clamp(wanted);
        self.tracked.set(bounded, now_ns, "product", &statistics);
    }
}

impl Limit for Bbr {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let now_ns = sample.end_ns().max(self.now_ns);
        self.now_ns = now_ns;
        self.tracked.bounded(&self.range, now_ns);
        let ordinal = now_ns / self.bucket_ns;
        let turns = self.current != Some(ordinal);
        if turns {
            self.turn(ordinal);
        }
        if sample.dropped {
            self.dropped_ns = Some(now_ns);
        }
        if turns || sample.dropped {
            self.decide(now_ns);
        }
        let place = self.place(ordinal);
        let bucket = &mut self.buckets[place];
        bucket.count = bucket.count.saturating_add(1);
        bucket.sum_ns = bucket.sum_ns.saturating_add(sample.rtt_ns);
    }

    /// The limit stays until a bucket is complete.
    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.buckets.fill(Bucket::default());
        self.current = None;
        self.dropped_ns = None;
        self.best = None;
        let bounded = self.range.clamp(snapshot.limit);
        self.tracked.set(bounded, now_ns, "restored", &[]);
    }

    fn has_windows(&self) -> bool {
        true
    }
}
