//! The state machine.

mod reading;

use super::call::{Call, Outcome, Permit, Recorded, Refusal};
use super::event::{Event, EventKind, Reason};
use super::leases::Leases;
use super::settings::{AfterHalfOpen, RetryAfter, Settings, SettingsError};
use super::state::{IllegalTransition, State};
use super::stats::Totals;
use super::tally::Tally;
use super::wait::Backoff;
use super::window::Window;
use crate::random::draw;

/// Calls on which the rates are based.
#[derive(Clone, Copy, Debug)]
enum Rated {
    Window,
    Trials,
}

/// A circuit breaker; `factflow_core::breaker` describes its rules.
///
/// ```
/// use factflow_core::breaker::{Call, Machine, Outcome, Settings, Sliding, State};
///
/// let settings = Settings { window: Sliding::Calls(2), minimum_calls: 2, ..Settings::default() };
/// let mut breaker = Machine::new(settings, 7, 0)?;
/// for now_ns in [1_000, 2_000] {
///     let (permit, _) = breaker.try_acquire(now_ns);
///     let outcome = Outcome::Failure { retry_after_ns: None };
///     let permit = permit.expect("a closed breaker permits every call");
///     breaker.record(permit, now_ns + 10, Call { duration_ns: 10, outcome });
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let (refused, _) = breaker.try_acquire(3_000);
/// assert!(refused.unwrap_err().retry_after_ns.is_some());
/// # Ok::<(), factflow_core::breaker::SettingsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    seed: u64,
    state: State,
    /// Number of states entered so far, re-entries included.
    generation: u64,
    /// Latest time that a caller gave; never decreases.
    now_ns: u64,
    since_ns: u64,
    /// Results of closed and metrics only. Open keeps them; empty in disabled and forced open.
    window: Window,
    /// Results of half open. Open keeps them if it came from there.
    trials: Tally,
    source: Rated,
    /// Refusals since `source` began to be counted.
    rejected: u64,
    backoff: Backoff,
    /// Number of waits that were drawn.
    draws: u64,
    /// End of the wait in the open state; meaningless elsewhere.
    open_until_ns: u64,
    /// End of the pause that failures counted in this state asked for.
    asked_until_ns: u64,
    /// Latest end of the half-open state; None elsewhere.
    half_open_until_ns: Option<u64>,
    /// Unfinished trial calls; together with `trials.calls` never more than the settings permit. Empty elsewhere.
    leases: Leases,
    /// True for each rate that metrics only has reported since it was entered: failure rate, slow call rate.
    reported: [bool; 2],
    totals: Totals,
    reports_calls: bool,
}

impl Machine {
    /// Return a closed breaker. `seed` decides the jitter of its waits.
    pub fn new(settings: Settings, seed: u64, now_ns: u64) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            settings,
            seed,
            state: State::Closed,
            generation: 1,
            now_ns,
            since_ns: now_ns,
            window: Window::new(settings.window),
            trials: Tally::default(),
            source: Rated::Window,
            rejected: 0,
            backoff: Backoff::new(),
            draws: 0,
            open_until_ns: 0,
            asked_until_ns: 0,
            half_open_until_ns: None,
            leases: Leases::new(),
            reported: [false; 2],
            totals: Totals::default(),
            reports_calls: false,
        })
    }

    /// Report each call from now on: its end, or its refusal. Disabled and forced open report none.
    pub fn report_calls(&mut self) {
        self.reports_calls = true;
    }

    /// Acquire a permit. Open becomes half open here once its wait is over, and this call is the first trial.
    pub fn try_acquire(&mut self, now_ns: u64) -> (Result<Permit, Refusal>, Vec<Event>) {
        let mut events = self.advance(now_ns);
        if self.state == State::Open && self.now_ns > self.open_until_ns {
            self.transition(State::HalfOpen, Reason::WaitElapsed, &mut events);
        }
        let lease = match self.state {
            State::Closed | State::Disabled | State::MetricsOnly => None,
            State::HalfOpen if self.trial_places() > 0 => Some(
                self.leases
                    .add(self.now_ns.saturating_add(self.settings.lease_ns)),
            ),
            State::HalfOpen | State::Open | State::ForcedOpen => {
                self.rejected += 1;
                self.totals.rejected += 1;
                let refusal = Refusal {
                    state: self.state,
                    retry_after_ns: self.retry_after(self.now_ns),
                };
                self.report(EventKind::NotPermitted, &mut events);
                return (Err(refusal), events);
            }
        };
        self.totals.permitted += 1;
        self.totals.in_flight += 1;
        (
            Ok(Permit {
                generation: self.generation,
                lease,
            }),
            events,
        )
    }

    /// Record how a permitted call ended.
    pub fn record(&mut self, permit: Permit, now_ns: u64, call: Call) -> (Recorded, Vec<Event>) {
        let mut events = self.advance(now_ns);
        let is_current = self.take_back(permit);
        let (failed, retry_after_ns) = match call.outcome {
            Outcome::Ignored => {
                self.totals.ignored += 1;
                self.report(EventKind::Ignored(call.duration_ns), &mut events);
                return (Recorded::Ignored, events);
            }
            Outcome::Success => (false, None),
            Outcome::Failure { retry_after_ns } => (true, retry_after_ns),
        };
        if is_current && self.state == State::Disabled {
            self.totals.unrecorded += 1;
            return (Recorded::Unrecorded, events);
        }
        let slow = call.duration_ns > self.settings.slow_call_duration_ns;
        self.totals.succeeded += u64::from(!failed);
        self.totals.failed += u64::from(failed);
        self.totals.slow += u64::from(slow);
        let kind = if failed {
            EventKind::Failed(call.duration_ns)
        } else {
            EventKind::Succeeded(call.duration_ns)
        };
        if !is_current {
            self.totals.stale += 1;
            self.report(kind, &mut events);
            return (Recorded::Stale, events);
        }
        let asked_ns = retry_after_ns
            .filter(|_| self.settings.retry_after != RetryAfter::Ignore)
            .map(|asked| asked.min(self.settings.max_retry_after_ns));
        if let Some(asked) = asked_ns {
            self.asked_until_ns = self.asked_until_ns.max(self.now_ns.saturating_add(asked));
        }
        let open_for_ns =
            asked_ns.filter(|&asked| asked > 0 && self.settings.retry_after == RetryAfter::Open);
        match self.state {
            State::HalfOpen => {
                self.trials.add(failed, slow);
                self.report(kind, &mut events);
                self.decide(open_for_ns, &mut events);
            }
            State::Closed | State::MetricsOnly => {
                let tally = self.window.record(self.now_ns, failed, slow);
                self.report(kind, &mut events);
                self.judge(tally, open_for_ns, &mut events);
            }
            // No permit of these states' own generation reaches this place.
            State::Open | State::ForcedOpen | State::Disabled => {}
        }
        (Recorded::Counted, events)
    }

    /// Give a permit back without a result: nothing is recorded, and the place of a trial call is free again.
    pub fn release(&mut self, permit: Permit) {
        self.take_back(permit);
        self.totals.released += 1;
    }

    /// Act on every deadline up to that time: of leases, of half open, and of the wait in open if the settings say
    /// so. Every other call with a time does this first, so it is needed only where there is no such call.
    pub fn advance(&mut self, now_ns: u64) -> Vec<Event> {
        self.now_ns = self.now_ns.max(now_ns);
        let mut events = Vec::new();
        match self.state {
            State::Open
                if self.settings.automatic_half_open && self.now_ns >= self.open_until_ns =>
            {
                self.transition(State::HalfOpen, Reason::WaitElapsed, &mut events);
            }
            State::HalfOpen => {
                if self
                    .half_open_until_ns
                    .is_some_and(|until| self.now_ns >= until)
                {
                    let to = match self.settings.after_half_open {
                        AfterHalfOpen::Open => State::Open,
                        AfterHalfOpen::Closed => State::Closed,
                    };
                    self.transition(to, Reason::HalfOpenTimeout, &mut events);
                } else {
                    let expired = self.leases.expire(self.now_ns);
                    if expired > 0 {
                        self.totals.leases_expired += u64::from(expired);
                        events.push(self.event(EventKind::LeasesExpired(expired)));
                    }
                }
            }
            _ => {}
        }
        events
    }

    /// Move the breaker by hand. The state is entered anew even if it is the same; that reports no event.
    ///
    /// Pending deadlines are not handled first: the move drops them.
    pub fn transition_to(
        &mut self,
        to: State,
        now_ns: u64,
    ) -> Result<Vec<Event>, IllegalTransition> {
        self.check_move(to)?;
        self.now_ns = self.now_ns.max(now_ns);
        let mut events = Vec::new();
        self.transition(to, Reason::Manual, &mut events);
        Ok(events)
    }

    /// Open the breaker by hand for that long; the wait counts as no attempt and is neither capped nor jittered.
    pub fn transition_to_open_for(
        &mut self,
        wait_ns: u64,
        now_ns: u64,
    ) -> Result<Vec<Event>, IllegalTransition> {
        self.check_move(State::Open)?;
        self.now_ns = self.now_ns.max(now_ns);
        let mut events = Vec::new();
        self.open(wait_ns, Reason::Manual, &mut events);
        Ok(events)
    }

    /// Reset the breaker to closed, whatever its state; the lifetime counters stay.
    pub fn reset(&mut self, now_ns: u64) -> Vec<Event> {
        self.now_ns = self.now_ns.max(now_ns);
        let mut events = Vec::new();
        self.transition(State::Closed, Reason::Reset, &mut events);
        events.push(self.event(EventKind::Reset));
        events
    }

    /// Report a call, if calls are reported here.
    fn report(&self, kind: EventKind, events: &mut Vec<Event>) {
        if self.reports_calls && !matches!(self.state, State::Disabled | State::ForcedOpen) {
            events.push(self.event(kind));
        }
    }

    /// Release the place that a permit holds; return true if its result counts.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is used up, once")]
    fn take_back(&mut self, permit: Permit) -> bool {
        self.totals.in_flight = self.totals.in_flight.saturating_sub(1);
        permit.generation == self.generation
            && permit.lease.is_none_or(|lease| self.leases.remove(lease))
    }

    /// Decide, after each result in half open, whether the trial calls are complete, and which state follows.
    fn decide(&mut self, open_for_ns: Option<u64>, events: &mut Vec<Event>) {
        let (tally, minimum) = (self.trials, self.settings.trial_minimum());
        if self.settings.is_failing(tally.failure_rate(minimum)) {
            self.transition(State::Open, Reason::FailureRate, events);
        } else if self.settings.is_slow(tally.slow_call_rate(minimum)) {
            self.transition(State::Open, Reason::SlowCallRate, events);
        } else if let Some(wait_ns) = open_for_ns {
            self.open(wait_ns, Reason::RetryAfter, events);
        } else if tally.calls >= minimum {
            self.transition(State::Closed, Reason::TrialsPassed, events);
        }
    }

    /// Compare the rates with their thresholds, after every result of closed and metrics only.
    fn judge(&mut self, tally: Tally, open_for_ns: Option<u64>, events: &mut Vec<Event>) {
        let minimum = self.settings.minimum();
        let failing = self.settings.is_failing(tally.failure_rate(minimum));
        let slow = self.settings.is_slow(tally.slow_call_rate(minimum));
        if failing && !self.reported[0] {
            events.push(self.event(EventKind::FailureRateExceeded));
        }
        if slow && !self.reported[1] {
            events.push(self.event(EventKind::SlowCallRateExceeded));
        }
        if self.state == State::MetricsOnly {
            self.reported = [self.reported[0] || failing, self.reported[1] || slow];
        } else if failing {
            self.transition(State::Open, Reason::FailureRate, events);
        } else if slow {
            self.transition(State::Open, Reason::SlowCallRate, events);
        } else if let Some(wait_ns) = open_for_ns {
            self.open(wait_ns, Reason::RetryAfter, events);
        }
    }

    fn transition(&mut self, to: State, reason: Reason, events: &mut Vec<Event>) {
        if to == State::Open {
            self.backoff.increase(&self.settings);
            let wait = self
                .backoff
                .wait_ns(self.settings.wait_jitter, draw(self.seed, self.draws));
            self.draws += 1;
            let asked = self.asked_until_ns.saturating_sub(self.now_ns);
            self.open(wait.max(asked), reason, events);
        } else {
            self.change(to, reason, None, events);
        }
    }

    fn open(&mut self, wait_ns: u64, reason: Reason, events: &mut Vec<Event>) {
        self.open_until_ns = self.now_ns.saturating_add(wait_ns);
        self.change(State::Open, reason, Some(wait_ns), events);
    }

    /// Enter a state, and report it if it is another one. All that belongs to one state begins or ends here.
    fn change(&mut self, to: State, reason: Reason, wait_ns: Option<u64>, events: &mut Vec<Event>) {
        let from = self.state;
        let (_, failure_rate, slow_call_rate) = self.rates(self.now_ns);
        self.state = to;
        self.generation += 1;
        self.since_ns = self.now_ns;
        self.leases.clear();
        self.asked_until_ns = 0;
        self.half_open_until_ns = None;
        self.reported = [false; 2];
        match to {
            State::Open => {}
            State::HalfOpen => {
                self.trials = Tally::default();
                self.source = Rated::Trials;
                self.rejected = 0;
                self.half_open_until_ns = self
                    .settings
                    .max_half_open_ns
                    .map(|longest| self.now_ns.saturating_add(longest));
            }
            State::Closed | State::ForcedOpen | State::Disabled | State::MetricsOnly => {
                self.window.clear();
                self.source = Rated::Window;
                self.rejected = 0;
                if to == State::ForcedOpen {
                    self.backoff.increase(&self.settings);
                } else {
                    self.backoff = Backoff::new();
                }
            }
        }
        if from != to {
            events.push(Event {
                time_ns: self.now_ns,
                kind: EventKind::Transition {
                    from,
                    to,
                    reason,
                    wait_ns,
                },
                failure_rate,
                slow_call_rate,
                generation: self.generation,
            });
        }
    }

    fn check_move(&self, to: State) -> Result<(), IllegalTransition> {
        if self.state.may_move_to(to) {
            Ok(())
        } else {
            Err(IllegalTransition::new(self.state, to))
        }
    }
}
