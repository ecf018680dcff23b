//! The server models of Vector's tests of adaptive request concurrency, and the bounds that these assert.
//!
//! Kept separate from the catalogue because they end when all calls have succeeded, and are judged by bounds on levels and
//! not by an oracle: a link without a limit has no best one.

use super::best::best_limits;
use super::scenario::{Excess, Growth, Load, MS, SECOND, Scenario, ServerModel};

/// Names of the models.
pub const VECTOR: [&str; 12] = [
    "constant_link",
    "fixed_concurrency_simple",
    "fixed_concurrency_jitter",
    "jittery_link_small",
    "medium_send",
    "slow_send_1",
    "slow_send_2",
    "slow_link",
    "shallow_knee",
    "defers_at_high_concurrency",
    "defers_at_high_rate",
    "drops_at_high_concurrency",
];

/// Time after which all calls have succeeded, whatever the limit.
const LONGEST_NS: u64 = 600 * SECOND;

/// Return one of the models; None if there is none of this name.
#[must_use]
pub fn vector(name: &str) -> Option<Scenario> {
    let name = VECTOR.into_iter().find(|known| *known == name)?;
    let none = Growth::default();
    let limited = |most, excess| Growth {
        limit: Some((most, excess)),
        ..none
    };
    let (calls, delay_ms, interval_ms) = match name {
        "medium_send" => (500, 100, 25),
        "slow_send_1" => (100, 50, 100),
        "slow_send_2" => (100, 50, 50),
        "slow_link" => (200, 100, 0),
        "jittery_link_small" | "shallow_knee" | "defers_at_high_rate" => (1000, 100, 0),
        _ => (500, 100, 0),
    };
    let jitter = match name {
        "fixed_concurrency_jitter" => 0.5,
        "jittery_link_small" => 0.1,
        _ => 0.0,
    };
    let by_calls = match name {
        "slow_link" => Growth { scale: 1.0, ..none },
        "shallow_knee" => Growth {
            knee: Some((10, 1.1)),
            ..none
        },
        "defers_at_high_concurrency" => limited(5, Excess::Defer),
        "drops_at_high_concurrency" => limited(5, Excess::Drop),
        _ => none,
    };
    let by_rate = match name {
        "defers_at_high_rate" => limited(100, Excess::Defer),
        _ => none,
    };
    let server = ServerModel::Link {
        delay_ns: delay_ms * MS,
        jitter,
        by_calls,
        by_rate,
    };
    Some(Scenario {
        name: name.into(),
        scale: 1.0,
        duration_ns: LONGEST_NS,
        oracle: best_limits(&server),
        server,
        load: Load::Every {
            interval_ns: interval_ms * MS,
            calls,
        },
        joins: vec![0],
        leaves: Vec::new(),
        timeout_ns: Some(SECOND),
        target_ns: 2 * delay_ms * MS,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Controlled, TimedLevels, run_levels};
    use super::*;
    use crate::limits::{Limit, Parameters, Value, new_limit};

    /// A statistic, and the bounds that it is asserted to be within.
    type Bound = (&'static str, f64, f64);

    /// Bounds of calls (`f`), starts a second (`r`), limits (`l`), and latencies in seconds (`rtt`): those from before
    /// Vector measured around retries.
    const BOUNDS: [(&str, &[Bound]); 12] = [
        (
            "constant_link",
            &[
                ("f max", 30.0, 31.0),
                ("f mean", 15.0, 16.0),
                ("l max", 22.0, 32.0),
                ("l mean", 16.0, 18.0),
                ("rtt mean", 0.1, 0.102),
            ],
        ),
        (
            "fixed_concurrency_simple",
            &[
                ("f max", 10.0, 10.0),
                ("f mode", 10.0, 10.0),
                ("f mean", 8.0, 10.0),
                ("r max", 90.0, 90.0),
                ("r mean", 80.0, 85.0),
                ("l max", 10.0, 10.0),
                ("l mode", 10.0, 10.0),
            ],
        ),
        (
            "fixed_concurrency_jitter",
            &[
                ("f max", 10.0, 10.0),
                ("f mode", 10.0, 10.0),
                ("f mean", 8.0, 10.0),
                ("r max", 65.0, 84.0),
                ("r mean", 55.0, 66.0),
                ("l max", 10.0, 10.0),
            ],
        ),
        (
            "jittery_link_small",
            &[
                ("f max", 20.0, 40.0),
                ("f mean", 8.0, 20.0),
                ("r max", 165.0, 350.0),
                ("r mean", 70.0, 150.0),
                ("l max", 20.0, 40.0),
                ("l mean", 9.0, 20.0),
                ("rtt mean", 0.1, 0.13),
            ],
        ),
        (
            "medium_send",
            &[
                ("f max", 8.0, 8.0),
                ("f mode", 4.0, 5.0),
                ("f mean", 4.0, 4.5),
                ("l max", 9.0, 9.0),
            ],
        ),
        (
            "slow_send_1",
            &[
                ("f max", 1.0, 1.0),
                ("f mean", 0.5, 0.55),
                ("l mode", 1.0, 2.0),
                ("l mean", 1.0, 2.0),
            ],
        ),
        (
            "slow_send_2",
            &[
                ("f max", 1.0, 2.0),
                ("f mode", 1.0, 1.0),
                ("f mean", 1.0, 1.2),
                ("l mode", 2.0, 3.0),
                ("l mean", 2.0, 2.5),
            ],
        ),
        (
            "slow_link",
            &[
                ("f max", 2.0, 7.0),
                ("f mode", 2.0, 5.0),
                ("f mean", 1.5, 5.0),
                ("l mode", 2.0, 5.0),
                ("l mean", 1.7, 5.0),
                ("rtt mean", 0.1, 0.45),
            ],
        ),
        (
            "shallow_knee",
            &[
                ("f max", 12.0, 12.0),
                ("f mean", 9.0, 11.0),
                ("f mode", 9.0, 12.0),
                ("r max", 103.0, 108.0),
                ("r mean", 87.0, 89.0),
                ("l max", 12.0, 12.0),
                ("l mean", 10.0, 12.0),
                ("rtt max", 0.0, 0.123),
                ("rtt mean", 0.106, 0.12),
            ],
        ),
        (
            "defers_at_high_concurrency",
            &[
                ("f max", 5.0, 7.0),
                ("f mode", 4.0, 6.0),
                ("f mean", 3.5, 5.0),
                ("r max", 52.0, 52.0),
                ("r mean", 43.0, 44.0),
                ("l max", 6.0, 7.0),
                ("l mode", 2.0, 6.0),
                ("l mean", 4.0, 6.0),
                ("rtt mean", 0.1, 0.102),
            ],
        ),
        (
            "defers_at_high_rate",
            &[
                ("f max", 16.0, 16.0),
                ("f mean", 8.0, 9.0),
                ("r max", 90.0, 120.0),
                ("r mean", 74.0, 78.0),
                ("l max", 16.0, 16.0),
                ("l mean", 8.0, 10.0),
                ("rtt mean", 0.1, 0.102),
            ],
        ),
        (
            "drops_at_high_concurrency",
            &[
                ("f max", 4.0, 5.0),
                ("f mean", 3.0, 4.0),
                ("r max", 55.0, 56.0),
                ("r mean", 31.0, 32.0),
                ("l max", 10.0, 15.0),
                ("l mean", 7.0, 8.0),
                ("rtt mean", 0.1, 0.102),
            ],
        ),
    ];

    fn statistic(name: &str, levels: &TimedLevels) -> f64 {
        let seconds: Vec<f64> = levels
            .latencies_ns
            .iter()
            .map(|ns| std::time::Duration::from_nanos(*ns).as_secs_f64())
            .collect();
        let count = f64::from(u32::try_from(seconds.len()).expect("few"));
        let whole = |number: u64| f64::from(u32::try_from(number).expect("small"));
        let (of, statistic) = name.split_once(' ').expect("two words");
        let histogram = match (of, statistic) {
            ("rtt", "mean") => return seconds.iter().sum::<f64>() / count,
            ("rtt", _) => return seconds.iter().copied().fold(0.0, f64::max),
            ("f", _) => &levels.calls,
            ("r", _) => &levels.rate,
            _ => &levels.limit,
        };
        match statistic {
            "max" => whole(histogram.max()),
            "mode" => whole(histogram.mode()),
            _ => histogram.mean(),
        }
    }

    fn levels_of(name: &str) -> TimedLevels {
        let scenario = vector(name).expect("it is listed");
        let Load::Every { calls, .. } = scenario.load else {
            unreachable!("all are of this load")
        };
        let (algorithm, given) = if name.starts_with("fixed") {
            ("fixed", [("limit".to_owned(), Value::Number(10.0))].into())
        } else {
            ("arc", [].into())
        };
        let limit = new_limit(algorithm, Parameters::new(algorithm, given, None, 0));
        let mut limit: Option<Box<dyn Limit>> = Some(limit.expect("parameters are valid"));
        let (measured, levels) = run_levels(
            &scenario,
            1,
            Controlled::By(&mut || limit.take().expect("there is one route")),
        );
        assert_eq!(measured.successes, calls, "{name}: all have succeeded");
        levels
    }

    #[test]
    fn the_bounds_of_vectors_tests_hold() {
        let mut misses = Vec::new();
        for (name, bounds) in BOUNDS {
            let levels = levels_of(name);
            // An independent model of the same tests misses bounds of these two as well.
            let tolerance = match name {
                "shallow_knee" | "defers_at_high_concurrency" => 0.03,
                _ => 1e-9,
            };
            for (of, low, high) in bounds {
                let found = statistic(of, &levels);
                if !(low * (1.0 - tolerance)..=high * (1.0 + tolerance)).contains(&found) {
                    misses.push(format!("{name}: {of} {low}..{high}: {found:.4}"));
                }
            }
        }
        assert!(misses.is_empty(), "{}", misses.join("\n"));
    }
}
