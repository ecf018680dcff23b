//! `arc`: adaptive request concurrency (Vector).

use std::time::Duration;

use super::change::{Change, Tracked};
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, whole};

/// One decision each smoothed latency: one more if no call was slower than usual and the limit was reached, a tenth
/// less after any overload or a latency that deviates.
///
/// Nothing happens before the first success. Latencies are seconds, as in the original.
pub(super) struct Arc {
    tracked: Tracked,
    max: u32,
    decrease_ratio: f64,
    alpha: f64,
    deviation_scale: f64,
    in_flight: u32,
    reached: bool,
    overloaded: bool,
    /// Mean of the latencies since the last decision.
    present: Mean,
    past: Option<Past>,
    next_ns: u64,
}

#[derive(Default)]
struct Mean {
    count: u64,
    value: f64,
}

impl Mean {
    fn add(&mut self, sample: f64) {
        self.count += 1;
        self.value += (sample - self.value) / super::float(self.count);
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then_some(self.value)
    }
}

/// Exponentially weighted mean and variance of latencies.
#[derive(Clone, Copy)]
struct Past {
    mean: f64,
    variance: f64,
}

impl Past {
    fn add(&mut self, sample: f64, alpha: f64) {
        let difference = sample - self.mean;
        let increment = alpha * difference;
        self.mean += increment;
        self.variance = (1.0 - alpha) * difference.mul_add(increment, self.variance); // rounded once, as there
    }
}

impl Arc {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, max, .. } = parameters.bounds(1, None, 200)?;
        Ok(Self {
            tracked: Tracked::new(initial),
            max,
            decrease_ratio: parameters.number("decrease_ratio", 0.9, (0.0, 1.0))?,
            alpha: parameters.number("ewma_alpha", 0.4, (0.0, 1.0))?,
            deviation_scale: parameters.number("rtt_deviation_scale", 2.5, (0.0, 1e6))?,
            in_flight: 0,
            reached: false,
            overloaded: false,
            present: Mean::default(),
            past: None,
            next_ns: 0,
        })
    }

    /// A call has ended; `latency` if it tells of the dependency's.
    fn ended(&mut self, now_ns: u64, latency: Option<f64>, overloaded: bool) {
        self.overloaded |= overloaded;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(latency) = latency {
            self.present.add(latency);
        }
        let present = self.present.value();
        match &mut self.past {
            None => {
                if let Some(mean) = present {
                    self.past = Some(Past {
                        mean,
                        variance: 0.0,
                    });
                    self.next_ns = after(now_ns, mean);
                }
            }
            Some(past) => {
                if now_ns < self.next_ns {
                    return;
                }
                let before = *past;
                if let Some(mean) = present {
                    past.add(mean, self.alpha);
                }
                self.next_ns = after(now_ns, past.mean);
                self.decide(now_ns, before, present);
                self.present = Mean::default();
                self.overloaded = false;
                self.reached = false;
            }
        }
    }

    fn decide(&mut self, now_ns: u64, past: Past, present: Option<f64>) {
        let threshold = past.variance.sqrt() * self.deviation_scale;
        let limit = self.tracked.limit();
        let (wanted, reason) = if limit < self.max
            && self.reached
            && !self.overloaded
            && present.is_some_and(|mean| mean <= past.mean)
        {
            (limit + 1, "as fast")
        } else if limit > 1 && (self.overloaded || present.unwrap_or(0.0) >= past.mean + threshold)
        {
            let reason = if self.overloaded { "dropped" } else { "slower" };
            (whole(f64::from(limit) * self.decrease_ratio), reason)
        } else {
            return;
        };
        let statistics = [
            ("rtt_s", present.unwrap_or(0.0)),
            ("past_rtt_s", past.mean),
            ("threshold_s", threshold),
        ];
        self.tracked.set(wanted, now_ns, reason, &statistics);
    }
}

/// Return the time so many seconds later.
fn after(now_ns: u64, seconds: f64) -> u64 {
    let later = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    now_ns.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX))
}

impl Limit for Arc {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn started(&mut self, _now_ns: u64) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.reached |= self.in_flight >= self.tracked.limit();
    }

    fn sampled(&mut self, sample: &Sample) {
        let latency = Duration::from_nanos(sample.rtt_ns).as_secs_f64();
        self.ended(
            sample.end_ns(),
            (!sample.dropped).then_some(latency),
            sample.dropped,
        );
    }

    fn ignored(&mut self, now_ns: u64) {
        self.ended(now_ns, None, false);
    }

    fn counts_starts(&self) -> bool {
        true
    }

    /// The usual latency is not restored: without its deviation every latency above it would be one that deviates.
    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        let limit = snapshot.limit.clamp(1, self.max);
        self.tracked.set(limit, now_ns, "restored", &[]);
    }
}
