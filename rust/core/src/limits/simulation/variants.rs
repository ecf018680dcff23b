//! Variants of the scenarios: other capacities, times of service, lengths of phases, spreads, targets and seeds.
//!
//! A limit that is good in the catalogue alone may have been fitted to it. So each scenario has variants without end, each
//! with its number, and a rule that splits them: **variants of even numbers are for tuning, those of odd numbers for
//! reporting**. No parameter of an algorithm is ever chosen by a run of an odd one; what a report says of `adaptive` on
//! variants is of odd ones. [`Half`] keeps the two apart.
//!
//! A variant is a pure function of the scenario's name, its scale, a seed and a number. It stays a fair task: targets move
//! with the time of service, so that the oracle meets them, and loads with the capacity.

use super::super::arithmetic::{exp, ln};
use super::catalogue::{SCENARIOS, scenario};
use super::further::FURTHER;
use super::scenario::{Load, Scenario, ServerModel, Service, Steps};
use crate::random::draw;

/// Half of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Even numbers.
    Tune,
    /// Odd numbers.
    Report,
}

impl Half {
    /// Return the number of the half's n-th variant, counted from 0.
    #[must_use]
    pub const fn number(self, place: u64) -> u64 {
        2 * place
            + match self {
                Self::Tune => 0,
                Self::Report => 1,
            }
    }
}

/// A scenario, and the seed of its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Simulated scenario; it has the name and the scale of the scenario that it varies.
    pub scenario: Scenario,
    /// Seed of its random numbers.
    pub seed: u64,
}

/// Ranges of the factors, from their inverses up.
const CAPACITY: f64 = 1.6;
const SERVICE: f64 = 2.0;
const LENGTH: f64 = 1.4;
/// Factor of one phase, beside that of all of them.
const PHASE: f64 = 1.2;
/// Factor of a spread, a share of failures, or a load.
const SHAPE: f64 = 1.35;
/// Factor of a load that is made again where it fails: never more than the server can do.
const RETRIED: f64 = 1.2;
/// Largest share of calls on a connection that breaks, and of a size's spread.
const MOST_SHARE: f64 = 0.95;
/// Range of the target's factor, beside the time of service: never so tight that the oracle misses it.
const TARGET: (f64, f64) = (0.9, 1.3);

/// Return a variant of a scenario; None if there is none of this name.
#[must_use]
pub fn variant(name: &str, scale: f64, seed: u64, number: u64) -> Option<Variant> {
    let mut known = SCENARIOS.iter().chain(&FURTHER);
    let place = known.position(|known| *known == name)? as u64;
    let mut draws = Draws {
        seed: [place, scale.to_bits(), number]
            .into_iter()
            .fold(seed, mixed),
        drawn: 0,
    };
    let capacity = draws.factor(CAPACITY);
    let service = draws.factor(SERVICE);
    let target = TARGET.0 + (TARGET.1 - TARGET.0) * draws.next();
    let all = draws.factor(LENGTH);
    let mut varied = Scenario {
        scale,
        ..scenario(name, scale * capacity)?
    };
    let times = Times::of(&varied, all, &mut draws);
    times.stretch(&mut varied);
    stretch_service(&mut varied.server, service, all);
    reshape(&mut varied.server, &mut draws);
    varied.target_ns = times_factor(varied.target_ns, rounded(service * target));
    varied.timeout_ns = varied
        .timeout_ns
        .map(|timeout_ns| times_factor(timeout_ns, service));
    match &mut varied.load {
        Load::PoissonUntil { rate, .. } => *rate *= draws.factor(SHAPE) / service,
        Load::Retrying { rate, .. } => *rate *= draws.factor(RETRIED) / service,
        Load::Saturating | Load::Every { .. } | Load::Pausing { .. } => {}
    }
    Some(Variant {
        scenario: varied,
        seed: mixed(draws.seed, 1),
    })
}

/// Random factors of one variant.
struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    fn next(&mut self) -> f64 {
        self.drawn += 1;
        draw(self.seed, self.drawn)
    }

    /// Return a factor between `most` and its inverse, as likely below 1 as above.
    fn factor(&mut self, most: f64) -> f64 {
        rounded(exp(ln(most) * (2.0 * self.next() - 1.0)))
    }
}

/// Times at which something changes, with the new ones.
struct Times(Vec<(u64, u64)>);

impl Times {
    /// Stretch each phase between two changes by a factor of its own, and all of them by `all`.
    fn of(scenario: &Scenario, all: f64, draws: &mut Draws) -> Self {
        let mut old = scenario.times();
        old.push(scenario.duration_ns);
        if let ServerModel::Breaking { breaks, .. } = &scenario.server {
            old.extend(breaks);
        }
        old.sort_unstable();
        old.dedup();
        let (mut from_ns, mut now_ns) = (0, 0);
        let new = old.into_iter().map(|at_ns| {
            now_ns += times_factor(at_ns - from_ns, all * draws.factor(PHASE));
            from_ns = at_ns;
            (at_ns, now_ns)
        });
        Self(new.collect())
    }

    fn at(&self, old_ns: u64) -> u64 {
        let place = self.0.partition_point(|(old, _)| *old < old_ns);
        self.0.get(place).map_or(old_ns, |(_, new)| *new)
    }

    fn stretch(&self, scenario: &mut Scenario) {
        let steps = |steps: &mut Steps| {
            for (at_ns, _) in &mut steps.0 {
                *at_ns = self.at(*at_ns);
            }
        };
        for phase in &mut scenario.oracle {
            phase.from_ns = self.at(phase.from_ns);
        }
        for joins_ns in scenario.joins.iter_mut().chain(&mut scenario.leaves) {
            *joins_ns = self.at(*joins_ns);
        }
        scenario.duration_ns = self.at(scenario.duration_ns);
        match &mut scenario.load {
            Load::PoissonUntil { until_ns, .. } => *until_ns = self.at(*until_ns),
            Load::Pausing {
                from_ns, until_ns, ..
            } => {
                *from_ns = self.at(*from_ns);
                *until_ns = self.at(*until_ns);
            }
            Load::Saturating | Load::Every { .. } | Load::Retrying { .. } => {}
        }
        if let ServerModel::Breaking { breaks, .. } = &mut scenario.server {
            for at_ns in breaks {
                *at_ns = self.at(*at_ns);
            }
        }
        if let ServerModel::Workers {
            workers,
            service,
            outage,
            ..
        } = &mut scenario.server
        {
            steps(workers);
            *outage = (self.at(outage.0), self.at(outage.1));
            if let Service::Steps(served) = service {
                steps(served);
            }
        }
    }
}

/// Multiply all times of service by a factor; what lasts as long as phases goes with them, by `all`.
fn stretch_service(server: &mut ServerModel, factor: f64, all: f64) {
    let times = |nanoseconds: &mut u64| *nanoseconds = times_factor(*nanoseconds, factor);
    match server {
        ServerModel::Workers { service, .. } => match service {
            Service::Steps(steps) => steps.0.iter_mut().for_each(|(_, served)| times(served)),
            Service::LogNormal { mean_ns, .. } => *mean_ns *= factor,
            Service::Bimodal {
                fast_ns, slow_ns, ..
            } => [fast_ns, slow_ns].into_iter().for_each(times),
            Service::Warming {
                warm_ns,
                cold_ns,
                constant_ns,
            } => {
                [warm_ns, cold_ns].into_iter().for_each(times);
                *constant_ns = times_factor(*constant_ns, all);
            }
            Service::Sizes(sizes) => sizes.iter_mut().for_each(|(_, served)| times(served)),
        },
        ServerModel::Knee { base_ns, .. } | ServerModel::Usl { base_ns, .. } => times(base_ns),
        ServerModel::Refusing { latency_ns, .. } => times(latency_ns),
        ServerModel::Link { delay_ns, .. } => times(delay_ns),
        ServerModel::Recorded { levels } => levels
            .iter_mut()
            .flat_map(|level| &mut level.calls)
            .for_each(|(duration_ns, _)| times(duration_ns)),
        ServerModel::Sharing { alone_ns, .. } => times(alone_ns),
        ServerModel::Breaking { service_ns, .. } => times(service_ns),
        ServerModel::Batch {
            tick_ns,
            service_ns,
            ..
        } => [tick_ns, service_ns].into_iter().for_each(times),
    }
}

/// Change how much times of service differ, and how many calls fail.
fn reshape(server: &mut ServerModel, draws: &mut Draws) {
    let (service, failing) = match server {
        ServerModel::Workers {
            service, failing, ..
        } => (service, failing),
        ServerModel::Breaking { share, .. } | ServerModel::Sharing { spread: share, .. } => {
            *share = (*share * draws.factor(SHAPE)).min(MOST_SHARE);
            return;
        }
        _ => return,
    };
    *failing *= draws.factor(SHAPE);
    match service {
        Service::LogNormal { sigma, .. } => *sigma *= draws.factor(SHAPE),
        Service::Bimodal { slow_share, .. } => *slow_share *= draws.factor(SHAPE),
        Service::Warming { cold_ns, .. } => *cold_ns = times_factor(*cold_ns, draws.factor(SHAPE)),
        Service::Steps(_) | Service::Sizes(_) => {}
    }
}

/// Return a factor of so few digits that the last bit of a power, which machines differ in, does not matter.
fn rounded(factor: f64) -> f64 {
    (factor * 1000.0).round() / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "durations are positive, and far below 2^53 ns"
)]
fn times_factor(nanoseconds: u64, factor: f64) -> u64 {
    (nanoseconds as f64 * factor).round() as u64
}

/// Return a seed that depends on both (splitmix64's finaliser).
const fn mixed(seed: u64, with: u64) -> u64 {
    let mut bits = seed
        .rotate_left(17)
        .wrapping_add(with)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 31)
}
