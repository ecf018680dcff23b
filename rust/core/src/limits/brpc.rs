//! `brpc`: peak throughput times the latency without load (Apache brpc, its `auto` limiter).

use super::change::{Change, Tracked};
use super::jitter::Jitter;
use super::parameters::{LimitRange, MOST_NS, ParameterError, Parameters};
use super::{Limit, Sample, Snapshot, float, nanoseconds, whole};

const SECOND_NS: u64 = 1_000_000_000;

/// By Little's law the calls that a server takes without a queue, and room to explore that grows while latency does not.
///
/// Every so often the limit falls below that, until what had queued is gone, and the latency without load is measured
/// anew. A window in which all calls failed halves the limit.
///
/// Other than in the original, latencies are not rounded to microseconds; the limit is rounded up, since a tenth more
/// than one call is none; and a window with too few calls is thrown away only if the limit was not reached in it, since
/// a low limit is itself a reason for few.
pub(super) struct Brpc {
    tracked: Tracked,
    range: LimitRange,
    settings: BrpcSettings,
    jitter: Jitter,
    now_ns: u64,
    /// Time of the last call that was looked at.
    looked_ns: Option<u64>,
    /// Time of the next measurement of the latency without load; None before the first call.
    remeasure_ns: Option<u64>,
    /// End of the wait for what has queued.
    drained_ns: Option<u64>,
    /// Latency without load; 0 if it is not known.
    smallest_ns: f64,
    /// Calls a nanosecond at the peak; 0 before the first window.
    peak: f64,
    explore_ratio: f64,
    window: BrpcWindow,
}

struct BrpcSettings {
    window_ns: u64,
    min_samples: u64,
    max_samples: u64,
    sampling_interval_ns: u64,
    remeasure_interval_ns: u64,
    remeasure_ratio: f64,
    smoothing: f64,
    punishes: bool,
    punish_ratio: f64,
    punish_threshold: f64,
    min_explore_ratio: f64,
    max_explore_ratio: f64,
    explore_step: f64,
    fluctuation_factor: f64,
}

#[derive(Default)]
struct BrpcWindow {
    start_ns: Option<u64>,
    /// All successes; the other counts are of the calls that were looked at.
    all_successes: u64,
    successes: u64,
    success_ns: u64,
    failures: u64,
    failure_ns: u64,
    reached: bool,
}

impl BrpcWindow {
    fn begin(&mut self, now_ns: u64) {
        *self = Self {
            start_ns: Some(now_ns),
            ..Self::default()
        };
    }
}

impl BrpcSettings {
    fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let samples = (1, 1_000_000_000);
        let min_explore_ratio = parameters.number("min_explore_ratio", 0.06, (0.0, 10.0))?;
        Ok(Self {
            window_ns: parameters.whole("sample_window_ns", SECOND_NS, (1, MOST_NS))?,
            min_samples: parameters.whole("min_sample_count", 100, samples)?,
            max_samples: parameters.whole("max_sample_count", 200, samples)?,
            sampling_interval_ns: parameters.whole(
                "sampling_interval_ns",
                100_000,
                (0, MOST_NS),
            )?,
            remeasure_interval_ns: parameters.whole(
                "remeasure_interval_ns",
                50 * SECOND_NS,
                (2, MOST_NS),
            )?,
            remeasure_ratio: parameters.number("remeasure_ratio", 0.9, (0.0, 1.0))?,
            smoothing: parameters.number("smoothing", 0.1, (0.0, 1.0))?,
            punishes: parameters.whole("error_punish", 1, (0, 1))? == 1,
            punish_ratio: parameters.number("fail_punish_ratio", 1.0, (0.0, 1e6))?,
            punish_threshold: parameters.number("error_rate_punish_threshold", 0.0, (0.0, 1.0))?,
            min_explore_ratio,
            max_explore_ratio: parameters.number(
                "max_explore_ratio",
                min_explore_ratio.max(0.3),
                (min_explore_ratio, 10.0),
            )?,
            explore_step: parameters.number("explore_step", 0.02, (0.0, 10.0))?,
            fluctuation_factor: parameters.number(
                "latency_fluctuation_correction_factor",
                1.0,
                (0.0, 1e6),
            )?,
        })
    }

    /// Return the mean latency of successes, to which failures add their own: all of it, or by their share.
    fn punished_ns(&self, window: &BrpcWindow) -> f64 {
        let (successes, failures) = (float(window.successes), float(window.failures));
        let share = failures / (successes + failures);
        let attenuation = if self.punish_threshold <= 0.0 || self.punish_threshold >= 1.0 {
            1.0
        } else {
            ((share - self.punish_threshold) / (1.0 - self.punish_threshold)).max(0.0)
        };
        let punishment_ns = float(window.failure_ns) * self.punish_ratio * attenuation;
        (punishment_ns + float(window.success_ns)) / successes
    }
}

impl Brpc {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let range = parameters.bounds(40, Some(40), 1000)?;
        let settings = BrpcSettings::new(parameters)?;
        Ok(Self {
            tracked: Tracked::new(range.initial),
            range,
            jitter: parameters.jitter(0.0)?,
            now_ns: 0,
            looked_ns: None,
            remeasure_ns: None,
            drained_ns: None,
            smallest_ns: 0.0,
            peak: 0.0,
            explore_ratio: settings.max_explore_ratio,
            settings,
            window: BrpcWindow::default(),
        })
    }

    /// Draw the time of the next measurement: half an interval to a whole one later.
    fn next_remeasure_ns(&mut self, now_ns: u64) -> u64 {
        let half = self.settings.remeasure_interval_ns / 2;
        let drawn = nanoseconds(float(half) * self.jitter.take()).unwrap_or(0);
        now_ns.saturating_add(half + drawn.min(half))
    }

    fn set(&mut self, wanted: u32, now_ns: u64, reason: &'static str, rtt_ns: f64) {
        let statistics = [
            ("rtt_ns", rtt_ns),
            ("smallest_rtt_ns", self.smallest_ns),
            ("peak_calls_per_s", self.peak * float(SECOND_NS)),
            ("explore_ratio", self.explore_ratio),
            ("failures", float(self.window.failures)),
        ];
        let bounded = self.range.clamp(wanted);
        self.tracked.set(bounded, now_ns, reason, &statistics);
    }

    /// Decide by a window of this age, which has successes.
    fn decide(&mut self, now_ns: u64, age_ns: u64) {
        let settings = &self.settings;
        let rtt_ns = settings.punished_ns(&self.window);
        let rate = float(self.window.all_successes) / float(age_ns);
        if self.smallest_ns <= 0.0 {
            self.smallest_ns = rtt_ns;
        } else if rtt_ns < self.smallest_ns {
            self.smallest_ns =
                rtt_ns * settings.smoothing + self.smallest_ns * (1.0 - settings.smoothing);
        }
        let slowly = settings.smoothing / 10.0;
        if rate >= self.peak {
            self.peak = rate;
        } else {
            self.peak = rate * slowly + self.peak * (1.0 - slowly);
        }
        let without_queue = self.peak * self.smallest_ns;
        if self.remeasure_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            let wait_ns = nanoseconds(rtt_ns * 2.0).unwrap_or(0);
            self.drained_ns = Some(now_ns.saturating_add(wait_ns));
            let wanted = whole((without_queue * settings.remeasure_ratio).ceil());
            self.set(wanted, now_ns, "remeasure", rtt_ns);
            return;
        }
        let usual_ns =
            self.smallest_ns * (1.0 + settings.min_explore_ratio * settings.fluctuation_factor);
        let is_free = rtt_ns <= usual_ns || rate <= self.peak / (1.0 + settings.min_explore_ratio);
        let reason = if is_free {
            self.explore_ratio =
                (self.explore_ratio + settings.explore_step).min(settings.max_explore_ratio);
            "as fast"
        } else {
            self.explore_ratio =
                (self.explore_ratio - settings.explore_step).max(settings.min_explore_ratio);
            "slower"
        };
        let wanted = whole((without_queue * (1.0 + self.explore_ratio)).ceil());
        self.set(wanted, now_ns, reason, rtt_ns);
    }

    /// Count a call that is looked at; true if its window is complete, and how old that is.
    fn counted(&mut self, sample: &Sample, now_ns: u64) -> Option<u64> {
        let settings = &self.settings;
        let window = &mut self.window;
        let age_ns = now_ns - *window.start_ns.get_or_insert(now_ns);
        if !sample.dropped {
            window.successes += 1;
            window.success_ns = window.success_ns.saturating_add(sample.rtt_ns);
        } else if settings.punishes {
            window.failures += 1;
            window.failure_ns = window.failure_ns.saturating_add(sample.rtt_ns);
        }
        window.reached |= sample.in_flight >= self.tracked.limit();
        let count = window.successes + window.failures;
        if count < settings.min_samples {
            if age_ns >= settings.window_ns && !window.reached {
                window.begin(now_ns);
            }
            return None;
        }
        let is_over = age_ns >= settings.window_ns || count >= settings.max_samples;
        (is_over && age_ns > 0).then_some(age_ns)
    }
}

impl Limit for Brpc {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, sample: &Sample) {
        let now_ns = sample.end_ns().max(self.now_ns);
        self.now_ns = now_ns;
        let limit = self.tracked.bounded(&self.range, now_ns);
        self.window.all_successes += u64::from(!sample.dropped);
        let interval_ns = self.settings.sampling_interval_ns;
        if self
            .looked_ns
            .is_some_and(|looked_ns| now_ns - looked_ns < interval_ns)
        {
            return;
        }
        self.looked_ns = Some(now_ns);
        if self.remeasure_ns.is_none() {
            self.remeasure_ns = Some(self.next_remeasure_ns(now_ns));
        }
        if let Some(drained_ns) = self.drained_ns {
            if drained_ns > now_ns {
                return;
            }
            self.drained_ns = None;
            self.smallest_ns = 0.0;
            self.remeasure_ns = Some(self.next_remeasure_ns(now_ns));
            self.window.begin(now_ns);
        }
        let Some(age_ns) = self.counted(sample, now_ns) else {
            return;
        };
        if self.window.successes > 0 {
            self.decide(now_ns, age_ns);
        } else {
            self.set(limit / 2, now_ns, "all failed", 0.0);
        }
        self.window.begin(now_ns);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.tracked.limit(),
            baseline_ns: nanoseconds(self.smallest_ns),
        }
    }

    /// The peak follows from the limit and the latency without load.
    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.smallest_ns = snapshot.baseline_ns.map_or(0.0, float);
        self.drained_ns = None;
        self.remeasure_ns = None;
        self.explore_ratio = self.settings.max_explore_ratio;
        self.window = BrpcWindow::default();
        self.set(snapshot.limit, now_ns, "restored", self.smallest_ns);
        self.peak = if self.smallest_ns > 0.0 {
            f64::from(self.tracked.limit()) / (self.smallest_ns * (1.0 + self.explore_ratio))
        } else {
            0.0
        };
    }

    fn has_windows(&self) -> bool {
        true
    }
}
