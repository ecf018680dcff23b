//! Properties of permits, whatever the algorithm and the history.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{NAMES, Parameters, Value, new_limit};
use super::*;

const MS: u64 = 1_000_000;

fn controller(name: &str, initial: u32, min: u32, max: u32, monitor_only: bool) -> Controller {
    let first = if name == "fixed" { "limit" } else { "initial" };
    let given = BTreeMap::from([(first.to_owned(), Value::Number(f64::from(initial)))]);
    let algorithm = new_limit(name, Parameters::new(name, given, None, 7)).expect("valid");
    Controller::new(algorithm, LimitBounds { min, max }, monitor_only, 0)
}

fn taken(controller: &mut Controller, now_ns: u64) -> Vec<CallPermit> {
    std::iter::from_fn(|| controller.try_acquire(now_ns)).collect()
}

#[test]
fn as_many_permits_are_given_as_the_limit_says() {
    let mut one = controller("fixed", 3, 1, 200, false);
    let permits = taken(&mut one, 0);
    assert_eq!(
        permits
            .iter()
            .map(CallPermit::in_flight)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        (one.in_flight(), one.free(), one.counts().refused),
        (3, 0, 1)
    );
    for permit in permits {
        one.settle(permit, 5 * MS, CallEnd::Answered);
    }
    assert_eq!((one.in_flight(), one.counts().answered), (0, 3));
}

#[test]
fn a_sample_lasts_from_the_permit_to_its_end() {
    let mut one = controller("aimd", 20, 1, 200, false);
    let _other = one.try_acquire(MS);
    let permit = one.try_acquire(2 * MS).expect("below the limit");
    let sample = one.settle(permit, 9 * MS, CallEnd::Dropped);
    let expected = Sample {
        start_ns: 2 * MS,
        rtt_ns: 7 * MS,
        in_flight: 2,
        dropped: true,
    };
    assert_eq!(sample, Some(expected));
    assert_eq!(one.limit(), 20, "its own minimum");
}

#[test]
fn a_permit_beyond_the_limit_is_noticed_and_refused_only_where_nothing_else_refuses() {
    for monitor_only in [false, true] {
        let mut one = controller("adaptive", 2, 1, 200, monitor_only);
        let mut now_ns = 0;
        for _ in 0..2000 {
            let permits: Vec<_> = (0..20).map(|_| one.acquire_beyond(now_ns)).collect();
            now_ns += 5 * MS;
            for permit in permits {
                one.settle(permit, now_ns, CallEnd::Answered);
            }
        }
        assert!(one.limit() > 10, "{monitor_only}: {}", one.limit());
        assert_eq!(one.counts().refused > 0, monitor_only);
        assert_eq!(one.in_flight(), 0);
    }
}

#[test]
fn a_call_that_waited_for_something_else_begins_later() {
    let mut one = controller("aimd", 20, 1, 200, false);
    let mut permit = one.try_acquire(2 * MS).expect("below the limit");
    permit.postpone(MS);
    permit.postpone(3 * MS);
    let sample = one.settle(permit, 9 * MS, CallEnd::Answered);
    let found = sample.map(|sample| (sample.start_ns, sample.rtt_ns));
    assert_eq!(found, Some((6 * MS, 3 * MS)));
}

#[test]
fn a_released_call_teaches_nothing() {
    let mut one = controller("aimd", 40, 1, 200, false);
    for _ in 0..100 {
        let permit = one.try_acquire(0).expect("below the limit");
        assert_eq!(one.settle(permit, MS, CallEnd::Ignored), None);
    }
    assert_eq!(
        (one.limit(), one.counts().released, one.in_flight()),
        (40, 100, 0)
    );
}

#[test]
fn permits_of_before_a_reset_change_nothing() {
    let mut one = controller("aimd", 40, 1, 200, false);
    let permits = taken(&mut one, 0);
    one.reset(MS);
    assert_eq!((one.in_flight(), one.limit()), (0, 40));
    let late = one.try_acquire(MS);
    for permit in permits {
        assert_eq!(one.settle(permit, 2 * MS, CallEnd::Dropped), None);
    }
    assert_eq!(
        (one.in_flight(), one.limit(), one.counts().stale),
        (1, 40, 40)
    );
    assert!(late.is_some());
}

#[test]
fn a_limit_that_falls_takes_no_permit_back() {
    let mut one = controller("aimd", 60, 1, 200, false);
    let mut permits = taken(&mut one, 0);
    one.settle(permits.remove(0), MS, CallEnd::Dropped);
    assert_eq!((one.limit(), one.in_flight(), one.free()), (54, 59, 0));
    assert!(one.try_acquire(MS).is_none());
    for permit in permits.drain(..6) {
        one.settle(permit, MS, CallEnd::Ignored);
    }
    assert!(one.try_acquire(MS).is_some());
}

#[test]
fn a_frozen_one_learns_nothing_and_a_restart_halves() {
    let mut one = controller("aimd", 60, 1, 200, false);
    one.freeze();
    let permits = taken(&mut one, 0);
    for permit in permits {
        one.settle(permit, MS, CallEnd::Dropped);
    }
    assert_eq!((one.limit(), one.counts().dropped), (60, 0));
    one.cap(3, MS);
    assert_eq!((one.limit(), taken(&mut one, MS).len()), (3, 3));
    one.restart(2 * MS);
    assert_eq!(one.limit(), 30);
    let change = one.last_change().expect("it changed");
    assert_eq!(
        (change.from, change.to, change.reason),
        (3, 30, "circuit closed")
    );
}

#[test]
fn one_that_only_monitors_gates_nothing_and_computes_the_limit() {
    let mut one = controller("aimd", 20, 1, 200, true);
    let permits: Vec<_> = (0..500).map_while(|_| one.try_acquire(0)).collect();
    assert_eq!((permits.len(), one.in_flight()), (500, 500));
    for permit in permits {
        one.settle(permit, MS, CallEnd::Answered);
    }
    assert_eq!(one.limit(), 200);
}

#[test]
fn what_was_learnt_is_restored_within_the_bounds() {
    let learnt = controller("gradient2", 80, 1, 200, false).snapshot();
    let mut next = controller("gradient2", 20, 1, 50, false);
    next.restore(learnt, 0);
    assert_eq!(next.limit(), 50);
}

#[test]
fn the_median_is_by_time() {
    let mut history = History::new(4);
    history.begin(100);
    history.change(40, "up", 100 + 10 * MS);
    history.change(6, "down", 100 + 11 * MS);
    assert_eq!((history.least(), history.greatest()), (4, 40));
    assert_eq!(history.median(100 + 12 * MS), 4);
    assert_eq!(history.median(100 + 100 * MS), 6);
    assert_eq!(history.changes(), [("up", 1), ("down", 1)]);
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Happening {
    Acquire,
    Settle(usize, CallEnd),
    Reset,
    Freeze,
    Cap(u32),
    Restart,
    Restore(u32),
    Advance,
}

fn acts() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => Just(Happening::Acquire),
        6 => any::<usize>().prop_map(|place| Happening::Settle(place, CallEnd::Answered)),
        2 => any::<usize>().prop_map(|place| Happening::Settle(place, CallEnd::Dropped)),
        2 => any::<usize>().prop_map(|place| Happening::Settle(place, CallEnd::Ignored)),
        1 => Just(Happening::Advance),
        1 => prop_oneof![
            Just(Happening::Reset),
            Just(Happening::Freeze),
            (0_u32..10).prop_map(Happening::Cap),
            Just(Happening::Restart),
            (0_u32..1000).prop_map(Happening::Restore),
        ],
    ]
}

/// Happening, and check the promises after each act; return the limits.
fn history(
    name: &str,
    (initial, min, max): (u32, u32, u32),
    acts: &[(Happening, u64)],
    monitor_only: bool,
) -> Result<Vec<u32>, TestCaseError> {
    let mut one = controller(name, initial, min, max, monitor_only);
    let (mut out, mut stale) = (Vec::new(), Vec::new());
    let mut now_ns = 0;
    let mut limits = Vec::new();
    for (act, after_ns) in acts {
        now_ns += after_ns;
        match act {
            Happening::Acquire => {
                let free = one.in_flight() < one.limit();
                let permit = one.try_acquire(now_ns);
                prop_assert_eq!(permit.is_some(), free || monitor_only);
                prop_assert!(monitor_only || one.in_flight() <= one.limit() || permit.is_none());
                out.extend(permit);
            }
            Happening::Settle(place, outcome) if !out.is_empty() => {
                let permit = out.swap_remove(place % out.len());
                one.settle(permit, now_ns, *outcome);
            }
            Happening::Settle(..) => {
                if let Some(permit) = stale.pop() {
                    prop_assert_eq!(one.settle(permit, now_ns, CallEnd::Dropped), None);
                }
            }
            Happening::Reset => {
                one.reset(now_ns);
                stale.append(&mut out);
            }
            Happening::Freeze => one.freeze(),
            Happening::Cap(cap) => one.cap(*cap, now_ns),
            Happening::Restart => one.restart(now_ns),
            Happening::Restore(limit) => {
                let learnt = Snapshot {
                    limit: *limit,
                    baseline_ns: None,
                };
                one.restore(learnt, now_ns);
            }
            Happening::Advance => one.advance(now_ns),
        }
        let counts = one.counts();
        prop_assert_eq!(one.in_flight() as usize, out.len());
        prop_assert_eq!(
            counts.acquired,
            counts.answered
                + counts.dropped
                + counts.released
                + counts.stale
                + (out.len() + stale.len()) as u64
        );
        prop_assert!(one.limit() >= 1 && one.limit() <= max);
        prop_assert!(one.is_frozen() || one.cap < min || one.limit() >= min.min(max));
        limits.push(one.limit());
    }
    for permit in out {
        one.settle(permit, now_ns, CallEnd::Ignored);
    }
    prop_assert!(one.try_acquire(now_ns).is_some(), "nobody is in flight");
    prop_assert!(one.history().least() <= one.history().greatest());
    Ok(limits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn permits_are_conserved_and_the_limit_stays_in_its_bounds(
        acts in proptest::collection::vec((acts(), 0..30 * MS), 1..300),
        initial in 1_u32..60,
        min in 1_u32..20,
        spread in 0_u32..100,
        monitor_only in any::<bool>(),
    ) {
        for name in NAMES {
            let bounds = (initial, min, min + spread);
            let limits = history(name, bounds, &acts, monitor_only)?;
            prop_assert_eq!(limits, history(name, bounds, &acts, monitor_only)?, "{}", name);
        }
    }

    #[test]
    fn the_median_is_near_the_exact_one(limits in proptest::collection::vec((1_u32..2000, 1_u64..50), 1..60)) {
        let mut history = History::new(limits[0].0);
        history.begin(0);
        let (mut now_ns, mut exact) = (0, Vec::new());
        for (limit, ms) in &limits {
            history.change(*limit, "", now_ns);
            exact.extend(std::iter::repeat_n(*limit, usize::try_from(*ms).expect("small")));
            now_ns += ms * MS;
        }
        exact.sort_unstable();
        // Times are counted in units, so that two limits that each had half of the time may change places.
        let at = |percent: u8| f64::from(exact[(exact.len() - 1) * usize::from(percent) / 100]);
        let median = f64::from(history.median(now_ns));
        prop_assert!(median >= at(49) * 7.0 / 8.0 - 0.5, "{} {}", median, at(49));
        prop_assert!(median <= at(52) * 9.0 / 8.0 + 0.5, "{} {}", median, at(52));
    }
}
