//! The wait in open.

use super::super::RetryAfter;
use super::*;

fn waits_of(bench: &Bench) -> Vec<u64> {
    let wait = |event: &Event| match event.kind {
        EventKind::Transition { wait_ns, .. } => wait_ns,
        _ => None,
    };
    bench.events.iter().filter_map(wait).collect()
}

#[test]
fn the_wait_doubles_with_each_opening_up_to_its_cap_and_starts_again_when_closed() {
    let mut bench = Bench::new(small());
    bench.fail();
    bench.fail();
    for _ in 0..5 {
        bench.pass(61 * SECOND);
        bench.fail();
        bench.fail();
    }
    assert_eq!(
        waits_of(&bench),
        [5, 10, 20, 40, 60, 60].map(|seconds| seconds * SECOND)
    );
    assert_eq!(bench.stats().attempt, 6);
    bench.pass(61 * SECOND);
    bench.succeed();
    bench.succeed();
    assert_eq!((bench.state(), bench.stats().attempt), (State::Closed, 0));
    bench.go(State::Open);
    assert_eq!(waits_of(&bench).last(), Some(&(5 * SECOND)));
}

#[test]
fn forced_open_counts_as_an_attempt_and_disabled_forgets_them() {
    let mut bench = Bench::new(small());
    bench.go(State::ForcedOpen);
    assert_eq!(bench.stats().attempt, 1);
    bench.go(State::Open);
    assert_eq!(
        (bench.stats().attempt, waits_of(&bench)),
        (2, vec![10 * SECOND])
    );
    bench.go(State::Disabled);
    assert_eq!(bench.stats().attempt, 0);
}

#[test]
fn opening_for_a_given_time_is_no_attempt() {
    let mut bench = Bench::new(small());
    bench
        .breaker
        .transition_to_open_for(400 * SECOND, 0)
        .expect("legal");
    assert_eq!(
        (bench.stats().attempt, bench.stats().retry_after_ns),
        (0, Some(400 * SECOND + 1))
    );
}

fn failure_asking(seconds: u64) -> Outcome {
    Outcome::Failure {
        retry_after_ns: Some(seconds * SECOND),
    }
}

#[test]
fn a_failures_own_wait_extends_the_wait_of_the_opening_that_it_leads_to() {
    let mut bench = Bench::new(small());
    let permit = bench.permit();
    bench.end(permit, failure_asking(30), 0);
    assert_eq!(bench.state(), State::Closed);
    bench.pass(10 * SECOND);
    bench.fail();
    assert_eq!(waits_of(&bench), [20 * SECOND]);
    // More than an hour is not believed.
    bench.breaker.reset(bench.now);
    let permit = bench.permit();
    bench.end(permit, failure_asking(1_000_000), 0);
    bench.fail();
    assert_eq!(waits_of(&bench)[1..], [3600 * SECOND]);
}

#[test]
fn what_was_asked_in_an_earlier_state_is_forgotten() {
    let mut bench = Bench::new(small());
    let permit = bench.permit();
    bench.end(permit, failure_asking(30), 0);
    bench.go(State::Closed);
    bench.fail();
    bench.fail();
    assert_eq!(waits_of(&bench), [5 * SECOND]);
}

#[test]
fn if_told_so_a_failures_own_wait_opens_at_once() {
    let mut bench = Bench::new(Settings {
        retry_after: RetryAfter::Open,
        ..small()
    });
    let permit = bench.permit();
    bench.end(permit, failure_asking(30), 0);
    assert_eq!(
        bench.transitions(),
        [(State::Closed, State::Open, Reason::RetryAfter)]
    );
    assert_eq!(
        (waits_of(&bench), bench.stats().attempt),
        (vec![30 * SECOND], 0)
    );
    bench.pass(31 * SECOND);
    let permit = bench.permit();
    bench.end(permit, failure_asking(7), 0);
    assert_eq!(
        (bench.state(), waits_of(&bench)),
        (State::Open, vec![30 * SECOND, 7 * SECOND])
    );
    bench.pass(8 * SECOND);
    let permit = bench.permit();
    bench.end(permit, failure_asking(0), 0);
    assert_eq!(bench.state(), State::HalfOpen);
}

#[test]
fn if_told_so_a_failures_own_wait_is_ignored() {
    let mut bench = Bench::new(Settings {
        retry_after: RetryAfter::Ignore,
        ..small()
    });
    for _ in 0..2 {
        let permit = bench.permit();
        bench.end(permit, failure_asking(30), 0);
    }
    assert_eq!(waits_of(&bench), [5 * SECOND]);
}
