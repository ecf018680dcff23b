//! `Series`: a run in a bounded number of bins of time, to be drawn.
//!
//! Kept separate from `measure` because nothing is judged by it, and a run that is not drawn does not pay for it.

/// Edges of the classes of latency, in sixteenths of the target: 1/16, 1/8, 1/4, 1/2, 3/4, 1, 1.5, 2, 4, 8 of it.
const EDGES: [u128; 10] = [1, 2, 4, 8, 12, 16, 24, 32, 64, 128];

/// Number of classes of latency: below the first edge, between two, and from the last.
pub const LATENCY_CLASSES: usize = EDGES.len() + 1;

/// Outcomes of the calls that end in a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Successes within the target.
    pub in_time: u64,
    /// Successes beyond it.
    pub late: u64,
    /// Calls that failed, or were refused.
    pub failed: u64,
    /// Calls that their callers gave up.
    pub given_up: u64,
}

/// One bin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Limits of all routes, times nanoseconds.
    pub limit: u128,
    /// Calls in flight of all routes, times nanoseconds.
    pub in_flight: u128,
    /// Calls that ended.
    pub outcomes: Outcomes,
    /// Successes by class of latency.
    pub latencies: [u64; LATENCY_CLASSES],
}

/// Bins of a run, each of the same width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Width of a bin.
    pub width_ns: u64,
    /// Bins, in the order of time.
    pub bins: Vec<Bin>,
    target_ns: u64,
    now_ns: u64,
    limit: u64,
    in_flight: u64,
}

impl Series {
    /// Prepare so many bins: 1 at least.
    pub(super) fn new(duration_ns: u64, target_ns: u64, bins: usize) -> Self {
        let bins = bins.max(1);
        let width_ns = duration_ns.div_ceil(bins as u64).max(1);
        Self {
            width_ns,
            bins: vec![Bin::default(); bins],
            target_ns,
            now_ns: 0,
            limit: 0,
            in_flight: 0,
        }
    }

    /// From this time on there are these limits and these calls.
    pub(super) fn set(&mut self, now_ns: u64, limit: u64, in_flight: u64) {
        while self.now_ns < now_ns {
            let place = self.place(self.now_ns);
            let end_ns = if place + 1 == self.bins.len() {
                now_ns
            } else {
                now_ns.min((place as u64 + 1) * self.width_ns)
            };
            let nanoseconds = u128::from(end_ns - self.now_ns);
            let bin = &mut self.bins[place];
            bin.limit += u128::from(self.limit) * nanoseconds;
            bin.in_flight += u128::from(self.in_flight) * nanoseconds;
            self.now_ns = end_ns;
        }
        self.limit = limit;
        self.in_flight = in_flight;
    }

    pub(super) fn succeeded(&mut self, now_ns: u64, latency_ns: u64) {
        let sixteenths = u128::from(latency_ns) * 16;
        let target_ns = u128::from(self.target_ns);
        let class = EDGES.partition_point(|edge| edge * target_ns < sixteenths);
        let place = self.place(now_ns);
        let bin = &mut self.bins[place];
        bin.latencies[class] += 1;
        if latency_ns <= self.target_ns {
            bin.outcomes.in_time += 1;
        } else {
            bin.outcomes.late += 1;
        }
    }

    pub(super) fn failed(&mut self, now_ns: u64, was_given_up: bool) {
        let place = self.place(now_ns);
        let outcomes = &mut self.bins[place].outcomes;
        if was_given_up {
            outcomes.given_up += 1;
        } else {
            outcomes.failed += 1;
        }
    }

    fn place(&self, now_ns: u64) -> usize {
        usize::try_from(now_ns / self.width_ns)
            .unwrap_or(usize::MAX)
            .min(self.bins.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_over_an_edge_is_shared_by_time() {
        let mut series = Series::new(100, 16, 4);
        series.set(0, 8, 2);
        series.set(30, 4, 4);
        series.set(100, 0, 0);
        let limits: Vec<u128> = series.bins.iter().map(|bin| bin.limit / 25).collect();
        let calls: Vec<u128> = series.bins.iter().map(|bin| bin.in_flight).collect();
        assert_eq!(limits, [8, (5 * 8 + 20 * 4) / 25, 4, 4]);
        assert_eq!(calls, [50, 5 * 2 + 20 * 4, 100, 100]);
    }

    #[test]
    fn latencies_have_classes_by_the_target_and_outcomes_add_up() {
        let mut series = Series::new(100, 16, 1);
        for latency_ns in [1, 16, 17, 129, 1000] {
            series.succeeded(50, latency_ns);
        }
        series.failed(99, false);
        series.failed(100, true);
        let bin = &series.bins[0];
        assert_eq!(bin.latencies, [1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2]);
        let expected = Outcomes {
            in_time: 2,
            late: 3,
            failed: 1,
            given_up: 1,
        };
        assert_eq!(bin.outcomes, expected);
    }
}
