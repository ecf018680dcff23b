//! Corner cases of the published algorithms: those that the originals' own tests pin, and those found by running them.

use std::collections::BTreeMap;

use super::{MS, attempted, made, tell};
use crate::limits::{Jitter, Limit, Parameters, Value, new_limit};

const SECOND: u64 = 1000 * MS;

/// Tell of calls by latency in milliseconds, calls in flight, and drop; return the limits after them.
fn told(limit: &mut dyn Limit, calls: &[(u64, u32, bool)]) -> Vec<u32> {
    calls
        .iter()
        .map(|(ms, in_flight, dropped)| tell(limit, 0, ms * MS, *in_flight, *dropped))
        .collect()
}

fn jittered(name: &str, given: &[(&str, f64)], jitter: &[f64]) -> Box<dyn Limit> {
    attempted(name, given, Some(Jitter::Cycle(jitter.to_vec(), 0))).expect("parameters are valid")
}

fn windowed(name: &str, given: &[(&str, f64)], window: &[(&str, f64)]) -> Box<dyn Limit> {
    let table = |numbers: &[(&str, f64)]| -> BTreeMap<String, Value> {
        numbers
            .iter()
            .map(|(name, number)| ((*name).to_owned(), Value::Number(*number)))
            .collect()
    };
    let mut given = table(given);
    given.insert("window".to_owned(), Value::Table(table(window)));
    new_limit(name, Parameters::new(name, given, None, 7)).expect("parameters are valid")
}

#[test]
fn fixed_is_never_changed_and_has_two_names_for_its_limit() {
    for given in ["limit", "initial"] {
        let mut limit = made("fixed", &[(given, 7.0)]);
        assert_eq!(told(&mut *limit, &[(1, 7, false), (9000, 7, true)]), [7, 7]);
        assert_eq!(limit.last_change(), None);
    }
}

#[test]
fn aimd_decreases_by_a_drop_without_latency_and_without_calls_in_flight() {
    let mut limit = made("aimd", &[("initial", 30.0)]);
    assert_eq!(told(&mut *limit, &[(0, 0, true)]), [27]);
}

#[test]
fn aimd_honours_an_initial_limit_outside_its_bounds_until_the_first_call() {
    let mut low = made("aimd", &[("initial", 10.0)]);
    assert_eq!(low.limit(), 10);
    let idle = told(&mut *low, &[(1, 1, false)]);
    assert_eq!(idle, [20], "even by one that was not limited");
    let mut high = made("aimd", &[("initial", 300.0)]);
    assert_eq!(high.limit(), 300);
    assert_eq!(told(&mut *high, &[(1, 1, false)]), [200]);
}

#[test]
fn aimd_stays_at_its_maximum() {
    let mut limit = made("aimd", &[("initial", 21.0), ("max", 21.0), ("min", 0.0)]);
    assert_eq!(
        told(&mut *limit, &[(1, 10, false), (1, 21, false)]),
        [21, 21]
    );
}

#[test]
fn aimd_lets_its_maximum_win_over_its_minimum() {
    let mut limit = made("aimd", &[("initial", 20.0), ("max", 5.0), ("min", 50.0)]);
    assert_eq!(told(&mut *limit, &[(1, 1, false)]), [5]);
}

#[test]
fn aimd_truncates_the_product_of_floats() {
    let mut limit = made(
        "aimd",
        &[("initial", 100.0), ("backoff", 0.57), ("min", 1.0)],
    );
    assert_eq!(
        told(&mut *limit, &[(1, 9, true)]),
        [56],
        "a little less than 57"
    );
}

#[test]
fn aimd_is_late_beyond_its_time_out_and_in_use_from_a_half() {
    let mut limit = made("aimd", &[("initial", 100.0)]);
    let calls = [(5000, 49, false), (5000, 50, false), (5001, 50, false)];
    assert_eq!(told(&mut *limit, &calls), [100, 101, 90]);
    let change = limit.last_change().expect("it has changed");
    assert_eq!((change.from, change.to, change.reason), (101, 90, "late"));
    assert_eq!(change.statistics()[1], ("in_flight", 50.0));
}

#[test]
fn aimd_never_reaches_zero() {
    let mut limit = made("aimd", &[("initial", 3.0), ("min", 0.0), ("backoff", 0.5)]);
    assert_eq!(told(&mut *limit, &[(1, 1, true); 3]), [1, 1, 1]);
}

#[test]
fn vegas_takes_the_first_call_for_its_baseline() {
    let mut limit = made("vegas", &[("initial", 10.0), ("max", 20.0)]);
    assert_eq!(told(&mut *limit, &[(10, 10, false)]), [10]);
    assert_eq!(limit.snapshot().baseline_ns, Some(10 * MS));
}

#[test]
fn vegas_grows_fast_without_a_queue() {
    for given in [&[][..], &[("alpha", 3.0), ("beta", 6.0)]] {
        let given = [&[("initial", 10.0), ("max", 20.0)], given].concat();
        let mut limit = made("vegas", &given);
        assert_eq!(
            told(&mut *limit, &[(10, 10, false), (10, 11, false)]),
            [10, 16]
        );
    }
    let mut large = made("vegas", &[("initial", 10_000.0), ("max", 20_000.0)]);
    let calls = [(10_000, 5000, false), (10_000, 6000, false)];
    assert_eq!(
        told(&mut *large, &calls),
        [10_000, 10_024],
        "6 times 4 digits"
    );
}

#[test]
fn vegas_decreases_by_a_long_queue_and_holds_between_its_thresholds() {
    let given = [
        ("initial", 10.0),
        ("alpha", 3.0),
        ("beta", 6.0),
        ("max", 20.0),
    ];
    let mut limit = made("vegas", &given);
    assert_eq!(
        told(&mut *limit, &[(10, 10, false), (50, 11, false)]),
        [10, 9]
    );
    let mut limit = made("vegas", &given);
    assert_eq!(
        told(&mut *limit, &[(10, 10, false), (14, 14, false)]),
        [10, 10]
    );
}

#[test]
fn vegas_smooths_a_decrease_by_half() {
    let given = [
        ("initial", 100.0),
        ("max", 200.0),
        ("decrease", 0.0),
        ("decrease_ratio", 0.5),
    ];
    let calls = [(10, 100, false), (20, 100, false), (20, 100, false)];
    let mut limit = made("vegas", &given);
    assert_eq!(told(&mut *limit, &calls), [100, 50, 25]);
    let mut limit = made("vegas", &[&given[..], &[("smoothing", 0.5)]].concat());
    assert_eq!(told(&mut *limit, &calls), [100, 75, 56]);
}

#[test]
fn vegas_is_not_changed_by_a_new_smallest_latency() {
    let mut limit = made("vegas", &[("initial", 10.0)]);
    assert_eq!(
        told(&mut *limit, &[(10, 10, false), (9, 10, true)]),
        [10, 10]
    );
    assert_eq!(limit.snapshot().baseline_ns, Some(9 * MS));
}

#[test]
fn vegas_looks_at_a_drop_before_it_asks_for_use() {
    let mut limit = made("vegas", &[("initial", 10.0)]);
    let calls = [(10, 0, false), (10, 0, false), (10, 0, true)];
    assert_eq!(told(&mut *limit, &calls), [10, 10, 9]);
}

#[test]
fn vegas_probes_when_the_injected_jitter_says_so() {
    let given = [("initial", 2.0), ("probe_multiplier", 2.0)];
    let mut limit = jittered("vegas", &given, &[0.5, 1.0]);
    assert_eq!(told(&mut *limit, &[(10, 1, false)]), [2], "1 < 0.5 * 2 * 2");
    assert_eq!(told(&mut *limit, &[(40, 2, false)]), [2], "2 >= 2: a probe");
    assert_eq!(limit.snapshot().baseline_ns, Some(40 * MS));
    assert_eq!(told(&mut *limit, &[(40, 2, false)]), [8], "no queue");
}

#[test]
fn gradient2_drifts_up_in_a_standing_queue_and_ignores_drops() {
    let mut limit = made("gradient2", &[]);
    for ordinal in 0..400 {
        let in_flight = limit.limit();
        tell(&mut *limit, ordinal, 100 * MS, in_flight, true);
    }
    assert_eq!(limit.limit(), 200, "0.8 a sample");
}

#[test]
fn gradient2_averages_latencies_of_calls_that_do_not_use_its_limit() {
    let mut limit = made("gradient2", &[]);
    assert_eq!(
        told(&mut *limit, &[(10, 9, false), (30, 9, false)]),
        [20, 20]
    );
    assert_eq!(limit.snapshot().baseline_ns, Some(20 * MS));
}

#[test]
fn gradient2_lowers_its_average_if_that_is_more_than_twice_the_latency() {
    let mut limit = made("gradient2", &[("warmup", 1.0), ("long_window", 1000.0)]);
    told(&mut *limit, &[(100, 1, false)]);
    told(&mut *limit, &[(10, 1, false)]);
    let factor = 2.0 / 1001.0;
    let expected = (100.0 * (1.0 - factor) + 10.0 * factor) * 0.95;
    let average = limit.snapshot().baseline_ns.expect("it has one");
    assert!(
        (crate::limits::float(average) / 1e6 - expected).abs() < 1e-3,
        "{average}"
    );
}

#[test]
fn gradient2_is_not_wedged_by_a_first_call_that_takes_no_time() {
    let mut limit = made("gradient2", &[]);
    assert_eq!(told(&mut *limit, &[(0, 20, false)]), [20]);
    let calls = [(10, 20, false); 20];
    assert!(told(&mut *limit, &calls)[19] > 20);
}

#[test]
fn gradient_falls_to_the_room_for_a_queue_at_a_probe() {
    let mut limit = jittered("gradient", &[("probe_interval", 3.0)], &[0.0]);
    assert_eq!(told(&mut *limit, &[(1, 50, false); 4]), [57, 64, 72, 8]);
    assert_eq!(limit.last_change().expect("it has changed").reason, "probe");
    let mut never = jittered(
        "gradient",
        &[("probe_interval", 0.0), ("max", 60.0)],
        &[0.0],
    );
    assert_eq!(told(&mut *never, &[(1, 60, false); 600])[599], 60);
}

#[test]
fn gradient_smooths_decreases_only_and_keeps_the_room_for_a_queue() {
    let mut limit = made("gradient", &[("initial", 40.0), ("queue_size", 4.0)]);
    assert_eq!(
        told(&mut *limit, &[(10, 40, false)]),
        [44],
        "all of the room"
    );
    assert_eq!(
        told(&mut *limit, &[(10, 0, true)]),
        [43],
        "44 - 0.2 of a tenth"
    );
    assert_eq!(told(&mut *limit, &[(10, 0, true); 400])[399], 4);
}

#[test]
fn gradient_does_not_pass_its_maximum_for_the_room_of_a_queue() {
    let mut limit = jittered("gradient", &[("max", 2.0), ("probe_interval", 3.0)], &[0.0]);
    assert_eq!(told(&mut *limit, &[(1, 2, false); 4]), [2, 2, 2, 2]);
}

const WINDOW: [(&str, f64); 3] = [
    ("min_window_ns", 1e8),
    ("max_window_ns", 1e8),
    ("size", 3.0),
];

#[test]
fn a_window_of_one_call_is_closed_first_and_thrown_away() {
    let mut limit = windowed("aimd", &[("min", 1.0)], &WINDOW);
    assert_eq!(tell(&mut *limit, 0, MS, 20, true), 20);
    for place in 1..4 {
        assert_eq!(tell(&mut *limit, place * 10 * MS, MS, 20, place == 1), 20);
    }
    assert_eq!(
        tell(&mut *limit, 200 * MS, MS, 20, false),
        18,
        "one drop of three is one of the window"
    );
}

#[test]
fn a_window_closes_by_the_time_of_completion_with_the_call_that_passes_it() {
    let mut limit = windowed("aimd", &[], &WINDOW);
    tell(&mut *limit, 0, MS, 20, false);
    let calls = [(1, 60), (2, 60), (3, 98), (102, 99)];
    let limits =
        calls.map(|(start_ms, rtt_ms)| tell(&mut *limit, start_ms * MS, rtt_ms * MS, 20, false));
    assert_eq!(limits, [20, 20, 20, 21], "101 ms does not pass 101 ms");
}

#[test]
fn a_window_discards_what_is_shorter_than_its_threshold() {
    let mut limit = windowed("aimd", &[], &WINDOW);
    for ordinal in 0..10 {
        tell(&mut *limit, ordinal * 100 * MS, 99_999, 20, true);
    }
    tell(&mut *limit, SECOND, MS, 20, false);
    for ordinal in 0..4 {
        tell(&mut *limit, SECOND + ordinal * 40 * MS, MS, 20, false);
    }
    assert_eq!(limit.limit(), 21, "no drop");
}

#[test]
fn a_window_hands_on_the_mean_in_whole_nanoseconds_and_the_most_in_flight() {
    let aimd = [("initial", 100.0), ("timeout_ns", 2e6 + 1.0)];
    for (last_ns, expected) in [(2 * MS + 4, 101), (2 * MS + 6, 90)] {
        let mut limit = windowed("aimd", &aimd, &WINDOW);
        tell(&mut *limit, 0, MS, 1, false);
        tell(&mut *limit, 0, 2 * MS, 50, false);
        tell(&mut *limit, 0, 2 * MS, 1, false);
        assert_eq!(tell(&mut *limit, 100 * MS, last_ns, 1, false), expected);
    }
}

#[test]
fn a_window_takes_the_nearest_percentile_and_never_one_before_the_first() {
    let aimd = [("initial", 100.0), ("timeout_ns", 15e6)];
    for (percentile, expected) in [(0.01, 101), (0.5, 101), (0.84, 90), (0.99, 90)] {
        let window = [&WINDOW[..], &[("percentile", percentile)]].concat();
        let mut limit = windowed("aimd", &aimd, &window);
        tell(&mut *limit, 0, MS, 1, false);
        tell(&mut *limit, 0, 20 * MS, 60, false);
        tell(&mut *limit, 0, 10 * MS, 60, false);
        tell(&mut *limit, 100 * MS, 5 * MS, 60, false);
        assert_eq!(limit.limit(), expected, "{percentile}: of 5, 10 and 20 ms");
    }
}

#[test]
fn a_window_of_a_percentile_ignores_all_of_what_it_has_no_room_for() {
    let window = [
        &WINDOW[..],
        &[("percentile", 0.5), ("percentile_samples", 3.0)],
    ]
    .concat();
    let mut limit = windowed("aimd", &[("initial", 40.0)], &window);
    tell(&mut *limit, 0, MS, 1, false);
    for _ in 0..3 {
        tell(&mut *limit, 0, MS, 10, false);
    }
    tell(&mut *limit, 200 * MS, MS, 40, true);
    assert_eq!(
        limit.limit(),
        40,
        "neither the drop nor the calls in flight"
    );
}

/// Start a call and end it.
fn call(limit: &mut dyn Limit, start_ms: u64, rtt_ms: u64, dropped: bool) -> u32 {
    limit.started(start_ms * MS);
    tell(limit, start_ms * MS, rtt_ms * MS, 1, dropped)
}

#[test]
fn arc_needs_a_measurement_before_it_grows() {
    let mut limit = made("arc", &[]);
    assert_eq!(limit.limit(), 1);
    assert_eq!(call(&mut *limit, 0, 100, false), 1);
    assert_eq!(call(&mut *limit, 200, 100, false), 2);
}

#[test]
fn arc_decreases_after_a_refusal() {
    let mut limit = made("arc", &[("initial", 2.0)]);
    call(&mut *limit, 0, 100, false);
    assert_eq!(call(&mut *limit, 500, 100, true), 1);
    let reason = limit.last_change().expect("it has changed").reason;
    assert_eq!(reason, "dropped");
}

#[test]
fn arc_decreases_by_its_ratio_and_never_to_zero() {
    let mut limit = made("arc", &[("initial", 4.0), ("decrease_ratio", 0.5)]);
    call(&mut *limit, 0, 100, false);
    limit.started(200 * MS);
    limit.ignored(250 * MS);
    assert_eq!(
        limit.limit(),
        2,
        "without deviation the usual latency deviates"
    );
    assert_eq!(call(&mut *limit, 250, 100, true), 1);
    let mut limit = made("arc", &[("initial", 9.0), ("decrease_ratio", 0.0)]);
    call(&mut *limit, 0, 100, false);
    assert_eq!(call(&mut *limit, 200, 100, true), 1);
}

#[test]
fn arc_acts_on_nothing_before_the_first_success() {
    let mut limit = made("arc", &[("initial", 8.0)]);
    for ordinal in 0..50 {
        assert_eq!(call(&mut *limit, ordinal * 100, 50, true), 8);
    }
    assert_eq!(
        call(&mut *limit, 6000, 50, false),
        8,
        "it is the first measurement"
    );
    assert_eq!(
        call(&mut *limit, 7000, 50, false),
        7,
        "and the errors before count"
    );
}

#[test]
fn arc_grows_only_if_a_start_reached_its_limit() {
    let mut limit = made("arc", &[("initial", 2.0)]);
    call(&mut *limit, 0, 100, false);
    limit.started(100 * MS);
    limit.started(100 * MS);
    assert_eq!(tell(&mut *limit, 100 * MS, 100 * MS, 2, false), 3);
    let idle = tell(&mut *limit, 100 * MS, 200 * MS, 2, false);
    assert_eq!(idle, 2, "nothing started since: 200 ms deviate");
}

#[test]
fn arc_rounds_its_variance_once() {
    let mut limit = made("arc", &[("initial", 50.0)]);
    for (start_ms, rtt_ms) in [(0, 100), (1000, 132), (2000, 190), (3000, 400)] {
        call(&mut *limit, start_ms, rtt_ms, false);
    }
    let (name, threshold) = limit.last_change().expect("it has changed").statistics()[2];
    assert_eq!(name, "threshold_s");
    // By fractions; the product rounded by itself ends in 25.
    assert_eq!(threshold.to_bits(), 0.103_507_680_874_416_27_f64.to_bits());
}
