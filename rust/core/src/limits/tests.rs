//! Properties of every algorithm, and what the tests in the files beside have in common.

mod gathering;
mod published;
mod safety;

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
