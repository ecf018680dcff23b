//! Properties of every history, however odd its times.

use proptest::prelude::*;

use super::super::{AfterHalfOpen, RetryAfter};
use super::*;

#[derive(Clone, Debug)]
enum Act {
    Acquire,
    /// The permit, its outcome, and its duration.
    Record(prop::sample::Index, Outcome, u64),
    Release(prop::sample::Index),
    Advance,
    Go(State),
    OpenFor(u64),
    Reset,
    /// To this time, which may be earlier.
    Time(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        3 => prop::option::of(any::<u64>()).prop_map(|retry_after_ns| Outcome::Failure { retry_after_ns }),
        1 => Just(Outcome::Ignored),
    ];
    prop_oneof![
        8 => Just(Act::Acquire),
        8 => (any::<prop::sample::Index>(), outcome, 0_u64..4).prop_map(|(which, outcome, duration)| {
            Act::Record(which, outcome, duration * SECOND / 2 + 1)
        }),
        1 => any::<prop::sample::Index>().prop_map(Act::Release),
        1 => Just(Act::Advance),
        1 => prop::sample::select(&State::ALL[..]).prop_map(Act::Go),
        1 => any::<u64>().prop_map(Act::OpenFor),
        1 => Just(Act::Reset),
        1 => any::<u64>().prop_map(Act::Time),
        6 => (0..20 * SECOND).prop_map(Act::Pass),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let sizes = (any::<bool>(), 1_u32..8, 1_u32..8, 1_u32..5, 1_u32..4);
    let times = (
        0_u32..=100,
        any::<bool>(),
        prop::option::of(1..40 * SECOND),
        1..40 * SECOND,
    );
    let policies = (
        any::<bool>(),
        prop::sample::select(&[RetryAfter::Extend, RetryAfter::Open, RetryAfter::Ignore][..]),
    );
    (sizes, times, policies).prop_map(
        |((by_time, size, minimum_calls, trial_calls, rate), times, policies)| {
            let (jitter, automatic_half_open, max_half_open_ns, lease_ns) = times;
            Settings {
                failure_rate_threshold: f64::from(rate) * 30.0,
                slow_call_duration_ns: SECOND,
                window: if by_time {
                    Sliding::Seconds(size)
                } else {
                    Sliding::Calls(size)
                },
                minimum_calls,
                trial_calls,
                wait_jitter: f64::from(jitter) / 100.0,
                automatic_half_open,
                max_half_open_ns,
                after_half_open: if policies.0 {
                    AfterHalfOpen::Open
                } else {
                    AfterHalfOpen::Closed
                },
                lease_ns,
                retry_after: policies.1,
                ..Settings::default()
            }
        },
    )
}

fn is_full(window: Sliding, calls: u64) -> bool {
    matches!(window, Sliding::Calls(size) if u64::from(size) == calls)
}

proptest! {
    #[test]
    fn permits_are_conserved_and_states_follow_their_rules(
        settings in settings(),
        seed: u64,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut bench = Bench::new(settings);
        bench.breaker = Machine::new(settings, seed, 0).expect("valid");
        let mut permits = Vec::new();
        let mut last_event = 0;
        for step in steps {
            let before = bench.breaker.stats(None);
            let refused = matches!(step, Act::Acquire);
            match step {
                Act::Acquire => match bench.acquire() {
                    Some(permit) => permits.push(permit),
                    None => prop_assert!(refused && bench.breaker.stats(None).rejected > 0),
                },
                Act::Record(which, outcome, duration) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which.index(permits.len()));
                    bench.end(permit, outcome, duration);
                }
                Act::Release(which) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which.index(permits.len()));
                    bench.breaker.release(permit);
                }
                Act::Record(..) | Act::Release(_) | Act::Advance => bench.advance(),
                Act::Go(to) => {
                    let legal = before.state.may_move_to(to);
                    let moved = bench.breaker.transition_to(to, bench.now);
                    prop_assert_eq!(moved.is_ok(), legal);
                    bench.events.extend(moved.unwrap_or_default());
                }
                Act::OpenFor(wait) => {
                    bench.events.extend(bench.breaker.transition_to_open_for(wait, bench.now).unwrap_or_default());
                }
                Act::Reset => {
                    let events = bench.breaker.reset(bench.now);
                    bench.events.extend(events);
                }
                Act::Time(time) => bench.now = time,
                Act::Pass(time) => bench.now = bench.now.saturating_add(time),
            }
            let after = bench.breaker.stats(None);
            let totals = after.totals;
            prop_assert_eq!(totals.in_flight, permits.len() as u64);
            let ended = totals.succeeded + totals.failed + totals.ignored + totals.released + totals.unrecorded;
            prop_assert_eq!(totals.permitted, ended + totals.in_flight);
            prop_assert!(after.generation >= before.generation);
            prop_assert!(after.generation > before.generation || after.state == before.state);
            prop_assert!(after.window.failed <= after.window.calls && after.window.slow <= after.window.calls);
            prop_assert!(after.trial_places <= settings.trial_calls);
            for rate in [after.failure_rate, after.slow_call_rate].into_iter().flatten() {
                prop_assert!((0.0..=100.0).contains(&rate));
            }
            // A closed breaker is below its thresholds: it would have tripped.
            if after.state == State::Closed && is_full(settings.window, after.window.calls) {
                prop_assert!(after.failure_rate.is_none_or(|rate| f64::from(rate) < settings.failure_rate_threshold));
            }
            // Nobody is told to wait for what will not happen.
            if after.state != State::ForcedOpen {
                prop_assert!(after.retry_after_ns.is_some());
            }
            let mut state = before.state;
            for event in bench.events.drain(..) {
                prop_assert!(event.time_ns >= last_event);
                last_event = event.time_ns;
                if let EventKind::Transition { from, to, wait_ns, .. } = event.kind {
                    prop_assert_eq!(from, state);
                    prop_assert!(from != to);
                    prop_assert_eq!(wait_ns.is_some(), to == State::Open);
                    state = to;
                }
            }
            prop_assert_eq!(state, after.state);
        }
    }

    /// No history wedges it: given time and successes, it closes.
    #[test]
    fn it_recovers_from_whatever_happened(
        settings in settings(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut bench = Bench::new(Settings { max_half_open_ns: None, slow_call_rate_threshold: 100.0, ..settings });
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Act::Acquire => kept.extend(bench.acquire()),
                Act::Record(which, outcome, duration) if !kept.is_empty() => {
                    let permit = kept.swap_remove(which.index(kept.len()));
                    bench.end(permit, outcome, duration);
                }
                Act::Go(to @ (State::Open | State::Closed)) => {
                    bench.events.extend(bench.breaker.transition_to(to, bench.now).unwrap_or_default());
                }
                Act::Pass(time) => bench.now += time,
                _ => {}
            }
        }
        // All that is still out is lost.
        for _ in 0..100 {
            bench.pass(3600 * SECOND);
            if let Some(permit) = bench.acquire() {
                bench.end(permit, Outcome::Success, 0);
            }
        }
        prop_assert_eq!(bench.state(), State::Closed);
    }
}
