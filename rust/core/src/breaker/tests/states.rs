//! The states, and the moves between them.

use super::*;

#[test]
fn open_keeps_the_rates_that_tripped_it_and_counts_refusals() {
    let mut bench = Bench::new(small());
    bench.fail();
    bench.fail();
    assert!(bench.acquire().is_none());
    assert!(bench.acquire().is_none());
    let stats = bench.stats();
    assert_eq!(
        (stats.failure_rate, stats.rejected, stats.totals.rejected),
        (Some(100.0), 2, 2)
    );
}

#[test]
fn open_permits_only_after_its_wait_and_that_call_is_the_first_trial() {
    let mut bench = Bench::new(small());
    bench.go(State::Open);
    bench.pass(5 * SECOND);
    bench.advance();
    assert!(bench.acquire().is_none());
    assert_eq!(bench.stats().retry_after_ns, Some(1));
    bench.pass(1);
    bench.advance();
    assert_eq!(bench.state(), State::Open);
    let _permit = bench.permit();
    assert_eq!(
        (bench.state(), bench.stats().trial_places),
        (State::HalfOpen, 1)
    );
    assert_eq!(
        bench.transitions()[1],
        (State::Open, State::HalfOpen, Reason::WaitElapsed)
    );
}

#[test]
fn automatically_the_wait_ends_without_a_call() {
    let mut bench = Bench::new(Settings {
        automatic_half_open: true,
        ..small()
    });
    bench.go(State::Open);
    assert_eq!(bench.breaker.next_deadline(), Some(5 * SECOND));
    bench.pass(5 * SECOND - 1);
    bench.advance();
    assert_eq!(bench.state(), State::Open);
    bench.pass(1);
    bench.advance();
    assert_eq!(bench.state(), State::HalfOpen);
}

#[test]
fn forced_open_refuses_until_somebody_moves_it() {
    let mut bench = Bench::new(small());
    bench.go(State::ForcedOpen);
    bench.pass(u64::MAX / 2);
    assert!(bench.acquire().is_none());
    assert_eq!(
        (bench.stats().retry_after_ns, bench.breaker.next_deadline()),
        (None, None)
    );
    bench.go(State::Closed);
    bench.succeed();
}

#[test]
fn disabled_permits_all_and_records_nothing() {
    let mut bench = Bench::new(small());
    bench.go(State::Disabled);
    for _ in 0..9 {
        assert_eq!(bench.fail(), Recorded::Unrecorded);
    }
    let stats = bench.stats();
    assert_eq!(
        (
            stats.window.calls,
            stats.totals.failed,
            stats.totals.unrecorded
        ),
        (0, 0, 9)
    );
    assert_eq!(bench.kinds(), ["transition"]);
}

#[test]
fn metrics_only_records_never_trips_and_reports_each_rate_once_an_entry() {
    let mut bench = Bench::new(small());
    bench.go(State::MetricsOnly);
    for _ in 0..3 {
        bench.fail();
    }
    for _ in 0..6 {
        let permit = bench.permit();
        bench.end(
            permit,
            Outcome::Failure {
                retry_after_ns: Some(SECOND),
            },
            2 * SECOND,
        );
    }
    assert_eq!(bench.state(), State::MetricsOnly);
    assert_eq!(
        bench.kinds(),
        [
            "transition",
            "failure_rate_exceeded",
            "slow_call_rate_exceeded"
        ]
    );
    bench.go(State::MetricsOnly);
    assert_eq!(bench.stats().window.calls, 0);
    bench.fail();
    bench.fail();
    assert_eq!(bench.kinds()[3..], ["failure_rate_exceeded"]);
}

#[test]
fn a_state_entered_anew_is_fresh_and_reports_nothing() {
    let mut bench = Bench::new(small());
    bench.fail();
    bench.go(State::Closed);
    assert_eq!(
        (bench.stats().window.calls, bench.stats().generation),
        (0, 2)
    );
    bench.fail();
    bench.fail();
    bench.events.clear();
    bench.pass(3 * SECOND);
    bench.go(State::Open);
    // Open keeps its window, its wait starts again and counts as one more attempt.
    assert_eq!(
        (bench.stats().failure_rate, bench.stats().attempt),
        (Some(100.0), 2)
    );
    assert_eq!(bench.stats().retry_after_ns, Some(10 * SECOND + 1));
    assert!(bench.events.is_empty());
}

#[test]
fn moves_by_hand_follow_the_table_and_an_illegal_one_changes_nothing() {
    use State::{Closed, Disabled, ForcedOpen, HalfOpen, MetricsOnly, Open};
    let legal = |from: State, to: State| match from {
        Open | HalfOpen | ForcedOpen | Disabled => true,
        Closed => to != HalfOpen,
        MetricsOnly => [Closed, ForcedOpen, Disabled, MetricsOnly].contains(&to),
    };
    for from in State::ALL {
        for to in State::ALL {
            let mut bench = Bench::new(small());
            if from == HalfOpen {
                bench.go(Open);
            }
            bench.go(from);
            let before = bench.stats();
            let moved = bench.breaker.transition_to(to, 0);
            assert_eq!(moved.is_ok(), legal(from, to), "{from:?} to {to:?}");
            match moved {
                Ok(events) => {
                    assert_eq!(bench.state(), to);
                    assert_eq!(events.len(), usize::from(from != to));
                    assert_eq!(bench.stats().generation, before.generation + 1);
                }
                Err(error) => {
                    assert_eq!(bench.stats(), before);
                    assert!(error.to_string().contains(from.as_str()));
                    assert!(bench.breaker.transition_to_open_for(1, 0).is_err() || to != Open);
                }
            }
        }
    }
}

#[test]
fn reset_makes_any_state_closed_and_as_new_but_for_the_lifetime_counters() {
    for from in State::ALL {
        let mut bench = Bench::new(small());
        bench.fail();
        if from == State::HalfOpen {
            bench.go(State::Open);
        }
        bench.go(from);
        let kinds: Vec<_> = bench
            .breaker
            .reset(0)
            .iter()
            .map(|event| event.kind.as_str())
            .collect();
        let expected: &[_] = if from == State::Closed {
            &["reset"]
        } else {
            &["transition", "reset"]
        };
        assert_eq!(kinds, expected);
        let stats = bench.stats();
        assert_eq!(
            (
                stats.state,
                stats.window.calls,
                stats.attempt,
                stats.totals.failed
            ),
            (State::Closed, 0, 0, 1)
        );
    }
}
