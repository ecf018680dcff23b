//! `adaptive` by itself: it stays within its bounds, is never stuck, and finds workers however it is driven.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::super::{Limit, Parameters, Sample, Snapshot, Value, new_limit};
use super::{Adaptive, reasons};
use crate::random::draw;

const US: u64 = 1000;
const MS: u64 = 1000 * US;
const SECOND: u64 = 1000 * MS;

fn made(given: &[(&str, f64)]) -> Box<dyn Limit> {
    let given = given
        .iter()
        .map(|(name, number)| ((*name).to_owned(), Value::Number(*number)))
        .collect();
    new_limit("adaptive", Parameters::new("adaptive", given, None, 3)).expect("it can be made")
}

/// Workers that serve first come, first served, and callers that always want more.
struct Workers {
    count: usize,
    service_ns: u64,
    /// True if calls fail, once served.
    failing: bool,
    /// Calls between two that say that they are blocked.
    says_blocked: u64,
}

const TWENTY: Workers = Workers {
    count: 20,
    service_ns: 50 * MS,
    failing: false,
    says_blocked: 1,
};

impl Workers {
    /// Drive the limit from a time on, for a while; return the time at which the last call ended.
    fn drive(&self, limit: &mut dyn Limit, from_ns: u64, for_ns: u64) -> u64 {
        let mut free: BinaryHeap<_> = (0..self.count).map(|_| Reverse(from_ns)).collect();
        let mut ends = BinaryHeap::new();
        let (mut now_ns, mut calls) = (from_ns, 0_u64);
        loop {
            while now_ns < from_ns + for_ns && ends.len() < limit.limit() as usize {
                limit.started(now_ns);
                calls += 1;
                let Reverse(at_ns) = free.pop().expect("there are workers");
                let end_ns = at_ns.max(now_ns) + self.service_ns;
                free.push(Reverse(end_ns));
                let in_flight = u32::try_from(ends.len() + 1).expect("it is small");
                ends.push(Reverse((end_ns, now_ns, in_flight)));
            }
            if calls.is_multiple_of(self.says_blocked) {
                limit.blocked(now_ns);
            }
            let Some(Reverse((end_ns, start_ns, in_flight))) = ends.pop() else {
                return now_ns;
            };
            now_ns = end_ns;
            limit.sampled(&Sample {
                start_ns,
                rtt_ns: end_ns - start_ns,
                in_flight,
                dropped: self.failing,
            });
        }
    }
}

#[test]
fn it_finds_the_workers() {
    for (count, service_ns) in [(1, 50 * MS), (7, 50 * MS), (20, 5 * MS), (150, 20 * MS)] {
        let mut limit = made(&[("max", 500.0)]);
        let workers = Workers {
            count,
            service_ns,
            ..TWENTY
        };
        workers.drive(&mut *limit, 0, 20 * SECOND);
        let found = limit.limit() as usize;
        assert!(
            found >= count && found <= count + count / 4 + 2,
            "{count}: {found}"
        );
    }
}

#[test]
fn services_of_microseconds_are_no_reason_to_refuse_calls() {
    let mut limit = made(&[("target_latency_ns", 1e6)]);
    let workers = Workers {
        count: 8,
        service_ns: 25 * US,
        ..TWENTY
    };
    workers.drive(&mut *limit, 0, 3 * SECOND);
    assert!((6..=12).contains(&limit.limit()), "{}", limit.limit());
}

#[test]
fn it_is_enough_to_say_now_and_then_that_calls_wait() {
    let mut limit = made(&[]);
    let workers = Workers {
        says_blocked: 13,
        ..TWENTY
    };
    workers.drive(&mut *limit, 0, 30 * SECOND);
    assert!((18..=26).contains(&limit.limit()), "{}", limit.limit());
}

#[test]
fn without_calls_that_wait_it_never_grows() {
    let mut limit = made(&[]);
    for ordinal in 0..2000 {
        limit.started(ordinal * 10 * MS);
        limit.sampled(&Sample {
            start_ns: ordinal * 10 * MS,
            rtt_ns: 5 * MS,
            in_flight: 1,
            dropped: false,
        });
    }
    assert_eq!(limit.limit(), 10);
    assert_eq!(limit.last_change(), None);
}

#[test]
fn a_target_out_of_reach_leaves_the_minimum_and_says_so() {
    let mut limit = made(&[("target_latency_ns", 10e6), ("min", 2.0)]);
    let end_ns = TWENTY.drive(&mut *limit, 0, 10 * SECOND);
    assert_eq!(limit.limit(), 2);
    let change = limit.last_change().expect("it has changed");
    assert_eq!(change.reason, reasons::UNREACHABLE);
    let fast = Workers {
        service_ns: 2 * MS,
        ..TWENTY
    };
    fast.drive(&mut *limit, end_ns, 10 * SECOND);
    assert!(limit.limit() >= 18, "in reach again: {}", limit.limit());
}

#[test]
fn a_dependency_that_is_down_gets_a_call_at_a_time_and_all_of_them_again() {
    let mut limit = made(&[]);
    let up_ns = TWENTY.drive(&mut *limit, 0, 10 * SECOND);
    let before = limit.limit();
    let down = Workers {
        failing: true,
        ..TWENTY
    };
    let down_ns = down.drive(&mut *limit, up_ns, 10 * SECOND);
    assert_eq!(limit.limit(), 1);
    assert_eq!(
        limit.last_change().expect("it has changed").reason,
        reasons::FAILURES
    );
    TWENTY.drive(&mut *limit, down_ns, 2 * SECOND);
    assert!(limit.limit() >= before * 8 / 10, "{}", limit.limit());
}

#[test]
fn equal_bounds_are_a_fixed_limit() {
    let mut limit = made(&[("min", 6.0), ("max", 6.0), ("target_latency_ns", 10e6)]);
    TWENTY.drive(&mut *limit, 0, 20 * SECOND);
    assert_eq!(limit.limit(), 6);
}

#[test]
fn an_hour_without_calls_changes_nothing() {
    let mut limit = made(&[]);
    let end_ns = TWENTY.drive(&mut *limit, 0, 10 * SECOND);
    let end_ns = TWENTY.drive(&mut *limit, end_ns + 3600 * SECOND, 5 * SECOND);
    assert!((18..=26).contains(&limit.limit()), "{}", limit.limit());
    let earlier_ns = end_ns - 1800 * SECOND;
    TWENTY.drive(&mut *limit, earlier_ns, 5 * SECOND);
    assert!(limit.limit() >= 1, "a clock that jumps back breaks nothing");
}

/// A step of a history: its kind, the time that passes before it, and a duration.
type CallEvent = (u8, u64, u64);

fn histories() -> impl Strategy<Value = Vec<CallEvent>> {
    prop::collection::vec((0..10_u8, 0..200 * MS, 0..SECOND), 0..400)
}

/// Play a history: calls start, end, fail, are cancelled and wait; return the limits, and the time at its end.
fn play(limit: &mut dyn Limit, history: &[CallEvent]) -> (Vec<u32>, u64) {
    let (mut now_ns, mut open, mut limits) = (SECOND, Vec::new(), Vec::new());
    for (kind, passes_ns, rtt_ns) in history {
        now_ns += if *kind == 9 {
            3600 * SECOND
        } else {
            *passes_ns / 20
        };
        match kind {
            0..=3 => {
                limit.started(now_ns);
                open.push(now_ns);
            }
            4 => limit.blocked(now_ns),
            _ => {
                if let Some(start_ns) = open.pop() {
                    let _: u64 = end(limit, start_ns, now_ns.max(start_ns + rtt_ns / 10), *kind);
                }
            }
        }
        limits.push(limit.limit());
    }
    for start_ns in open {
        now_ns = end(limit, start_ns, now_ns, 6);
        limits.push(limit.limit());
    }
    (limits, now_ns + SECOND)
}

fn end(limit: &mut dyn Limit, start_ns: u64, now_ns: u64, kind: u8) -> u64 {
    if kind == 5 {
        limit.ignored(now_ns);
    } else {
        limit.sampled(&Sample {
            start_ns,
            rtt_ns: now_ns - start_ns,
            in_flight: 1,
            dropped: kind == 7,
        });
    }
    now_ns
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn it_keeps_its_bounds_and_depends_on_its_history_alone(
        history in histories(), min in 1..20_u32, room in 0..50_u32, target_ms in 0..300_u32,
    ) {
        let given = [
            ("min", f64::from(min)),
            ("max", f64::from(min + room)),
            ("target_latency_ns", f64::from(target_ms) * 1e6),
        ];
        let (limits, _) = play(&mut *made(&given), &history);
        prop_assert!(limits.iter().all(|limit| (min..=min + room).contains(limit)));
        prop_assert_eq!(limits, play(&mut *made(&given), &history).0);
    }

    #[test]
    fn whatever_came_before_it_finds_the_workers(history in histories()) {
        let found = found_after(&history);
        prop_assert!(FOUND.contains(&found), "{}", found);
    }
}

/// Limits at which twenty workers are busy, and as many calls wait at most; half of the workers while a probe is under way.
const FOUND: std::ops::RangeInclusive<u32> = 9..=40;

/// Return the limit two minutes after a history.
fn found_after(history: &[CallEvent]) -> u32 {
    let mut limit = made(&[]);
    let (_, now_ns) = play(&mut *limit, history);
    TWENTY.drive(&mut *limit, now_ns, 120 * SECOND);
    limit.limit()
}

/// Make one that stays at a limit, with a latency without a queue that is not that of [`TWENTY`].
fn restored(min: u32, limit: u32, baseline_ns: u64) -> Adaptive {
    let given = [("min".to_owned(), Value::Number(min.into()))].into();
    let mut parameters = Parameters::new("adaptive", given, None, 3);
    let mut made = Adaptive::new(&mut parameters).expect("it can be made");
    let snapshot = Snapshot {
        limit,
        baseline_ns: Some(baseline_ns),
    };
    made.restore(snapshot, 0);
    made
}

#[test]
fn a_latency_that_was_much_lower_once_keeps_it_at_no_minimum() {
    for min in 1..5 {
        for is_narrow in [true, false] {
            let mut limit = restored(min, min, US);
            if !is_narrow {
                limit.window.widen();
            }
            TWENTY.drive(&mut limit, 0, 120 * SECOND);
            let found = limit.limit();
            assert!(FOUND.contains(&found), "{min}, {is_narrow}: {found}");
        }
    }
}

#[test]
fn a_queue_is_left_where_services_seemed_to_differ() {
    for initial in [80, 120, 160, 200] {
        for baseline_ns in [200 * MS, 400 * MS] {
            let mut limit = restored(1, initial, baseline_ns);
            limit.window.widen();
            TWENTY.drive(&mut limit, 0, 15 * SECOND);
            let found = limit.limit();
            assert!(
                FOUND.contains(&found),
                "{initial}, {baseline_ns} ns: {found}"
            );
        }
    }
}

#[test]
fn calls_across_a_jump_of_the_clock_put_nothing_off_for_hours() {
    for lasted_ns in (0..12).map(|step| 4 * SECOND + step * 250 * MS) {
        let mut limit = made(&[]);
        let now_ns = TWENTY.drive(&mut *limit, 0, lasted_ns);
        let jumped_ns = now_ns + 6 * 3600 * SECOND;
        for _ in 0..8 {
            limit.started(now_ns);
            limit.blocked(now_ns);
        }
        for _ in 0..8 {
            let _: u64 = end(&mut *limit, now_ns, jumped_ns, 6);
        }
        let slower = Workers {
            service_ns: 100 * MS,
            ..TWENTY
        };
        slower.drive(&mut *limit, jumped_ns, 60 * SECOND);
        let found = limit.limit();
        assert!(FOUND.contains(&found), "{lasted_ns} ns: {found}");
    }
}

#[test]
fn it_recovers_from_failures_at_irregular_times() {
    for seed in 0..8 {
        let mut limit = made(&[]);
        let mut now_ns = TWENTY.drive(&mut *limit, 0, 10 * SECOND);
        for call in 0..300 {
            let start_ns = now_ns;
            limit.started(start_ns);
            limit.blocked(start_ns);
            let share = draw(seed, call);
            now_ns += if share < 0.1 {
                30 * SECOND
            } else {
                MS * (1 + call * 7919 % 200)
            };
            let _: u64 = end(&mut *limit, start_ns, now_ns, 7);
        }
        assert_eq!(limit.limit(), 1);
        TWENTY.drive(&mut *limit, now_ns, 60 * SECOND);
        let found = limit.limit();
        assert!(FOUND.contains(&found), "seed {seed}: {found}");
    }
}
