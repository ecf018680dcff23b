//! `Scenario`: a server, a load, and the limits that an oracle would set.

use std::borrow::Cow;

/// Number of nanoseconds in a second.
pub(super) const SECOND: u64 = 1_000_000_000;
/// Number of nanoseconds in a millisecond.
pub(super) const MS: u64 = 1_000_000;

/// A value that changes in steps: each from its time on. The first is from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps(pub Vec<(u64, u64)>);

impl Steps {
    /// A value that never changes.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        Self(vec![(0, value)])
    }

    /// Return the value at a time.
    #[must_use]
    pub fn at(&self, now_ns: u64) -> u64 {
        let after = self.0.partition_point(|(from, _)| *from <= now_ns);
        self.0[after.max(1) - 1].1
    }

    /// Times at which it changes, without 0.
    pub fn times(&self) -> impl Iterator<Item = u64> + '_ {
        self.0
            .iter()
            .map(|(from, _)| *from)
            .filter(|from| *from > 0)
    }
}

/// Distribution of the time that a call is served.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// Always the same at a time, in nanoseconds.
    Steps(Steps),
    /// Log-normal, by mean in nanoseconds and standard deviation of the logarithm.
    LogNormal {
        /// Mean.
        mean_ns: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// One of two.
    Bimodal {
        /// The usual one.
        fast_ns: u64,
        /// The rare one.
        slow_ns: u64,
        /// Share of the rare one.
        slow_share: f64,
    },
    /// From a cold start: slower, exponentially less so.
    Warming {
        /// Time once it is warm.
        warm_ns: u64,
        /// Time that a cold one takes longer.
        cold_ns: u64,
        /// Time constant.
        constant_ns: u64,
    },
    /// By the size of a call: shares that add up to 1, each with its time in nanoseconds.
    Sizes(Vec<(f64, u64)>),
}

/// A dependency.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerModel {
    /// Workers that serve first come, first served.
    Workers {
        /// Number of workers.
        workers: Steps,
        /// Time of service.
        service: Service,
        /// Share of calls that fail, after their own short service.
        failing: f64,
        /// Time in which everything that is there or arrives is lost; empty for none.
        outage: (u64, u64),
    },
    /// Latency fixed when a call arrives, in proportion to those there beyond a knee.
    Knee {
        /// Latency up to the knee.
        base_ns: u64,
        /// Calls at the knee.
        knee: u64,
    },
    /// Universal scalability law: contention and coherence, with a tenth of jitter to either side.
    Usl {
        /// Latency of one call alone.
        base_ns: u64,
        /// Contention.
        alpha: f64,
        /// Coherence.
        beta: f64,
    },
    /// A constant latency; refuses what arrives while so many are there. A refusal takes as long.
    Refusing {
        /// Latency of answers and refusals.
        latency_ns: u64,
        /// Most calls that are there.
        room: u64,
    },
    /// Latencies that were recorded, by the calls that were there.
    Recorded {
        /// Levels by calls in flight, ascending; one at least, each with one call at least.
        levels: Vec<RecordedLevel>,
    },
    /// A link that grows slow by the calls on it, and by those of the last second (Vector's test server).
    Link {
        /// Latency of a call alone.
        delay_ns: u64,
        /// Mean of the exponential part, in the latency.
        jitter: f64,
        /// Growth by the calls there.
        by_calls: Growth,
        /// Growth by the starts of the last second.
        by_rate: Growth,
    },
    /// A link that calls share fairly: up to its streams each is as fast as alone, beyond them all are slower in proportion.
    Sharing {
        /// Calls that are as fast as one alone.
        streams: u64,
        /// Mean time of a call alone; sizes are spread evenly.
        alone_ns: u64,
        /// Size of the largest call beyond the mean, and of the smallest below it, as a share of the mean.
        spread: f64,
    },
    /// Workers behind connections, some of which break now and then, however many calls there are.
    Breaking {
        /// Number of workers.
        workers: u64,
        /// Time of service.
        service_ns: u64,
        /// Times at which connections break.
        breaks: Vec<u64>,
        /// Share of calls that are on a connection that breaks: those there fail at once.
        share: f64,
    },
    /// Serves a batch at each tick.
    Batch {
        /// Time between ticks.
        tick_ns: u64,
        /// Most calls in a batch.
        most: u64,
        /// Time of service.
        service_ns: u64,
    },
}

/// Growth of a link's latency with a level, and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// Latency that each call beyond the first adds, in that of one alone.
    pub scale: f64,
    /// Level of a knee, and the base of the power by which latency grows beyond it.
    pub knee: Option<(u64, f64)>,
    /// Level beyond which a call is not served, and what becomes of it.
    pub limit: Option<(u64, Excess)>,
}

/// Fate of a call that is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// A failure, as fast as one alone is served.
    Defer,
    /// No answer, ever.
    Drop,
}

/// Calls that were recorded while about so many were in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedLevel {
    /// Calls in flight, each itself included.
    pub in_flight: u64,
    /// Duration of each in nanoseconds, and true if it was dropped.
    pub calls: Vec<(u64, bool)>,
}

/// Calls that want to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// A backlog without end: the next call starts as soon as the limit allows.
    Saturating,
    /// Calls in equal steps, or all at once. One that fails is made again, after one
    /// second, one more, two, three, five: Fibonacci's numbers.
    Every {
        /// Time between two.
        interval_ns: u64,
        /// Number of them.
        calls: u64,
    },
    /// Arrivals at random at a rate per second, then a backlog without end.
    PoissonUntil {
        /// Calls per second.
        rate: f64,
        /// Time from which there is a backlog.
        until_ns: u64,
    },
    /// A backlog without end, but for a time in which there are calls at random at a rate per second.
    Pausing {
        /// Calls per second in between.
        rate: f64,
        /// Time from which there is no backlog.
        from_ns: u64,
        /// Time from which there is one again.
        until_ns: u64,
    },
    /// Arrivals at random at a rate per second. A call that fails is made again at once.
    Retrying {
        /// Calls per second, without those that are made again.
        rate: f64,
        /// Most times that a call is made again.
        most: u32,
    },
}

/// The oracle's limit of each route, from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Time from which it holds.
    pub from_ns: u64,
    /// Limit of each route that has joined by then.
    pub limit: u32,
}

/// A server, a load and a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Name.
    pub name: Cow<'static, str>,
    /// Scale of its capacities.
    pub scale: f64,
    /// Duration.
    pub duration_ns: u64,
    /// The dependency.
    pub server: ServerModel,
    /// The calls of each route.
    pub load: Load,
    /// Times at which routes join, each with a controller of its own.
    pub joins: Vec<u64>,
    /// Times at which they leave, in the same order; those without one stay. Their calls in flight go on.
    pub leaves: Vec<u64>,
    /// Time after which a caller gives up.
    pub timeout_ns: Option<u64>,
    /// Latency that callers want at most.
    pub target_ns: u64,
    /// Best limits.
    pub oracle: Vec<Phase>,
}

impl Scenario {
    /// Return the oracle's limit at a time.
    #[must_use]
    pub fn oracle_at(&self, now_ns: u64) -> u32 {
        let after = self.oracle.partition_point(|phase| phase.from_ns <= now_ns);
        self.oracle[after.max(1) - 1].limit
    }

    /// Times at which the server, its load or the number of routes changes, in order: 0, and what comes later.
    #[must_use]
    pub fn changes(&self) -> Vec<u64> {
        let mut times = self.times();
        times.push(0);
        times.retain(|at_ns| *at_ns < self.duration_ns);
        times.sort_unstable();
        times.dedup();
        times
    }

    /// Times at which phases of the server, of its load and of the routes begin and end, in no order.
    pub(super) fn times(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self.oracle.iter().map(|phase| phase.from_ns).collect();
        times.extend(&self.joins);
        times.extend(&self.leaves);
        if let ServerModel::Workers {
            workers,
            service,
            outage,
            ..
        } = &self.server
        {
            times.extend(workers.times());
            if let Service::Steps(steps) = service {
                times.extend(steps.times());
            }
            if outage.0 < outage.1 {
                times.extend([outage.0, outage.1]);
            }
        }
        match self.load {
            Load::PoissonUntil { until_ns, .. } => times.push(until_ns),
            Load::Pausing {
                from_ns, until_ns, ..
            } => times.extend([from_ns, until_ns]),
            Load::Saturating | Load::Every { .. } | Load::Retrying { .. } => {}
        }
        times
    }

    /// Time at which a route leaves.
    #[must_use]
    pub fn leaves_at(&self, route: usize) -> u64 {
        self.leaves.get(route).copied().unwrap_or(u64::MAX)
    }

    /// Routes that have joined by a time, and not left.
    pub fn members(&self, at_ns: u64) -> impl Iterator<Item = usize> + '_ {
        (0..self.joins.len())
            .filter(move |route| self.joins[*route] <= at_ns && at_ns < self.leaves_at(*route))
    }

    /// Most calls that the oracle has in flight, of all routes together.
    #[must_use]
    pub fn most_in_flight(&self) -> u64 {
        self.changes()
            .into_iter()
            .map(|at_ns| u64::from(self.oracle_at(at_ns)) * self.members(at_ns).count() as u64)
            .max()
            .unwrap_or(1)
    }

    /// Highest limit of the oracle.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.oracle
            .iter()
            .map(|phase| phase.limit)
            .max()
            .unwrap_or(1)
    }
}
