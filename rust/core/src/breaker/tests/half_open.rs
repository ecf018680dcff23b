//! Trial calls: how many, what they decide, and how long they may take.

use super::super::AfterHalfOpen;
use super::*;

#[test]
fn it_permits_so_many_calls_and_refuses_the_others() {
    let mut bench = Bench::new(small());
    bench.half_open();
    let _permits = [bench.permit(), bench.permit()];
    assert!(bench.acquire().is_none());
    let stats = bench.breaker.stats(None);
    assert_eq!(
        (stats.trial_places, stats.rejected, stats.retry_after_ns),
        (0, 1, Some(5 * SECOND))
    );
}

#[test]
fn a_recorded_call_keeps_its_place_until_the_decision() {
    let mut bench = Bench::new(Settings {
        minimum_calls: 3,
        trial_calls: 3,
        ..small()
    });
    bench.half_open();
    bench.succeed();
    let _permits = [bench.permit(), bench.permit()];
    assert!(bench.acquire().is_none());
}

#[test]
fn half_open_entered_anew_has_all_its_places() {
    let mut bench = Bench::new(small());
    bench.half_open();
    let early = [bench.permit(), bench.permit()];
    bench.go(State::HalfOpen);
    assert_eq!(bench.breaker.next_deadline(), None);
    let _permits = [bench.permit(), bench.permit()];
    for permit in early {
        bench.breaker.release(permit);
    }
    assert!(bench.acquire().is_none());
}

#[test]
fn the_results_decide_at_the_smaller_of_minimum_and_permitted_calls() {
    let mut bench = Bench::new(Settings {
        minimum_calls: 2,
        trial_calls: 5,
        ..small()
    });
    bench.half_open();
    bench.succeed();
    assert_eq!(bench.state(), State::HalfOpen);
    bench.succeed();
    assert_eq!(bench.state(), State::Closed);
    let mut bench = Bench::new(Settings {
        minimum_calls: 20,
        trial_calls: 3,
        ..small()
    });
    bench.half_open();
    for _ in 0..3 {
        assert_eq!(bench.state(), State::HalfOpen);
        bench.succeed();
    }
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(
        bench.transitions()[2],
        (State::HalfOpen, State::Closed, Reason::TrialsPassed)
    );
}

#[test]
fn a_rate_at_its_threshold_opens_again_without_an_exceeded_event() {
    let mut bench = Bench::new(small());
    bench.half_open();
    bench.succeed();
    bench.fail();
    assert_eq!(
        bench.transitions()[2],
        (State::HalfOpen, State::Open, Reason::FailureRate)
    );
    assert_eq!(bench.kinds(), ["transition"; 3]);
    // Open shows the rates of the trial calls.
    assert_eq!(bench.breaker.stats(None).failure_rate, Some(50.0));
}

#[test]
fn slow_trial_calls_open_again() {
    let mut bench = Bench::new(small());
    bench.half_open();
    for _ in 0..2 {
        let permit = bench.permit();
        bench.end(permit, Outcome::Success, 2 * SECOND);
    }
    assert_eq!(
        bench.transitions()[2],
        (State::HalfOpen, State::Open, Reason::SlowCallRate)
    );
}

#[test]
fn a_released_or_ignored_call_gives_its_place_to_another() {
    let mut bench = Bench::new(small());
    bench.half_open();
    for _ in 0..100 {
        let permit = bench.permit();
        bench.breaker.release(permit);
        let permit = bench.permit();
        bench.end(permit, Outcome::Ignored, 0);
    }
    assert_eq!(bench.breaker.stats(None).trial_places, 2);
    assert_eq!(bench.breaker.stats(None).totals.in_flight, 0);
}

#[test]
fn a_trial_call_that_never_reports_loses_its_place_when_its_lease_ends() {
    let mut bench = Bench::new(small());
    bench.half_open();
    let lost = bench.permit();
    bench.pass(SECOND);
    let other = bench.permit();
    assert_eq!(bench.breaker.next_deadline(), Some(30 * SECOND));
    bench.pass(29 * SECOND - 1);
    assert!(bench.acquire().is_none());
    bench.pass(1);
    let third = bench.permit();
    assert_eq!(
        bench.events.last().map(|event| event.kind),
        Some(EventKind::LeasesExpired(1))
    );
    // The lost one comes after all: too late to count, and its place is not given back a second time.
    assert_eq!(
        bench.end(
            lost,
            Outcome::Failure {
                retry_after_ns: None
            },
            0
        ),
        Recorded::Stale
    );
    assert!(bench.acquire().is_none());
    bench.end(other, Outcome::Success, 0);
    bench.end(third, Outcome::Success, 0);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.breaker.stats(None).totals.leases_expired, 1);
}

#[test]
fn half_open_may_be_bounded_and_then_goes_where_it_is_told() {
    for (then, to) in [
        (AfterHalfOpen::Open, State::Open),
        (AfterHalfOpen::Closed, State::Closed),
    ] {
        let settings = Settings {
            max_half_open_ns: Some(SECOND),
            after_half_open: then,
            ..small()
        };
        let mut bench = Bench::new(settings);
        bench.half_open();
        bench.pass(SECOND - 1);
        bench.advance();
        assert_eq!(
            (bench.state(), bench.breaker.next_deadline()),
            (State::HalfOpen, Some(SECOND))
        );
        bench.pass(1);
        bench.advance();
        assert_eq!(
            bench.transitions()[2],
            (State::HalfOpen, to, Reason::HalfOpenTimeout)
        );
    }
}
