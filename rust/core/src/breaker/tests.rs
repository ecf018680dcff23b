//! Contracts of the machine, the defects that it must not have, and properties of random histories.

mod bounds;
mod defects;
mod half_open;
mod properties;
mod rates;
mod states;
mod waits;

use super::{
    Call, Event, EventKind, Machine, Outcome, Permit, Reason, Recorded, Settings, Sliding, State,
    Stats,
};

pub(super) const SECOND: u64 = 1_000_000_000;

/// A breaker and a clock, for tests that read like histories.
pub(super) struct Bench {
    pub breaker: Machine,
    pub now: u64,
    pub events: Vec<Event>,
}

/// Four calls of which half must fail; waits without jitter; two trial calls.
pub(super) fn small() -> Settings {
    Settings {
        window: Sliding::Calls(4),
        minimum_calls: 2,
        wait_jitter: 0.0,
        trial_calls: 2,
        slow_call_duration_ns: SECOND,
        lease_ns: 30 * SECOND,
        ..Settings::default()
    }
}

impl Bench {
    pub fn new(settings: Settings) -> Self {
        Self {
            breaker: Machine::new(settings, 7, 0).expect("settings are valid"),
            now: 0,
            events: Vec::new(),
        }
    }

    pub fn pass(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
    }

    pub fn acquire(&mut self) -> Option<Permit> {
        let (answer, events) = self.breaker.try_acquire(self.now);
        self.events.extend(events);
        answer.ok()
    }

    pub fn permit(&mut self) -> Permit {
        self.acquire().expect("a call is permitted")
    }

    pub fn end(&mut self, permit: Permit, outcome: Outcome, duration_ns: u64) -> Recorded {
        let (recorded, events) = self.breaker.record(
            permit,
            self.now,
            Call {
                duration_ns,
                outcome,
            },
        );
        self.events.extend(events);
        recorded
    }

    pub fn succeed(&mut self) -> Recorded {
        let permit = self.permit();
        self.end(permit, Outcome::Success, 0)
    }

    pub fn fail(&mut self) -> Recorded {
        let permit = self.permit();
        self.end(
            permit,
            Outcome::Failure {
                retry_after_ns: None,
            },
            0,
        )
    }

    pub fn go(&mut self, to: State) {
        let events = self
            .breaker
            .transition_to(to, self.now)
            .expect("the move is legal");
        self.events.extend(events);
    }

    pub fn advance(&mut self) {
        let events = self.breaker.advance(self.now);
        self.events.extend(events);
    }

    /// Bring a closed breaker of `small` to half open.
    pub fn half_open(&mut self) {
        self.go(State::Open);
        self.go(State::HalfOpen);
    }

    pub fn transitions(&self) -> Vec<(State, State, Reason)> {
        self.events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Transition {
                    from, to, reason, ..
                } => Some((from, to, reason)),
                _ => None,
            })
            .collect()
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .map(|event| event.kind.as_str())
            .collect()
    }

    pub fn stats(&self) -> Stats {
        self.breaker.stats(Some(self.now))
    }

    pub fn state(&self) -> State {
        self.breaker.state()
    }
}
