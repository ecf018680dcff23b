//! `vegas`: the queue estimated from the smallest latency seen, as TCP Vegas does (Netflix concurrency-limits).

use super::change::{Change, Tracked};
use super::jitter::Jitter;
use super::parameters::{LimitRange, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, whole};

/// Keeps an estimated queue between two thresholds, which grow with the logarithm of the limit unless they are given.
///
/// The smallest latency is measured anew from time to time, from whatever call comes then: under load it drifts up.
pub(super) struct Vegas {
    tracked: Tracked,
    estimate: f64,
    max: u32,
    smoothing: f64,
    steps: StepSizes,
    probe_multiplier: f64,
    jitter: Jitter,
    probe_jitter: f64,
    count: u64,
    smallest_ns: u64,
}

/// Constant in place of a function of the limit; None for the multiple of its digits.
struct StepSizes {
    threshold: Option<f64>,
    alpha: Option<f64>,
    beta: Option<f64>,
    increase: Option<f64>,
    decrease: Option<f64>,
    decrease_ratio: f64,
}

impl StepSizes {
    fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let mut given = |name| {
            let number = parameters.given_whole(name, (0, 1_000_000))?;
            Ok::<_, ParameterError>(number.map(float))
        };
        Ok(Self {
            threshold: given("threshold")?,
            alpha: given("alpha")?,
            beta: given("beta")?,
            increase: given("increase")?,
            decrease: given("decrease")?,
            decrease_ratio: parameters.number("decrease_ratio", 1.0, (0.0, 1.0))?,
        })
    }
}

impl Vegas {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let LimitRange { initial, max, .. } = parameters.bounds(20, None, 1000)?;
        let smoothing = parameters.number("smoothing", 1.0, (0.0, 1.0))?;
        let probe_multiplier = parameters.number("probe_multiplier", 30.0, (1.0, 1e6))?;
        let steps = StepSizes::new(parameters)?;
        let mut jitter = parameters.jitter(0.5)?;
        let probe_jitter = jitter.take();
        Ok(Self {
            tracked: Tracked::new(initial),
            estimate: f64::from(initial),
            max,
            smoothing,
            steps,
            probe_multiplier,
            jitter,
            probe_jitter,
            count: 0,
            smallest_ns: 0,
        })
    }
}

impl Limit for Vegas {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn accepts(&self, sample: &Sample) -> bool {
        sample.rtt_ns > 0 // no call takes no time; as a baseline it would call every latency a queue
    }

    fn sampled(&mut self, sample: &Sample) {
        if !self.accepts(sample) {
            return;
        }
        self.count += 1;
        if self.probe_jitter * self.probe_multiplier * self.estimate <= float(self.count) {
            self.probe_jitter = self.jitter.take();
            self.count = 0;
            self.smallest_ns = sample.rtt_ns;
            return;
        }
        if self.smallest_ns == 0 || sample.rtt_ns < self.smallest_ns {
            self.smallest_ns = sample.rtt_ns;
            return;
        }
        let queue = (self.estimate * (1.0 - float(self.smallest_ns) / float(sample.rtt_ns))).ceil();
        let (step, steps) = (f64::from(digits(self.estimate)), &self.steps);
        let beta = steps.beta.unwrap_or(6.0 * step);
        let less = self.estimate * steps.decrease_ratio - steps.decrease.unwrap_or(step);
        let (wanted, reason) = if sample.dropped {
            (less, "dropped")
        } else if f64::from(sample.in_flight) * 2.0 < self.estimate {
            return;
        } else if queue <= steps.threshold.unwrap_or(step) {
            (self.estimate + beta, "no queue")
        } else if queue < steps.alpha.unwrap_or(3.0 * step) {
            (
                self.estimate + steps.increase.unwrap_or(step),
                "short queue",
            )
        } else if queue > beta {
            (less, "long queue")
        } else {
            return;
        };
        let bounded = f64::from(self.max).min(wanted).max(1.0);
        self.estimate = (1.0 - self.smoothing) * self.estimate + self.smoothing * bounded;
        let statistics = [
            ("rtt_ns", float(sample.rtt_ns)),
            ("smallest_rtt_ns", float(self.smallest_ns)),
            ("queue", queue),
            ("in_flight", f64::from(sample.in_flight)),
        ];
        self.tracked
            .set(whole(self.estimate), sample.end_ns(), reason, &statistics);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.tracked.limit(),
            baseline_ns: Some(self.smallest_ns).filter(|smallest_ns| *smallest_ns > 0),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.estimate = f64::from(snapshot.limit.clamp(1, self.max));
        self.smallest_ns = snapshot.baseline_ns.unwrap_or(0);
        self.count = 0;
        self.tracked
            .set(whole(self.estimate), now_ns, "restored", &[]);
    }
}

/// Return the integer part of the decimal logarithm of the estimate's integer part, 1 at least.
fn digits(estimate: f64) -> u32 {
    whole(estimate).ilog10().max(1)
}
