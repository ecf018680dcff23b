//! Algorithms that gather samples themselves, beside servers that are easy to compute.

use super::{MS, attempted, made, tell};
use crate::limits::{Jitter, Limit};

const SECOND: u64 = 1000 * MS;
/// Time at which tests begin: later than the longest call takes.
const START: u64 = 10 * SECOND;

/// Keep the limit in use for so long; `latency_ns` tells what a call takes at a limit. Return the time after it.
fn saturate(
    limit: &mut dyn Limit,
    from_ns: u64,
    duration_ns: u64,
    dropped: bool,
    latency_ns: impl Fn(u64) -> u64,
) -> u64 {
    let mut end_ns = from_ns;
    while end_ns < from_ns + duration_ns {
        let in_flight = limit.limit();
        let rtt_ns = latency_ns(u64::from(in_flight));
        end_ns += (rtt_ns / u64::from(in_flight)).max(1);
        tell(limit, end_ns - rtt_ns, rtt_ns, in_flight, dropped);
    }
    end_ns
}

fn reason(limit: &dyn Limit) -> &'static str {
    limit.last_change().expect("it has changed").reason
}

/// Latency of calls of 20 ms that queue for so many workers.
fn queueing(workers: u64) -> impl Fn(u64) -> u64 {
    move |in_flight| 20 * MS * in_flight.max(workers) / workers
}

#[test]
fn plateau_stops_where_one_more_brings_too_little() {
    let mut limit = made("plateau", &[]);
    saturate(&mut *limit, START, 60 * SECOND, false, queueing(12));
    assert!((12..=13).contains(&limit.limit()), "{}", limit.limit());
    let mut limit = made("plateau", &[]);
    let now_ns = saturate(&mut *limit, START, 60 * SECOND, false, queueing(1));
    assert!(limit.limit() <= 2, "a link that is full with one call");
    let in_flight = limit.limit();
    tell(&mut *limit, now_ns, MS, in_flight, true);
    saturate(&mut *limit, now_ns, SECOND, false, queueing(1));
    assert_eq!(limit.limit(), 1, "a drop is one less");
}

#[test]
fn plateau_begins_below_a_limit_that_it_was_given() {
    let mut limit = made("plateau", &[("initial", 40.0)]);
    saturate(&mut *limit, START, 60 * SECOND, false, queueing(12));
    assert!((12..=13).contains(&limit.limit()), "{}", limit.limit());
    let mut limit = made("plateau", &[("initial", 12.0)]);
    let mut lowest = 12;
    let mut now_ns = START;
    for _ in 0..100 {
        now_ns = saturate(&mut *limit, now_ns, SECOND / 10, false, queueing(20));
        lowest = lowest.min(limit.limit());
    }
    assert_eq!(lowest, 11, "one step down shows that the twelfth pays");
    assert!(limit.limit() > 12);
}

#[test]
fn plateau_goes_up_when_a_pause_shows_that_latency_is_waited_for() {
    let mut limit = made("plateau", &[]);
    tell(&mut *limit, 0, SECOND, 1, false);
    tell(&mut *limit, SECOND, 4 * SECOND, 1, false);
    assert_eq!((limit.limit(), reason(&*limit)), (2, "stalled"));
    tell(&mut *limit, 9 * SECOND, SECOND, 2, false);
    assert_eq!(limit.limit(), 2, "nothing ran in the meantime");
}

#[test]
fn brpc_keeps_the_product_of_peak_and_latency_with_room_to_explore() {
    let mut limit = made("brpc", &[("min", 1.0)]);
    saturate(&mut *limit, START, 20 * SECOND, false, queueing(100));
    assert!((104..=130).contains(&limit.limit()), "{}", limit.limit());
}

#[test]
fn brpc_does_not_fall_below_its_minimum_where_calls_take_microseconds() {
    let mut limit = made("brpc", &[]);
    for ordinal in 0..3000 {
        tell(&mut *limit, ordinal * MS, 25_000, 1, false);
    }
    assert_eq!(
        limit.limit(),
        40,
        "1000 a second of 25 us are less than one call at a time"
    );
    let mut limit = made("brpc", &[("min", 1.0)]);
    for ordinal in 0..3000 {
        tell(&mut *limit, ordinal * MS, 25_000, 1, false);
    }
    assert_eq!(limit.limit(), 1);
}

#[test]
fn brpc_halves_when_all_of_a_window_failed_and_comes_back() {
    let mut limit = made("brpc", &[("min", 1.0)]);
    let now_ns = saturate(&mut *limit, START, SECOND, true, |_| 20 * MS);
    assert_eq!(reason(&*limit), "all failed");
    let now_ns = saturate(&mut *limit, now_ns, 1000 * SECOND, true, |_| SECOND);
    assert_eq!(limit.limit(), 1);
    let mut end_ns = now_ns;
    for _ in 0..5 {
        end_ns = saturate(&mut *limit, end_ns, 20 * SECOND, false, queueing(100));
    }
    assert!(
        limit.limit() >= 90,
        "windows that the limit keeps short of calls are waited for: {}",
        limit.limit()
    );
}

#[test]
fn brpc_measures_the_latency_without_load_at_the_injected_time() {
    let mut limit = attempted("brpc", &[("min", 1.0)], Some(Jitter::Cycle(vec![0.2], 0)))
        .expect("parameters are valid");
    let now_ns = saturate(&mut *limit, START, 29 * SECOND, false, queueing(100));
    assert_ne!(reason(&*limit), "remeasure");
    let mut end_ns = now_ns;
    while reason(&*limit) != "remeasure" {
        end_ns = saturate(&mut *limit, end_ns, MS, false, queueing(100));
    }
    assert!(
        (40 * SECOND..41 * SECOND).contains(&end_ns),
        "25 s and 0.2 of as much, {end_ns}"
    );
    let change = limit.last_change().expect("it has changed");
    assert!(f64::from(change.to) <= 0.9 * f64::from(change.from));
    let baseline = limit.snapshot().baseline_ns;
    saturate(&mut *limit, end_ns, 3 * SECOND, false, |_| 60 * MS);
    assert!(baseline.is_some_and(|ns| ns < 30 * MS));
    assert_eq!(
        limit.snapshot().baseline_ns,
        Some(60 * MS),
        "a slower service is seen"
    );
}

#[test]
fn bbr_is_the_product_of_the_best_and_one_more() {
    let mut limit = made("bbr", &[]);
    saturate(&mut *limit, START, SECOND, false, queueing(10));
    let before = limit.limit();
    assert!((11..=22).contains(&before), "{before}");
    let mut limit = made("bbr", &[("initial", 5.0)]);
    saturate(&mut *limit, START, 5 * SECOND, false, queueing(50));
    assert!((50..=53).contains(&limit.limit()), "{}", limit.limit());
}

#[test]
fn bbr_may_limit_only_after_drops() {
    let mut limit = made("bbr", &[("overload_ns", 1e9), ("initial", 5.0)]);
    let now_ns = saturate(&mut *limit, START, SECOND, false, queueing(10));
    assert_eq!((limit.limit(), reason(&*limit)), (200, "no drops"));
    tell(&mut *limit, now_ns, MS, 200, true);
    assert!(limit.limit() < 200, "{}", limit.limit());
    saturate(&mut *limit, now_ns, 2 * SECOND, false, queueing(10));
    assert_eq!(limit.limit(), 200);
}
