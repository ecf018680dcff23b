//! `TimedLevels`: how long there were how many calls, starts and permits, as Vector's tests count them.
//!
//! Kept separate from `series`, which keeps the order of time and not the levels.

use std::collections::BTreeMap;

/// Time at each level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    times: BTreeMap<u64, u128>,
    level: u64,
    since_ns: u64,
}

impl Histogram {
    /// From this time on there is this level.
    pub(super) fn set(&mut self, now_ns: u64, level: u64) {
        self.take(now_ns, self.level);
        self.level = level;
    }

    /// There was this level since the last time: what comes counts for the time before it.
    pub(super) fn add(&mut self, now_ns: u64, level: u64) {
        self.take(now_ns, level);
    }

    fn take(&mut self, now_ns: u64, level: u64) {
        let lasted = now_ns.saturating_sub(self.since_ns);
        if lasted > 0 {
            *self.times.entry(level).or_default() += u128::from(lasted);
        }
        self.since_ns = self.since_ns.max(now_ns);
    }

    /// Highest level.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.times.keys().next_back().copied().unwrap_or(0)
    }

    /// Level that lasted longest; the highest of several.
    #[must_use]
    pub fn mode(&self) -> u64 {
        self.times
            .iter()
            .max_by_key(|(_, lasted)| **lasted)
            .map_or(0, |(level, _)| *level)
    }

    /// Mean level by time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "levels and minutes are small")]
    pub fn mean(&self) -> f64 {
        let all: u128 = self.times.values().sum();
        let sum: f64 = self
            .times
            .iter()
            .map(|(level, lasted)| *level as f64 * *lasted as f64)
            .sum();
        if all == 0 { 0.0 } else { sum / all as f64 }
    }
}

/// Levels of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimedLevels {
    /// Calls that the server has.
    pub calls: Histogram,
    /// Starts of the last second before each start.
    pub rate: Histogram,
    /// Limit of all routes.
    pub limit: Histogram,
    /// Latency of every success.
    pub latencies_ns: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_count_by_the_time_that_they_lasted() {
        let mut levels = Histogram::default();
        levels.set(0, 3);
        levels.set(10, 5);
        levels.set(10, 1);
        levels.set(40, 3);
        assert_eq!((levels.max(), levels.mode()), (3, 1));
        assert!((levels.mean() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn what_is_added_counts_for_the_time_before() {
        let mut rate = Histogram::default();
        rate.add(0, 1);
        rate.add(10, 2);
        rate.add(40, 1);
        assert_eq!((rate.max(), rate.mode()), (2, 1));
        assert!((rate.mean() - 1.25).abs() < 1e-12);
    }
}
