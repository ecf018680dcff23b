//! `aimd`: additive increase, multiplicative decrease, by the sample (Netflix concurrency-limits).

use super::change::{Change, Tracked};
use super::parameters::{LimitRange, MOST_NS, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, whole};

/// One more for a call that was good while half of the limit was in use; a tenth less for a late or dropped one.
///
/// Each late call decreases it: one episode of congestion with as many late calls as the limit brings it down far.
pub(super) struct Aimd {
    tracked: Tracked,
    min: u32,
    max: u32,
    backoff: f64,
    timeout_ns: u64,
}

impl Aimd {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, min, max } = parameters.bounds(20, Some(20), 200)?;
        Ok(Self {
            tracked: Tracked::new(initial),
            min,
            max,
            backoff: parameters.number("backoff", 0.9, (0.5, BELOW_ONE))?,
            timeout_ns: parameters.whole("timeout_ns", 5_000_000_000, (1, MOST_NS))?,
        })
    }
}

const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

impl Limit for Aimd {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let limit = self.tracked.limit();
        let (wanted, reason) = if sample.dropped {
            (whole(f64::from(limit) * self.backoff), "dropped")
        } else if sample.rtt_ns > self.timeout_ns {
            (whole(f64::from(limit) * self.backoff), "late")
        } else if u64::from(sample.in_flight) * 2 >= u64::from(limit) {
            (limit + 1, "in use")
        } else {
            (limit, "bounds")
        };
        let bounded = self.max.min(self.min.max(wanted));
        let statistics = [
            ("rtt_ns", super::float(sample.rtt_ns)),
            ("in_flight", f64::from(sample.in_flight)),
        ];
        self.tracked
            .set(bounded, sample.end_ns(), reason, &statistics);
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        let limit = snapshot.limit.max(self.min).min(self.max);
        self.tracked.set(limit, now_ns, "restored", &[]);
    }
}
