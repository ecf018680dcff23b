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
    /// Those of them that were for nothing: they failed, came after the target, or their callers had given up.
    pub wasted: u64,
    /// Most calls in flight at a time, of all routes.
    pub peak: u64,
    /// Changes of the limits of all routes.
    pub changes: u64,
    pub(super) latencies_ns: Vec<u64>,
    pub(super) windows: Vec<SecondCounts>,
    /// Successes of each route since the last one joined.
    pub(super) shares: Vec<u64>,
    joined_ns: u64,
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
            shares: vec![0; scenario.joins.len()],
            joined_ns: scenario.joins.iter().copied().max().unwrap_or(0),
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
        if now_ns > self.joined_ns {
            self.shares[route] += 1;
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

    /// Jain's index of the routes' goodput since the last one joined: 1 is fair.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn fairness(&self) -> f64 {
        let sum: f64 = self.shares.iter().map(|share| *share as f64).sum();
        let squares: f64 = self
            .shares
            .iter()
            .map(|share| (*share as f64).powi(2))
            .sum();
        if squares == 0.0 {
            1.0
        } else {
            sum * sum / (self.shares.len() as f64 * squares)
        }
    }
}
