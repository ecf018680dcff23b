//! The simulator against Little's law, and its own properties.

use super::{
    Controlled, FURTHER, Half, Load, SCALES, SCENARIOS, Scenario, ServerModel, cell, oracle, run,
    scenario, variant,
};
use crate::limits::{Parameters, Value, new_limit};

fn fixed(limit: f64) -> Box<dyn crate::limits::Limit> {
    let given = [("limit".to_owned(), Value::Number(limit))].into();
    new_limit("fixed", Parameters::new("fixed", given, None, 0)).expect("parameters are valid")
}

/// Parts of a scenario's time: seconds, workers, and seconds of service.
type Parts = &'static [(f64, f64, f64)];

const PARTS: [(&str, Parts); 5] = [
    ("steady", &[(60.0, 20.0, 0.05)]),
    ("cap_step", &[(60.0, 40.0, 0.05), (30.0, 10.0, 0.05)]),
    ("noisy_neighbour", &[(75.0, 40.0, 0.05), (25.0, 10.0, 0.05)]),
    ("cold_start", &[(30.0, 150.0, 0.02)]),
    ("baseline_x3", &[(60.0, 20.0, 0.02), (30.0, 20.0, 0.06)]),
];

#[test]
fn fixed_limits_do_what_littles_law_says() {
    for (name, parts) in PARTS {
        for scale in SCALES {
            let scenario = scenario(name, scale).expect("it is in the catalogue");
            let best = oracle(&scenario, 1);
            for limit in [10.0_f64, 20.0, 100.0] {
                let (mut done, mut best_done, mut waited, mut best_waited) = (0.0, 0.0, 0.0, 0.0);
                for (seconds, workers, service) in parts {
                    let workers = workers * scale;
                    let calls = seconds * limit.min(workers) / service;
                    done += calls;
                    best_done += seconds * workers / service;
                    waited += calls * service * (limit / workers).max(1.0);
                    best_waited += seconds * workers;
                }
                let expected =
                    (done / best_done) * ((best_waited / best_done) / (waited / done)).min(1.0);
                let measured = run(&scenario, 1, Controlled::By(&mut || fixed(limit)));
                let found = cell(&scenario, &measured, &best);
                assert!(
                    (found.score - expected).abs() < 0.01,
                    "{name} {scale} {limit}: {expected} and {found:?}"
                );
            }
        }
    }
}

#[test]
fn the_oracle_is_about_the_best() {
    for name in SCENARIOS {
        let scenario = scenario(name, 0.2).expect("it is in the catalogue");
        let best = oracle(&scenario, 1);
        let itself = cell(&scenario, &best, &best);
        assert!((itself.score - 1.0).abs() < 1e-9, "{name}: {itself:?}");
        for limit in [1.0, 2.0, 3.0, 5.0, 10.0] {
            let measured = run(&scenario, 1, Controlled::By(&mut || fixed(limit)));
            let found = cell(&scenario, &measured, &best);
            assert!(found.score < 1.02, "{name} {limit}: {found:?}");
        }
    }
}

#[test]
fn calls_of_an_outage_are_lost_and_their_callers_give_up() {
    let scenario = scenario("outage", 1.0).expect("it is in the catalogue");
    let measured = run(&scenario, 1, Controlled::By(&mut || fixed(20.0)));
    assert_eq!(
        measured.failures,
        15 * 20 + 20,
        "a round a second, and the one that was there"
    );
    assert_eq!(
        measured.successes,
        (20 + 44) * 20 * 20,
        "up again when the last round has given up"
    );
}

/// Scores below which `adaptive` may not fall, by scenario and scale: a little less than what it has.
const FLOORS: [(&str, f64, f64); 10] = [
    ("steady", 0.2, 0.91),
    ("steady", 1.0, 0.94),
    ("cap_step", 1.0, 0.88),
    ("knee", 0.2, 0.88),
    ("usl", 1.0, 0.88),
    ("jitter", 1.0, 0.85),
    ("noisy_neighbour", 0.2, 0.7),
    ("reject", 1.0, 0.9),
    ("outage", 1.0, 0.9),
    ("baseline_x3", 1.0, 0.95),
];

#[test]
fn adaptive_is_as_good_as_it_was() {
    for (name, scale, floor) in FLOORS {
        let scenario = scenario(name, scale).expect("it is in the catalogue");
        let target = Value::Number(f64::from(
            u32::try_from(scenario.target_ns).expect("it is below four seconds"),
        ));
        let given = [("target_latency_ns".to_owned(), target)].into();
        let mut limit = Some(
            new_limit("adaptive", Parameters::new("adaptive", given, None, 1))
                .expect("parameters are valid"),
        );
        let measured = run(
            &scenario,
            1,
            Controlled::By(&mut || limit.take().expect("there is one route")),
        );
        let found = cell(&scenario, &measured, &oracle(&scenario, 1));
        assert!(found.score >= floor, "{name} {scale}: {found:?}");
    }
}

#[test]
fn shares_of_a_server_are_measured_by_jains_index() {
    let scenario = scenario("two_routes", 1.0).expect("it is in the catalogue");
    let mut limits = [5.0, 15.0].into_iter();
    let mut next = || fixed(limits.next().expect("there are two routes"));
    let measured = run(&scenario, 1, Controlled::By(&mut next));
    let expected = 20.0_f64.powi(2) / (2.0 * (25.0 + 225.0));
    assert!(
        (measured.fairness() - expected).abs() < 0.001,
        "{}",
        measured.fairness()
    );
}

#[test]
fn routes_that_leave_start_no_calls_and_count_in_no_share() {
    for scale in SCALES {
        let scenario = scenario("joining_and_leaving", scale).expect("it is one of the further");
        let workers = scenario.most();
        let share = f64::from(workers / 4);
        let measured = run(&scenario, 1, Controlled::By(&mut || fixed(share)));
        for (second, routes) in [(10, 1), (30, 2), (50, 3), (80, 4), (100, 3), (130, 2)] {
            let expected = 20 * u64::from(workers / 4) * routes;
            assert_eq!(
                measured.windows[second].successes, expected,
                "{scale}, {second} s"
            );
        }
        assert!(
            measured.fairness() > 0.999,
            "{scale}: {}",
            measured.fairness()
        );
        let best = oracle(&scenario, 1);
        assert!(best.fairness() > 0.999, "{scale}: {}", best.fairness());
        assert!(cell(&scenario, &measured, &best).score < 1.0);
    }
}

#[test]
fn a_run_is_the_same_whenever_it_is_made() {
    let scenario = scenario("jitter", 0.2).expect("it is in the catalogue");
    assert_eq!(oracle(&scenario, 3), oracle(&scenario, 3));
    assert_ne!(oracle(&scenario, 3), oracle(&scenario, 4));
}

#[test]
fn the_halves_of_the_variants_have_none_in_common() {
    for place in 0..100 {
        assert_eq!(Half::Tune.number(place) % 2, 0);
        assert_eq!(Half::Report.number(place) % 2, 1);
    }
}

#[test]
fn variants_are_pure_and_differ() {
    for name in SCENARIOS.into_iter().chain(FURTHER) {
        for scale in SCALES {
            let published = scenario(name, scale).expect("it is in the catalogue");
            let made: Vec<_> = (0..8)
                .map(|number| variant(name, scale, 1, number).expect("it is in the catalogue"))
                .collect();
            for (number, one) in made.iter().enumerate() {
                assert_eq!(
                    Some(one),
                    variant(name, scale, 1, number as u64).as_ref(),
                    "{name} {scale}"
                );
                assert_ne!(one.scenario, published, "{name} {scale}");
                assert_eq!((&*one.scenario.name, one.scenario.scale), (name, scale));
                assert!(
                    made[..number].iter().all(|other| other.seed != one.seed),
                    "{name} {scale}"
                );
            }
            assert_ne!(Some(&made[0]), variant(name, scale, 2, 0).as_ref());
        }
    }
    assert_eq!(variant("nothing", 1.0, 1, 0), None);
}

/// Times at which something of the scenario changes.
fn times(scenario: &Scenario) -> Vec<u64> {
    let mut times: Vec<u64> = scenario.oracle.iter().map(|phase| phase.from_ns).collect();
    times.extend(&scenario.joins);
    times.extend(&scenario.leaves);
    match &scenario.server {
        ServerModel::Workers { workers, .. } => {
            times.extend(workers.0.iter().map(|(at_ns, _)| *at_ns));
        }
        ServerModel::Breaking { breaks, .. } => times.extend(breaks),
        _ => {}
    }
    if let Load::Pausing {
        from_ns, until_ns, ..
    } = scenario.load
    {
        times.extend([from_ns, until_ns]);
    }
    times
}

#[test]
fn variants_keep_the_order_of_phases() {
    for name in SCENARIOS.into_iter().chain(FURTHER) {
        let before = times(&scenario(name, 1.0).expect("it is in the catalogue"));
        for number in 0..12 {
            let varied = variant(name, 1.0, 5, number).expect("it is in the catalogue");
            let after = times(&varied.scenario);
            for place in 1..before.len() {
                assert_eq!(
                    before[place - 1].cmp(&before[place]),
                    after[place - 1].cmp(&after[place]),
                    "{name} {number}"
                );
            }
            let end_ns = varied.scenario.duration_ns;
            assert!(after.iter().all(|at_ns| *at_ns < end_ns), "{name} {number}");
        }
    }
}

#[test]
fn the_oracle_of_a_variant_meets_its_target() {
    let known = SCENARIOS.into_iter().chain(FURTHER);
    for name in known.filter(|name| !["warmup", "microsecond"].contains(name)) {
        for number in 0..3 {
            let varied = variant(name, 0.2, 5, number).expect("it is in the catalogue");
            let best = oracle(&varied.scenario, varied.seed);
            let found = cell(&varied.scenario, &best, &best);
            assert!(
                found.goodput_in_deadline > 0.85,
                "{name} {number}: {found:?}"
            );
        }
    }
}
