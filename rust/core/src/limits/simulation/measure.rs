//! `Measured`: what a run counts.

use super::scenario::{SECOND, Scenario};

/// Counts of one second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SecondCounts {
    pub successes: u64,
    pub latency_ns: u128,
}

/// Counts of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed, or that their callers gave up.
    pub failures: u64,
    /// Successes within the scenario's target.
    pub in_time: u64,
    /// Calls that the server was done with, refusals and failures included.
    pub served: u64,
    /// Number of them that were for nothing: they failed, came after the target, or their callers had given up.
    pub wasted: u64,
    /// Most calls in flight at a time, of all routes.
    pub peak: u64,
    /// Changes of the limits of all routes.
    pub changes: u64,
    pub(super) latencies_ns: Vec<u64>,
    pub(super) windows: Vec<SecondCounts>,
    shared: Vec<Shared>,
    target_ns: u64,
}

impl Measured {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let seconds = usize::try_from(scenario.duration_ns.div_ceil(SECOND)).unwrap_or(usize::MAX);
        Self {
            successes: 0,
            failures: 0,
            in_time: 0,
            served: 0,
            wasted: 0,
            peak: 0,
            changes: 0,
            latencies_ns: Vec::new(),
            windows: vec![SecondCounts::default(); seconds],
            shared: Shared::of(scenario),
            target_ns: scenario.target_ns,
        }
    }

    /// The server is done with a call.
    pub(super) fn served(&mut self, for_nothing: bool) {
        self.served += 1;
        self.wasted += u64::from(for_nothing);
    }

    pub(super) fn succeeded(&mut self, route: usize, now_ns: u64, latency_ns: u64) {
        self.successes += 1;
        self.in_time += u64::from(latency_ns <= self.target_ns);
        self.latencies_ns.push(latency_ns);
        if let Some(window) = usize::try_from(now_ns / SECOND)
            .ok()
            .and_then(|place| self.windows.get_mut(place))
        {
            window.successes += 1;
            window.latency_ns += u128::from(latency_ns);
        }
        let after = self
            .shared
            .partition_point(|shared| shared.from_ns < now_ns);
        if let Some(shared) = self.shared[..after].last_mut()
            && let Some((_, successes)) = shared
                .successes
                .iter_mut()
                .find(|(member, _)| *member == route)
        {
            *successes += u64::from(now_ns <= shared.until_ns);
        }
    }

    /// Sort the latencies: the run is over.
    pub(super) fn end(&mut self) {
        self.latencies_ns.sort_unstable();
    }

    /// Mean latency of successes, in nanoseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn mean_ns(&self) -> Option<f64> {
        let sum: u128 = self
            .latencies_ns
            .iter()
            .map(|latency| u128::from(*latency))
            .sum();
        (self.successes > 0).then(|| sum as f64 / self.successes as f64)
    }

    /// A percentile of latencies of successes, in nanoseconds: that of the nearest rank.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    pub fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        let count = self.latencies_ns.len();
        let rank = (count as f64 * percentile).ceil() as usize;
        self.latencies_ns
            .get(rank.clamp(1, count.max(1)) - 1)
            .copied()
    }

    /// Share of calls that did not succeed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn error_rate(&self) -> f64 {
        let all = self.successes + self.failures;
        if all == 0 {
            0.0
        } else {
            self.failures as f64 / all as f64
        }
    }

    /// Jain's index of the routes' goodput, a mean over the times in which the same routes shared the server: 1 is fair.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn fairness(&self) -> f64 {
        let (mut sum, mut all_ns) = (0.0, 0.0);
        for shared in &self.shared {
            let duration_ns = (shared.until_ns - shared.from_ns) as f64;
            sum += shared.fairness() * duration_ns;
            all_ns += duration_ns;
        }
        if all_ns == 0.0 { 1.0 } else { sum / all_ns }
    }
}

/// A time in which the same routes, two or more, shared the server.
#[derive(Clone, Debug, PartialEq)]
struct Shared {
    from_ns: u64,
    until_ns: u64,
    /// Successes of each of the routes.
    successes: Vec<(usize, u64)>,
}

impl Shared {
    fn of(scenario: &Scenario) -> Vec<Self> {
        let mut times: Vec<u64> = scenario
            .joins
            .iter()
            .chain(&scenario.leaves)
            .copied()
            .collect();
        times.push(scenario.duration_ns);
        times.retain(|at_ns| *at_ns <= scenario.duration_ns);
        times.sort_unstable();
        times.dedup();
        times
            .windows(2)
            .map(|time| Self {
                from_ns: time[0],
                until_ns: time[1],
                successes: scenario.members(time[0]).map(|route| (route, 0)).collect(),
            })
            .filter(|shared| shared.successes.len() > 1)
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn fairness(&self) -> f64 {
        let counts = || self.successes.iter().map(|(_, count)| *count as f64);
        let squares: f64 = counts().map(|count| count.powi(2)).sum();
        if squares == 0.0 {
            1.0
        } else {
            counts().sum::<f64>().powi(2) / (self.successes.len() as f64 * squares)
        }
    }
}
