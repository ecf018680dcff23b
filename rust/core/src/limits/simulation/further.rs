//! Scenarios outside the published table: they are simulated when they are asked for, and count in no summary.

use super::best::best_limits;
use super::maker::{ScenarioMaker, phase, served};
use super::scenario::{Load, MS, SECOND, Scenario, ServerModel, Service, Steps};

/// Names of these scenarios, in the order of tables.
pub const FURTHER: [&str; 8] = [
    "joining_and_leaving",
    "microsecond",
    "capped_link",
    "broken_connections",
    "giving_up",
    "burst_after_idle",
    "sizes",
    "retry_storm",
];

impl ScenarioMaker {
    /// Return the scenario if it is one of these.
    pub(super) fn further(&self) -> Option<Scenario> {
        Some(match self.name {
            "joining_and_leaving" => self.joining_and_leaving(),
            "microsecond" => self.microsecond(),
            "capped_link" => self.capped_link(),
            "broken_connections" => self.broken_connections(),
            "giving_up" => self.giving_up(),
            "burst_after_idle" => self.burst_after_idle(),
            "sizes" => self.sizes(),
            "retry_storm" => self.retry_storm(),
            _ => return None,
        })
    }

    /// Four routes share workers; two come later than the others, and two go before the end.
    fn joining_and_leaving(&self) -> Scenario {
        let share = self.of(6).max(2);
        let members = [(0, 1), (20, 2), (40, 3), (60, 4), (90, 3), (110, 2)];
        Scenario {
            joins: [0, 20, 40, 60].map(|at| at * SECOND).to_vec(),
            leaves: [90, 110].map(|at| at * SECOND).to_vec(),
            oracle: members
                .map(|(at, routes)| phase(at * SECOND, 4 * share / routes))
                .to_vec(),
            ..self.queueing(140, 100, Steps::constant(4 * share), served(50))
        }
    }

    /// Four workers that take 25 microseconds: all that counts in milliseconds sees no latency at all.
    fn microsecond(&self) -> Scenario {
        let service = Service::Steps(Steps::constant(25_000));
        Scenario {
            target_ns: 100_000,
            ..self.queueing(3, 1, self.constant(4), service)
        }
    }

    /// A link for twenty streams, shared fairly by calls of 25 to 75 milliseconds: more of them bring no more throughput, and
    /// latency in proportion to their number.
    fn capped_link(&self) -> Scenario {
        let server = ServerModel::Sharing {
            streams: self.of(20),
            alone_ns: 50 * MS,
            spread: 0.5,
        };
        let oracle = best_limits(&server);
        self.made(60, 150, server, oracle)
    }

    /// Twenty workers behind connections: every four seconds three quarters of the calls there fail at once, which a lower limit
    /// would not mend.
    fn broken_connections(&self) -> Scenario {
        let server = ServerModel::Breaking {
            workers: self.of(20),
            service_ns: 50 * MS,
            breaks: (1..15).map(|turn| 4 * turn * SECOND).collect(),
            share: 0.75,
        };
        let oracle = best_limits(&server);
        self.made(60, 100, server, oracle)
    }

    /// Callers give up after 150 milliseconds, and the server goes on working on what they asked for. A quarter of its twenty
    /// workers is left for five seconds: a limit too high by then keeps it busy for nobody for good.
    fn giving_up(&self) -> Scenario {
        let workers = self.steps(&[(0, 20), (20, 5), (25, 20)]);
        Scenario {
            timeout_ns: Some(150 * MS),
            ..self.queueing(60, 100, workers, served(50))
        }
    }

    /// A backlog, then three minutes with two calls a second, then a backlog again, for a hundred workers.
    fn burst_after_idle(&self) -> Scenario {
        Scenario {
            load: Load::Pausing {
                rate: 2.0,
                from_ns: 15 * SECOND,
                until_ns: 195 * SECOND,
            },
            ..self.queueing(215, 40, self.constant(100), served(20))
        }
    }

    /// Calls of three sizes: seven in ten take 20 milliseconds, a quarter 80, one in twenty 400.
    fn sizes(&self) -> Scenario {
        let sizes = vec![(0.7, 20 * MS), (0.25, 80 * MS), (0.05, 400 * MS)];
        self.queueing(60, 600, self.constant(20), Service::Sizes(sizes))
    }

    /// Three quarters of what twenty workers can do; for five seconds there are two. Callers give up after 200 milliseconds and
    /// ask again at once, three times, while the server still works on what they asked before.
    fn retry_storm(&self) -> Scenario {
        let workers = self.steps(&[(0, 20), (20, 2), (25, 20)]);
        Scenario {
            load: Load::Retrying {
                rate: 300.0 * self.scale,
                most: 3,
            },
            timeout_ns: Some(200 * MS),
            ..self.queueing(80, 100, workers, served(50))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Controlled, Measured, SCALES, cell, oracle, run, scenario};
    use super::*;
    use crate::limits::{Limit, Parameters, Value, new_limit};

    fn fixed(limit: f64) -> Box<dyn Limit> {
        let given = [("limit".to_owned(), Value::Number(limit))].into();
        new_limit("fixed", Parameters::new("fixed", given, None, 0)).expect("parameters are valid")
    }

    fn run_fixed(scenario: &Scenario, limit: f64) -> Measured {
        run(scenario, 1, Controlled::By(&mut || fixed(limit)))
    }

    fn known(name: &str, scale: f64) -> Scenario {
        scenario(name, scale).expect("it is one of the further")
    }

    fn scored(scenario: &Scenario, limit: f64) -> Cell {
        cell(scenario, &run_fixed(scenario, limit), &oracle(scenario, 1))
    }

    /// Return the server, with a backlog, for a second: small enough to count by hand.
    fn second(name: &str, server: ServerModel) -> Scenario {
        Scenario {
            duration_ns: SECOND,
            server,
            load: Load::Saturating,
            timeout_ns: None,
            oracle: vec![phase(0, 1)],
            ..known(name, 1.0)
        }
    }

    fn near(found: f64, expected: f64, text: &str) {
        assert!(
            (found - expected).abs() < 0.01 * expected,
            "{text}: {found}, not {expected}"
        );
    }

    #[test]
    fn no_fixed_limit_has_more_power_than_the_oracle() {
        for name in FURTHER {
            let mut scenario = known(name, 0.2);
            if name == "microsecond" {
                scenario.duration_ns = SECOND; // of forty thousand calls
            }
            let best = oracle(&scenario, 1);
            let itself = cell(&scenario, &best, &best);
            assert!((itself.score - 1.0).abs() < 1e-9, "{name}: {itself:?}");
            for limit in [1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 16.0, 24.0] {
                let found = cell(&scenario, &run_fixed(&scenario, limit), &best);
                let power = found.utilisation / found.latency * (1.0 - found.excess_errors);
                assert!(power < 1.03, "{name} {limit}: {found:?}");
            }
        }
    }

    #[test]
    fn each_is_the_same_task_at_every_scale() {
        for name in FURTHER {
            let most = SCALES.map(|scale| known(name, scale).most_in_flight());
            assert!(
                most[0] < most[1] && most[1] * 5 == most[2],
                "{name}: {most:?}"
            );
        }
    }

    #[test]
    fn the_oracle_is_in_time_and_the_same_whenever_it_is_run() {
        for name in FURTHER.into_iter().filter(|name| *name != "microsecond") {
            let scenario = known(name, 0.2);
            let best = oracle(&scenario, 1);
            assert!(best.error_rate() < 0.05, "{name}: {}", best.error_rate());
            assert!(
                cell(&scenario, &best, &best).goodput_in_deadline > 0.85,
                "{name}"
            );
            assert_eq!(best, oracle(&scenario, 1), "{name}");
        }
    }

    #[test]
    fn a_capped_link_has_no_more_throughput_and_latency_in_proportion() {
        let server = ServerModel::Sharing {
            streams: 4,
            alone_ns: 10 * MS,
            spread: 0.0,
        };
        let scenario = second("capped_link", server);
        for (limit, done, latency_ns) in [
            (1.0, 100, 10e6),
            (4.0, 400, 10e6),
            (8.0, 400, 20e6),
            (40.0, 400, 100e6),
        ] {
            let found = run_fixed(&scenario, limit);
            assert_eq!(found.successes, done, "{limit}");
            assert_eq!(found.mean_ns(), Some(latency_ns), "{limit}");
        }
    }

    #[test]
    fn sizes_on_a_capped_link_do_not_change_what_littles_law_says() {
        let scenario = known("capped_link", 1.0);
        for (limit, utilisation, latency) in [(10.0, 0.5, 1.0), (20.0, 1.0, 1.0), (60.0, 1.0, 3.0)]
        {
            let found = scored(&scenario, limit);
            near(found.utilisation, utilisation, "throughput");
            near(found.latency, latency, "latency");
        }
    }

    #[test]
    fn a_break_fails_those_there_and_none_of_them_twice() {
        let server = ServerModel::Breaking {
            workers: 2,
            service_ns: 100 * MS,
            breaks: vec![50 * MS, 150 * MS],
            share: 1.0,
        };
        // Three at a time for two workers: at 50 ms and at 150 ms all three fail, one of which has not begun. From 150 ms
        // on two are served at 250, 350, ... 950 ms.
        let found = run_fixed(&second("broken_connections", server), 3.0);
        assert_eq!((found.failures, found.successes), (6, 16));
        assert_eq!(found.served, 22, "each is counted once");
    }

    #[test]
    fn a_break_takes_its_share_whatever_the_limit() {
        for limit in [10.0, 20.0, 40.0] {
            let found = run_fixed(&known("broken_connections", 1.0), limit);
            let there = 14.0 * limit;
            #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
            let failures = found.failures as f64;
            assert!(
                (failures / there - 0.75).abs() < 0.08,
                "{limit}: {failures} of {there}"
            );
        }
    }

    #[test]
    fn what_nobody_waits_for_is_served_and_keeps_workers_busy_for_good() {
        let scenario = known("giving_up", 1.0);
        let late = |limit: f64| {
            let found = run_fixed(&scenario, limit);
            (50..60).map(|at| found.windows[at].successes).sum::<u64>()
        };
        // Forty calls each 150 ms are less than what the server does, so what is left from its bad time ends.
        assert_eq!((late(20.0), late(40.0)), (4000, 4000));
        let high = scored(&scenario, 80.0);
        assert!(high.score < 0.05 && high.wasted > 0.9, "{high:?}");
        assert_eq!(late(80.0), 0);
    }

    #[test]
    fn after_the_pause_there_is_a_backlog_again() {
        let scenario = known("burst_after_idle", 1.0);
        let found = run_fixed(&scenario, 50.0);
        let of = |second: usize| found.windows[second].successes;
        assert_eq!((of(10), of(200), of(214)), (2500, 2500, 2500));
        let idle: u64 = (16..195).map(of).sum();
        assert!(
            (280..440).contains(&idle),
            "{idle} in three minutes, two a second"
        );
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn each_size_has_its_share() {
        let scenario = known("sizes", 1.0);
        let found = run_fixed(&scenario, 20.0);
        let share = |milliseconds: u64| {
            let one = found
                .latencies_ns
                .iter()
                .filter(|ns| **ns == milliseconds * MS)
                .count();
            one as f64 / found.latencies_ns.len() as f64
        };
        for (milliseconds, expected) in [(20, 0.7), (80, 0.25), (400, 0.05)] {
            assert!(
                (share(milliseconds) - expected).abs() < 0.01,
                "{milliseconds} ms"
            );
        }
    }

    #[test]
    fn a_call_that_fails_comes_again_at_once_so_many_times() {
        let server = ServerModel::Refusing {
            latency_ns: 10 * MS,
            room: 0,
        };
        let scenario = Scenario {
            duration_ns: 10 * SECOND,
            ..second("retry_storm", server)
        };
        let failures = |most: u32| {
            let load = Load::Retrying { rate: 5.0, most };
            run_fixed(
                &Scenario {
                    load,
                    ..scenario.clone()
                },
                100.0,
            )
            .failures
        };
        let once = failures(0);
        assert!(once > 25, "{once} of about fifty");
        assert!(
            failures(3).abs_diff(4 * once) <= 4,
            "{} of {once}",
            failures(3)
        );
    }

    #[test]
    fn a_storm_outlasts_its_cause_under_a_limit_that_is_too_high() {
        let scenario = known("retry_storm", 1.0);
        let (good, high) = (run_fixed(&scenario, 20.0), run_fixed(&scenario, 200.0));
        let late = |found: &Measured| (60..80).map(|at| found.windows[at].successes).sum::<u64>();
        assert!(late(&good) > 290 * 20, "{}", late(&good));
        assert!(late(&high) < 100, "{}", late(&high));
    }
}
