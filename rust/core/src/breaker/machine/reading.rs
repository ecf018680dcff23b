//! Readings of the machine, none of which changes it.

use super::super::event::{Event, EventKind};
use super::super::state::State;
use super::super::stats::Stats;
use super::super::tally::Tally;
use super::{Machine, Rated};

impl Machine {
    /// Return its state at the latest time that it was given.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Return all readings at that time, or at the latest time given if that is later; change nothing.
    #[must_use]
    pub fn stats(&self, now_ns: Option<u64>) -> Stats {
        let now_ns = now_ns.map_or(self.now_ns, |now| now.max(self.now_ns));
        let (window, failure_rate, slow_call_rate) = self.rates(now_ns);
        Stats {
            state: self.state,
            since_ns: self.since_ns,
            generation: self.generation,
            window,
            failure_rate,
            slow_call_rate,
            rejected: self.rejected,
            attempt: self.backoff.attempt(),
            trial_places: self.trial_places(),
            retry_after_ns: self.retry_after(now_ns),
            totals: self.totals,
        }
    }

    /// Return the time at which `advance` or a new call may next act; None if time alone changes nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        match self.state {
            // Without a timer a call must come after the end of the wait, not at it.
            State::Open if self.settings.automatic_half_open => Some(self.open_until_ns),
            State::Open => Some(self.open_until_ns.saturating_add(1)),
            State::HalfOpen => [self.half_open_until_ns, self.leases.next_deadline()]
                .into_iter()
                .flatten()
                .min(),
            _ => None,
        }
    }

    pub(super) fn rates(&self, now_ns: u64) -> (Tally, Option<f32>, Option<f32>) {
        let (tally, minimum) = match self.source {
            Rated::Window => (self.window.tally(now_ns), self.settings.minimum()),
            Rated::Trials => (self.trials, self.settings.trial_minimum()),
        };
        (
            tally,
            tally.failure_rate(minimum),
            tally.slow_call_rate(minimum),
        )
    }

    pub(super) fn event(&self, kind: EventKind) -> Event {
        let (_, failure_rate, slow_call_rate) = self.rates(self.now_ns);
        Event {
            time_ns: self.now_ns,
            kind,
            failure_rate,
            slow_call_rate,
            generation: self.generation,
        }
    }

    pub(super) fn trial_places(&self) -> u32 {
        if self.state != State::HalfOpen {
            return 0;
        }
        let taken = self.trials.calls + u64::from(self.leases.len());
        u32::try_from(u64::from(self.settings.trial_calls).saturating_sub(taken)).unwrap_or(0)
    }

    pub(super) fn retry_after(&self, now_ns: u64) -> Option<u64> {
        match self.state {
            State::Closed | State::Disabled | State::MetricsOnly => Some(0),
            State::ForcedOpen => None,
            State::HalfOpen if self.trial_places() > 0 => Some(0),
            // Trial calls usually decide long before their leases end.
            State::HalfOpen => Some(
                self.next_deadline()
                    .map_or(u64::MAX, |deadline| deadline.saturating_sub(now_ns))
                    .min(self.settings.wait_ns),
            ),
            State::Open => Some(self.next_deadline().unwrap_or(0).saturating_sub(now_ns)),
        }
    }
}
