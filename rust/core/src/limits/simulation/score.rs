//! Scores: a run beside the oracle's.

use super::measure::Measured;
use super::run::{Controlled, run};
use super::scenario::Scenario;

/// A run of one algorithm in one scenario, compared with the oracle's.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Successes, as a share of the oracle's; may be a little above 1.
    pub utilisation: f64,
    /// Mean latency, in the oracle's.
    pub latency: f64,
    /// 99th percentile of latency, in the oracle's.
    pub latency_p99: f64,
    /// Share of calls that did not succeed, beyond the oracle's.
    pub excess_errors: f64,
    /// Jain's index of the routes.
    pub fairness: f64,
    /// Seconds until it was as good as the oracle for three; None if it never was.
    pub convergence_s: Option<f64>,
    /// Peak of calls in flight beyond the oracle's highest limit, as a share of it.
    pub overshoot: f64,
    /// Successes within the target, as a share of the oracle's successes.
    pub goodput_in_deadline: f64,
    /// Share of served calls whose callers had given up.
    pub wasted: f64,
    /// Changes of the limit a minute.
    pub changes_per_minute: f64,
    /// The score: normalised power, without what was refused or unfair. 1 is the oracle's.
    pub score: f64,
}

/// Windows of a second that must be good for convergence.
const GOOD_WINDOWS: usize = 3;

/// Simulate the scenario under its oracle.
#[must_use]
pub fn oracle(scenario: &Scenario, seed: u64) -> Measured {
    run(scenario, seed, Controlled::Oracle)
}

/// Compare a run with the oracle's.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn cell(scenario: &Scenario, measured: &Measured, oracle: &Measured) -> Cell {
    let share = |part: u64, of: u64| {
        if of == 0 {
            0.0
        } else {
            part as f64 / of as f64
        }
    };
    let utilisation = share(measured.successes, oracle.successes);
    let latency = ratio(measured.mean_ns(), oracle.mean_ns());
    let p99 = |measured: &Measured| measured.percentile_ns(0.99).map(|latency| latency as f64);
    let excess_errors = (measured.error_rate() - oracle.error_rate()).max(0.0);
    let fairness = measured.fairness();
    let limit = f64::from(scenario.most());
    let minutes = scenario.duration_ns as f64 / 60e9;
    Cell {
        utilisation,
        latency,
        latency_p99: ratio(p99(measured), p99(oracle)),
        excess_errors,
        fairness,
        convergence_s: convergence(measured, oracle),
        overshoot: (measured.peak as f64 / limit - 1.0).max(0.0),
        goodput_in_deadline: share(measured.in_time, oracle.successes),
        wasted: share(measured.wasted, measured.successes + measured.wasted),
        changes_per_minute: measured.changes as f64 / minutes,
        score: utilisation.min(1.0) * latency.recip().min(1.0) * (1.0 - excess_errors) * fairness,
    }
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> f64 {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => ours / theirs,
        _ => f64::INFINITY,
    }
}

/// Return the start of the first windows in a row with nine tenths of the oracle's successes at half more latency.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn convergence(measured: &Measured, oracle: &Measured) -> Option<f64> {
    let is_good: Vec<bool> = measured
        .windows
        .iter()
        .zip(&oracle.windows)
        .map(|(ours, theirs)| {
            let mean = |successes: u64, latency: u128| latency as f64 / successes.max(1) as f64;
            ours.successes as f64 >= 0.9 * theirs.successes as f64
                && mean(ours.successes, ours.latency_ns)
                    <= 1.5 * mean(theirs.successes, theirs.latency_ns)
        })
        .collect();
    let first = is_good
        .windows(GOOD_WINDOWS)
        .position(|windows| windows.iter().all(|good| *good));
    first.map(|place| place as f64)
}
