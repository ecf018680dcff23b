//! Contracts that the originals' own tests pin, and properties of every algorithm.

mod gathering;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Jitter, Limit, NAMES, ParameterError, Parameters, Sample, Snapshot, Value, new_limit};

const MS: u64 = 1_000_000;

/// Numbers of parameters by name.
type Given = &'static [(&'static str, f64)];

fn made(name: &str, given: &[(&str, f64)]) -> Box<dyn Limit> {
    attempted(name, given, None).expect("parameters are valid")
}

fn attempted(
    name: &str,
    given: &[(&str, f64)],
    jitter: Option<Jitter>,
) -> Result<Box<dyn Limit>, ParameterError> {
    let given = given
        .iter()
        .map(|(name, number)| ((*name).to_owned(), Value::Number(*number)))
        .collect();
    new_limit(name, Parameters::new(name, given, jitter, 7))
}

fn windowed(name: &str, window: &[(&str, f64)]) -> Box<dyn Limit> {
    let window = window
        .iter()
        .map(|(name, number)| ((*name).to_owned(), Value::Number(*number)))
        .collect();
    let given = BTreeMap::from([("window".to_owned(), Value::Table(window))]);
    new_limit(name, Parameters::new(name, given, None, 7)).expect("parameters are valid")
}

fn tell(limit: &mut dyn Limit, start_ns: u64, rtt_ns: u64, in_flight: u32, dropped: bool) -> u32 {
    limit.sampled(&Sample {
        start_ns,
        rtt_ns,
        in_flight,
        dropped,
    });
    limit.limit()
}

#[test]
fn aimd_is_the_published_one() {
    let mut limit = made("aimd", &[("initial", 30.0), ("min", 10.0)]);
    assert_eq!(
        tell(&mut *limit, 0, 0, 0, true),
        27,
        "a drop counts whatever else"
    );
    let mut limit = made("aimd", &[("initial", 10.0)]);
    assert_eq!(
        limit.limit(),
        10,
        "outside the bounds until the first sample"
    );
    assert_eq!(
        tell(&mut *limit, 0, MS, 1, false),
        20,
        "even one that was not limited"
    );
    let mut limit = made("aimd", &[("initial", 200.0)]);
    assert_eq!(
        tell(&mut *limit, 0, MS, 200, false),
        200,
        "the maximum is kept"
    );
    let mut limit = made(
        "aimd",
        &[("initial", 100.0), ("backoff", 0.57), ("min", 1.0)],
    );
    assert_eq!(
        tell(&mut *limit, 0, MS, 100, true),
        56,
        "100 * 0.57 is a little less than 57"
    );
    let mut limit = made("aimd", &[("initial", 100.0)]);
    assert_eq!(
        tell(&mut *limit, 0, 5_000 * MS, 49, false),
        100,
        "strictly longer than the time-out, half in use"
    );
    assert_eq!(tell(&mut *limit, 0, 5_000 * MS, 50, false), 101);
    assert_eq!(tell(&mut *limit, 0, 5_000 * MS + 1, 50, false), 90);
    let change = limit.last_change().expect("it has changed");
    assert_eq!((change.from, change.to, change.reason), (101, 90, "late"));
    assert_eq!(change.statistics()[1], ("in_flight", 50.0));
}

#[test]
fn vegas_is_the_published_one() {
    for (initial, expected) in [(10_000, 10_024), (10, 16)] {
        let mut limit = made(
            "vegas",
            &[("initial", f64::from(initial)), ("max", 20_000.0)],
        );
        assert_eq!(
            tell(&mut *limit, 0, 10 * MS, 10, false),
            initial,
            "the first one is the baseline"
        );
        assert_eq!(tell(&mut *limit, 0, 10 * MS, initial, false), expected);
    }
    let mut limit = made("vegas", &[("initial", 10.0)]);
    tell(&mut *limit, 0, 10 * MS, 10, false);
    assert_eq!(tell(&mut *limit, 0, 50 * MS, 11, false), 9);
    let mut limit = made("vegas", &[("initial", 10.0)]);
    tell(&mut *limit, 0, 10 * MS, 10, false);
    assert_eq!(
        tell(&mut *limit, 0, 14 * MS, 14, false),
        10,
        "between the thresholds"
    );
}

#[test]
fn vegas_probes_when_the_injected_jitter_says_so() {
    let mut limit = attempted(
        "vegas",
        &[("initial", 2.0), ("probe_multiplier", 2.0)],
        Some(Jitter::Cycle(vec![0.5, 1.0], 0)),
    )
    .expect("parameters are valid");
    assert_eq!(
        tell(&mut *limit, 0, 10 * MS, 1, false),
        2,
        "1 < 0.5 * 2 * 2: the baseline"
    );
    assert_eq!(
        tell(&mut *limit, 0, 40 * MS, 2, false),
        2,
        "2 >= 2: a probe takes 40 ms for the baseline"
    );
    assert_eq!(tell(&mut *limit, 0, 40 * MS, 2, false), 8, "no queue");
}

#[test]
fn gradient2_drifts_up_in_a_standing_queue_as_the_original_does() {
    let mut limit = made("gradient2", &[]);
    for ordinal in 0..400 {
        let in_flight = limit.limit();
        tell(&mut *limit, ordinal, 100 * MS, in_flight, true);
    }
    assert_eq!(limit.limit(), 200, "0.8 a sample, drops and all");
}

#[test]
fn a_first_call_that_takes_no_time_wedges_nothing() {
    for name in NAMES.into_iter().filter(|name| *name != "arc") {
        let mut limit = made(name, &[]);
        tell(&mut *limit, 0, 0, 20, false);
        for ordinal in 0..100 {
            assert!(tell(&mut *limit, ordinal, MS, 20, false) >= 1, "{name}");
        }
    }
}

#[test]
fn gradient_falls_to_the_room_for_a_queue_at_a_probe() {
    let mut limit = attempted(
        "gradient",
        &[("probe_interval", 3.0)],
        Some(Jitter::Cycle(vec![0.0], 0)),
    )
    .expect("parameters are valid");
    let told: Vec<u32> = (0..4)
        .map(|ordinal| tell(&mut *limit, ordinal, MS, 50, false))
        .collect();
    assert_eq!(told, [57, 64, 72, 8]);
    assert_eq!(limit.last_change().expect("it has changed").reason, "probe");
}

#[test]
fn a_window_hands_on_one_sample_and_throws_short_ones_away() {
    let mut limit = windowed(
        "aimd",
        &[
            ("min_window_ns", 100.0 * 1e6),
            ("max_window_ns", 100.0 * 1e6),
            ("size", 3.0),
        ],
    );
    assert_eq!(
        tell(&mut *limit, 0, MS, 20, true),
        20,
        "the first call always closes a window of one"
    );
    assert_eq!(tell(&mut *limit, 10 * MS, MS, 20, true), 20);
    assert_eq!(tell(&mut *limit, 20 * MS, MS, 20, false), 20);
    assert_eq!(
        tell(&mut *limit, 30 * MS, 50_000, 20, true),
        20,
        "shorter than the threshold"
    );
    assert_eq!(
        tell(&mut *limit, 200 * MS, MS, 20, false),
        20,
        "18, which is below its minimum"
    );
    let mut limit = windowed(
        "aimd",
        &[
            ("size", 3.0),
            ("min_window_ns", 1e8),
            ("max_window_ns", 1e8),
            ("percentile", 0.1),
        ],
    );
    for ordinal in 0..4 {
        tell(&mut *limit, ordinal * 60 * MS, MS, 20, false);
    }
    assert_eq!(limit.limit(), 20, "two short windows");
}

#[test]
fn arc_needs_a_measurement_before_it_grows() {
    let mut limit = made("arc", &[]);
    let mut told = vec![limit.limit()];
    for ordinal in 0..2 {
        limit.started(ordinal * 200 * MS);
        told.push(tell(&mut *limit, ordinal * 200 * MS, 100 * MS, 1, false));
    }
    assert_eq!(told, [1, 1, 2]);
    limit.started(500 * MS);
    assert_eq!(tell(&mut *limit, 500 * MS, 100 * MS, 1, true), 1, "refused");
}

#[test]
fn arc_decreases_by_its_ratio() {
    let mut limit = made("arc", &[("initial", 4.0), ("decrease_ratio", 0.5)]);
    limit.started(0);
    tell(&mut *limit, 0, 100 * MS, 1, false);
    limit.started(200 * MS);
    limit.ignored(250 * MS);
    assert_eq!(
        limit.limit(),
        2,
        "without deviation the usual latency is one that deviates"
    );
    limit.started(250 * MS);
    assert_eq!(tell(&mut *limit, 250 * MS, 100 * MS, 1, true), 1);
    assert_eq!(
        limit.last_change().expect("it has changed").reason,
        "dropped"
    );
}

#[test]
fn parameters_that_cannot_be_used_are_named() {
    let cases: [(&str, Given, &str); 5] = [
        (
            "aimd",
            &[("backof", 0.5)],
            "aimd: unknown parameter \"backof\"; it has initial, min, max, backoff, timeout_ns, window",
        ),
        (
            "aimd",
            &[("backoff", 1.0)],
            "aimd, backoff: expected a number from 0.5 to",
        ),
        (
            "aimd",
            &[("initial", 1.5)],
            "aimd, initial: expected a whole number, got 1.5",
        ),
        (
            "vegas",
            &[("initial", f64::NAN)],
            "vegas, initial: expected a number from 1 to 1000000, got NaN",
        ),
        (
            "nothing",
            &[],
            "no limit algorithm \"nothing\"; there are adaptive, fixed, aimd,",
        ),
    ];
    for (name, given, expected) in cases {
        let error = attempted(name, given, None).err().expect("it is refused");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let error = attempted("fixed", &[], Some(Jitter::Cycle(vec![0.5], 0)))
        .err()
        .expect("it is refused");
    assert!(
        error
            .to_string()
            .contains("unknown parameter \"probe_jitter\""),
        "{error}"
    );
    let error = attempted("vegas", &[], Some(Jitter::Cycle(vec![], 0)))
        .err()
        .expect("it is refused");
    assert!(error.to_string().contains("got an empty list"), "{error}");
}

#[test]
fn what_was_learnt_survives_a_restart_within_the_bounds() {
    for name in NAMES.into_iter().filter(|name| *name != "fixed") {
        let mut first = made(name, &[("max", 300.0)]);
        for ordinal in 0..400 {
            let (now_ns, in_flight) = (ordinal * 10 * MS, first.limit());
            for _ in 0..in_flight {
                first.started(now_ns);
            }
            first.blocked(now_ns);
            for _ in 0..in_flight {
                tell(&mut *first, now_ns, 10 * MS, in_flight, false);
            }
        }
        let learnt = first.snapshot();
        assert_eq!(learnt.limit, first.limit(), "{name}");
        assert!(
            learnt
                .baseline_ns
                .is_none_or(|ns| ns.abs_diff(10 * MS) < MS),
            "{name}: {learnt:?}"
        );
        let mut second = made(name, &[("max", 300.0)]);
        let initial = second.limit();
        assert_ne!(initial, learnt.limit, "{name}: it learnt something");
        second.restore(learnt, 9);
        assert_eq!(second.snapshot(), learnt, "{name}");
        let change = second.last_change().expect("it has changed");
        assert_eq!((change.at_ns, change.reason), (9, "restored"));
        let mut narrower = made(name, &[("max", 7.0)]);
        narrower.restore(learnt, 9);
        assert_eq!(
            narrower.limit(),
            learnt.limit.min(7),
            "{name}: its own bounds hold"
        );
        narrower.restore(
            Snapshot {
                limit: 0,
                baseline_ns: Some(u64::MAX),
            },
            10,
        );
        for ordinal in 0..50 {
            tell(&mut *narrower, ordinal * MS, MS, 1, false);
            assert!((1..=7).contains(&narrower.limit()), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_a_limit_is_a_number_of_calls(
        name in prop::sample::select(NAMES.to_vec()),
        steps in prop::collection::vec((0..5_u8, 0..u64::MAX, 0..2_000_000 * MS, any::<u32>()), 0..200),
    ) {
        let mut limit = made(name, &[]);
        let bounds = match name { "vegas" | "gradient" => 1..=1000, "fixed" => 20..=20, "arc" | "adaptive" | "plateau" | "bbr" => 1..=200, "brpc" => 40..=1000, _ => 20..=200 };
        for (kind, now_ns, rtt_ns, in_flight) in steps {
            match kind {
                0 => limit.started(now_ns),
                1 => limit.ignored(now_ns),
                4 => limit.blocked(now_ns),
                _ => { tell(&mut *limit, now_ns, rtt_ns, in_flight, kind == 2); }
            }
            prop_assert!(bounds.contains(&limit.limit()), "{name}: {}", limit.limit());
        }
    }
}
