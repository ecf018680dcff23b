//! The rates, and the calls at which they trip.

use super::*;

#[test]
fn a_rate_means_nothing_below_the_minimum_of_calls() {
    let mut bench = Bench::new(Settings {
        minimum_calls: 3,
        ..small()
    });
    bench.fail();
    bench.fail();
    assert_eq!(
        (bench.stats().failure_rate, bench.state()),
        (None, State::Closed)
    );
    bench.fail();
    assert_eq!(
        (bench.stats().failure_rate, bench.state()),
        (Some(100.0), State::Open)
    );
}

#[test]
fn the_minimum_is_clamped_to_a_window_of_calls_and_not_to_one_of_seconds() {
    let settings = Settings {
        minimum_calls: 10,
        ..small()
    };
    let mut bench = Bench::new(settings);
    for _ in 0..4 {
        bench.fail();
    }
    assert_eq!(bench.state(), State::Open);
    let mut bench = Bench::new(Settings {
        window: Sliding::Seconds(4),
        ..settings
    });
    for _ in 0..9 {
        bench.fail();
    }
    assert_eq!(bench.state(), State::Closed);
    bench.fail();
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn a_rate_that_equals_its_threshold_trips() {
    let mut bench = Bench::new(Settings {
        minimum_calls: 4,
        ..small()
    });
    bench.succeed();
    bench.succeed();
    bench.fail();
    bench.fail();
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.kinds(), ["failure_rate_exceeded", "transition"]);
}

#[test]
fn a_third_is_reached_by_one_call_of_three() {
    let settings = Settings {
        failure_rate_threshold: 100.0 / 3.0,
        minimum_calls: 3,
        ..small()
    };
    let mut bench = Bench::new(settings);
    bench.succeed();
    bench.succeed();
    bench.fail();
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn a_success_can_trip() {
    let mut bench = Bench::new(Settings {
        minimum_calls: 2,
        ..small()
    });
    bench.fail();
    bench.succeed();
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn a_call_is_slow_if_it_takes_longer_than_the_threshold_whether_it_fails_or_not() {
    let mut bench = Bench::new(Settings {
        failure_rate_threshold: 100.0,
        ..small()
    });
    let permit = bench.permit();
    bench.end(permit, Outcome::Success, SECOND);
    assert_eq!(bench.stats().window.slow, 0);
    for outcome in [
        Outcome::Success,
        Outcome::Failure {
            retry_after_ns: None,
        },
    ] {
        let permit = bench.permit();
        bench.end(permit, outcome, SECOND + 1);
    }
    assert_eq!(bench.stats().window.slow, 2);
}

#[test]
fn slow_calls_alone_trip_and_both_rates_report_in_order() {
    let mut bench = Bench::new(small());
    for _ in 0..2 {
        let permit = bench.permit();
        bench.end(permit, Outcome::Success, 2 * SECOND);
    }
    assert_eq!(
        bench.transitions(),
        [(State::Closed, State::Open, Reason::SlowCallRate)]
    );
    let mut bench = Bench::new(small());
    for _ in 0..2 {
        let permit = bench.permit();
        bench.end(
            permit,
            Outcome::Failure {
                retry_after_ns: None,
            },
            2 * SECOND,
        );
    }
    assert_eq!(
        bench.kinds(),
        [
            "failure_rate_exceeded",
            "slow_call_rate_exceeded",
            "transition"
        ]
    );
    assert_eq!(
        bench.transitions(),
        [(State::Closed, State::Open, Reason::FailureRate)]
    );
}

#[test]
fn an_ignored_result_counts_as_nothing() {
    let mut bench = Bench::new(small());
    let permit = bench.permit();
    assert_eq!(
        bench.end(permit, Outcome::Ignored, 9 * SECOND),
        Recorded::Ignored
    );
    let stats = bench.stats();
    assert_eq!(
        (stats.window.calls, stats.totals.ignored, stats.totals.slow),
        (0, 1, 0)
    );
}
