//! Scores: a run beside the oracle's.

use super::measure::{Measured, SecondCounts};
use super::run::{Controlled, run};
use super::scenario::{SECOND, Scenario};

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
    /// Each change of the scenario, in nanoseconds, and the seconds from there until it was about as good as the oracle
    /// for three; None if it never was again.
    pub convergences: Vec<(u64, Option<f64>)>,
    /// The longest of them; None if one is.
    pub convergence_s: Option<f64>,
    /// Peak of calls in flight beyond the most that the oracle has, as a share of that; all routes together.
    pub overshoot: f64,
    /// Successes within the target, as a share of the oracle's successes.
    pub goodput_in_deadline: f64,
    /// Share of what the server did that was for nothing: calls that failed, that came after the target, or that their
    /// callers had given up. What an outage took away was never done.
    pub wasted: f64,
    /// Changes of the limits of all routes a minute.
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
    let most = scenario.most_in_flight() as f64;
    let convergences: Vec<_> = scenario
        .changes()
        .into_iter()
        .filter(|at_ns| at_ns + GOOD_WINDOWS as u64 * SECOND <= scenario.duration_ns)
        .map(|at_ns| (at_ns, convergence(at_ns, measured, oracle)))
        .collect();
    let minutes = scenario.duration_ns as f64 / 60e9;
    Cell {
        utilisation,
        latency,
        latency_p99: ratio(p99(measured), p99(oracle)),
        excess_errors,
        fairness,
        convergence_s: convergences
            .iter()
            .try_fold(0.0, |longest: f64, (_, seconds)| {
                seconds.map(|seconds| longest.max(seconds))
            }),
        convergences,
        overshoot: (measured.peak as f64 / most - 1.0).max(0.0),
        goodput_in_deadline: share(measured.in_time, oracle.successes),
        wasted: share(measured.wasted, measured.served),
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

/// Return the seconds from a change to the first whole windows in a row with nine tenths of the oracle's successes, at half
/// more latency at most.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn convergence(from_ns: u64, measured: &Measured, oracle: &Measured) -> Option<f64> {
    let mean = |window: &SecondCounts| window.latency_ns as f64 / window.successes.max(1) as f64;
    let is_good = |(ours, theirs): (&SecondCounts, &SecondCounts)| {
        ours.successes as f64 >= 0.9 * theirs.successes as f64 && mean(ours) <= 1.5 * mean(theirs)
    };
    let first = from_ns.div_ceil(SECOND);
    let good: Vec<bool> = measured
        .windows
        .iter()
        .zip(&oracle.windows)
        .map(is_good)
        .collect();
    let place = good
        .get(usize::try_from(first).ok()?..)?
        .windows(GOOD_WINDOWS)
        .position(|windows| windows.iter().all(|good| *good))?;
    Some((first + place as u64) as f64 - from_ns as f64 / SECOND as f64)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::scenario;
    use super::*;

    /// Return a run of `cap_step` by hand: in each second so many successes, each of so many milliseconds.
    fn by_hand(scenario: &Scenario, seconds: impl Fn(u64) -> (u64, u64)) -> Measured {
        let mut measured = Measured::new(scenario);
        for second in 0..scenario.duration_ns / SECOND {
            let (successes, milliseconds) = seconds(second);
            for _ in 0..successes {
                measured.served(milliseconds * 1_000_000 > scenario.target_ns);
                measured.succeeded(0, second * SECOND + 1, milliseconds * 1_000_000);
            }
        }
        measured.end();
        measured
    }

    #[test]
    fn the_parts_of_a_cell_are_what_they_say() {
        let scenario = scenario("cap_step", 1.0).expect("it is in the catalogue");
        let oracle = by_hand(&scenario, |_| (100, 50));
        // Slow for five seconds, then as the oracle; late for two seconds from 30 s on; too few from 60 s on.
        let mut ours = by_hand(&scenario, |second| match second {
            0..5 | 60.. => (50, 50),
            30..32 => (100, 200),
            _ => (100, 50),
        });
        ours.peak = 60;
        ours.changes = 90;
        ours.failures = 100;
        ours.served += 200;
        ours.wasted += 200; // 100 that failed, 100 that nobody waited for
        let cell = cell(&scenario, &ours, &oracle);
        let successes = 5.0 * 50.0 + 30.0 * 50.0 + 55.0 * 100.0;
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{cell:?}");
        near(cell.utilisation, successes / 9000.0);
        near(
            cell.latency,
            (successes * 50.0 + 200.0 * 150.0) / successes / 50.0,
        );
        near(cell.latency_p99, 4.0);
        near(cell.excess_errors, 100.0 / (successes + 100.0));
        near(cell.fairness, 1.0);
        near(cell.overshoot, 0.5);
        near(cell.goodput_in_deadline, (successes - 200.0) / 9000.0);
        near(cell.wasted, 400.0 / (successes + 200.0));
        near(cell.changes_per_minute, 60.0);
        near(
            cell.score,
            cell.utilisation / cell.latency * (1.0 - cell.excess_errors),
        );
        let found: Vec<_> = cell
            .convergences
            .iter()
            .map(|(at, after)| (at / SECOND, *after))
            .collect();
        assert_eq!(found, [(0, Some(5.0)), (30, Some(2.0)), (60, None)]);
        assert_eq!(cell.convergence_s, None);
    }

    #[test]
    fn a_change_within_a_second_counts_from_there() {
        let scenario = scenario("cap_step", 1.0).expect("it is in the catalogue");
        let oracle = by_hand(&scenario, |_| (100, 50));
        assert_eq!(convergence(SECOND / 4, &oracle, &oracle), Some(0.75));
        assert_eq!(convergence(88 * SECOND, &oracle, &oracle), None);
    }

    #[test]
    fn what_never_succeeds_has_no_latency_and_no_score() {
        let scenario = scenario("steady", 1.0).expect("it is in the catalogue");
        let oracle = by_hand(&scenario, |_| (100, 50));
        let cell = cell(&scenario, &by_hand(&scenario, |_| (0, 0)), &oracle);
        assert!(cell.latency.is_infinite() && cell.score == 0.0 && cell.wasted == 0.0);
    }
}
