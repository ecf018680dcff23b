//! Seven things that go wrong in the implementation whose semantics these are, and must not here.

use super::*;

/// A timer of a state that was left acts on a later one.
#[test]
fn a_reset_forgets_pending_timers() {
    let settings = Settings {
        max_half_open_ns: Some(SECOND),
        automatic_half_open: true,
        ..small()
    };
    for later in [
        State::Closed,
        State::Disabled,
        State::MetricsOnly,
        State::ForcedOpen,
    ] {
        let mut bench = Bench::new(settings);
        bench.half_open();
        bench.breaker.reset(0);
        bench.go(later);
        bench.pass(1000 * SECOND);
        bench.advance();
        assert_eq!(bench.state(), later);
        assert_eq!(bench.breaker.next_deadline(), None);
    }
    let mut bench = Bench::new(settings);
    bench.go(State::Open);
    bench.breaker.reset(0);
    bench.pass(1000 * SECOND);
    bench.advance();
    assert_eq!(bench.state(), State::Closed);
}

/// Open takes over a window of no size, and the result of an earlier call divides by it.
#[test]
fn a_result_after_disabled_or_forced_open_became_open_is_harmless() {
    for between in [State::Disabled, State::ForcedOpen] {
        let mut bench = Bench::new(small());
        let early = bench.permit();
        bench.go(between);
        let later = (between == State::Disabled).then(|| bench.permit());
        bench.go(State::Open);
        for permit in [Some(early), later].into_iter().flatten() {
            assert_eq!(
                bench.end(
                    permit,
                    Outcome::Failure {
                        retry_after_ns: None
                    },
                    0
                ),
                Recorded::Stale
            );
        }
        let stats = bench.breaker.stats(None);
        assert_eq!(
            (stats.state, stats.window.calls, stats.failure_rate),
            (State::Open, 0, None)
        );
    }
}

/// Opening by hand leaves a breaker that says closed and permits nothing.
#[test]
fn opening_by_hand_always_has_a_wait() {
    let mut bench = Bench::new(small());
    bench.go(State::Open);
    assert!(bench.acquire().is_none());
    assert_eq!(
        (bench.state(), bench.breaker.next_deadline()),
        (State::Open, Some(5 * SECOND + 1))
    );
    bench.pass(5 * SECOND + 1);
    assert!(bench.acquire().is_some());
}

/// Results of calls permitted in an earlier state count in the new one, and ignored ones add places there.
#[test]
fn results_of_earlier_states_count_only_for_life() {
    let mut bench = Bench::new(small());
    let mut early: Vec<_> = (0..4).map(|_| bench.permit()).collect();
    bench.half_open();
    let _trials = [bench.permit(), bench.permit()];
    let mut end = |outcome| bench.end(early.pop().expect("four"), outcome, 0);
    assert_eq!(end(Outcome::Success), Recorded::Stale);
    assert_eq!(end(Outcome::Success), Recorded::Stale);
    assert_eq!(end(Outcome::Ignored), Recorded::Ignored);
    bench.breaker.release(early.pop().expect("the fourth"));
    assert_eq!(bench.state(), State::HalfOpen);
    assert!(bench.acquire().is_none());
    let stats = bench.breaker.stats(None);
    assert_eq!(
        (
            stats.window.calls,
            stats.totals.succeeded,
            stats.totals.stale
        ),
        (0, 2, 2)
    );
    // The same holds between two entries of one state.
    let early = bench.permit_after_reset();
    bench.go(State::Closed);
    assert_eq!(
        bench.end(
            early,
            Outcome::Failure {
                retry_after_ns: None
            },
            0
        ),
        Recorded::Stale
    );
    assert_eq!(bench.breaker.stats(None).window.calls, 0);
}

impl Bench {
    fn permit_after_reset(&mut self) -> Permit {
        self.breaker.reset(self.now);
        self.permit()
    }
}

/// A trial call that never reports holds the breaker half open for ever, where half open has no bound.
#[test]
fn lost_trial_calls_cannot_hold_it_half_open() {
    let mut bench = Bench::new(small());
    bench.half_open();
    let _lost = [bench.permit(), bench.permit()];
    assert!(bench.acquire().is_none());
    bench.pass(30 * SECOND);
    bench.succeed();
    bench.succeed();
    assert_eq!(bench.state(), State::Closed);
}

/// A clock that steps back empties the time window.
#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let settings = Settings {
        window: Sliding::Seconds(5),
        minimum_calls: 100,
        ..small()
    };
    let mut bench = Bench::new(settings);
    bench.now = 100 * SECOND;
    for _ in 0..3 {
        bench.fail();
    }
    bench.now = 97 * SECOND;
    for _ in 0..2 {
        bench.succeed();
    }
    assert_eq!(bench.breaker.stats(Some(90 * SECOND)).window.calls, 5);
    bench.go(State::Open);
    assert_eq!(bench.breaker.next_deadline(), Some(105 * SECOND + 1));
    assert_eq!(
        bench.events.last().map(|event| event.time_ns),
        Some(100 * SECOND)
    );
}

/// Opening out of half open gives no reason.
#[test]
fn every_opening_says_why_and_at_what_rates() {
    let mut bench = Bench::new(small());
    bench.half_open();
    bench.fail();
    bench.fail();
    let event = bench.events.last().expect("it opened");
    let EventKind::Transition {
        from,
        reason,
        wait_ns,
        ..
    } = event.kind
    else {
        panic!("{event:?}")
    };
    assert_eq!(
        (from, reason, wait_ns),
        (State::HalfOpen, Reason::FailureRate, Some(10 * SECOND))
    );
    assert_eq!(
        (event.failure_rate, event.slow_call_rate),
        (Some(100.0), Some(0.0))
    );
}
