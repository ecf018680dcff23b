//! `run`: the loop of events.
//!
//! Kept separate from `calls`, which holds what the events are about, and from `arrivals`, which says when calls want to be made.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::arrivals::{fibonacci, next_arrival_ns};
use super::calls::{CallState, Calls, Kind, Route};
use super::levels::TimedLevels;
use super::measure::Measured;
use super::scenario::{Load, SECOND, Scenario};
use super::series::Series;
use super::server::{Completion, Server};
use crate::limits::{Limit, Sample};

/// Source of the limits.
pub enum Controlled<'a> {
    /// The scenario's oracle, which knows the server.
    Oracle,
    /// An algorithm for each route, made when the route joins.
    By(&'a mut dyn FnMut() -> Box<dyn Limit>),
}

/// Events between two looks at whether to stop: a power of two.
const EVENTS_BETWEEN_LOOKS: u32 = 256;

struct Run<'a> {
    scenario: &'a Scenario,
    seed: u64,
    server: Server<'a>,
    events: BinaryHeap<Reverse<(u64, Kind, u64, usize)>>,
    sequence: u64,
    calls: Calls,
    routes: Vec<Route>,
    measured: Measured,
    series: Option<Series>,
    levels: Option<TimedLevels>,
    completions: Vec<Completion>,
    /// Time for which the server's next change was asked for last.
    next_change_ns: Option<u64>,
    in_flight: u64,
    /// True if the limits are the oracle's, which has no state.
    by_oracle: bool,
}

/// Simulate a scenario, and return what was counted.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64, by: Controlled<'_>) -> Measured {
    let mut run = Run::new(scenario, seed, None);
    run.go(by, &mut || false);
    run.measured
}

/// Simulate a scenario unless it is stopped, and return what was counted, and what can be drawn of it in so many bins.
///
/// `stops` is asked every few events; once it says so, there is no result.
#[must_use]
pub fn run_unless(
    stops: &mut dyn FnMut() -> bool,
    scenario: &Scenario,
    seed: u64,
    by: Controlled<'_>,
    bins: Option<usize>,
) -> Option<(Measured, Option<Series>)> {
    let series = bins.map(|bins| Series::new(scenario.duration_ns, scenario.target_ns, bins));
    let mut run = Run::new(scenario, seed, series);
    run.go(by, stops).then_some((run.measured, run.series))
}

/// Simulate a scenario, and return what was counted, and how long each level of it lasted.
#[must_use]
pub fn run_levels(scenario: &Scenario, seed: u64, by: Controlled<'_>) -> (Measured, TimedLevels) {
    let mut run = Run::new(scenario, seed, None);
    run.levels = Some(TimedLevels::default());
    run.go(by, &mut || false);
    (run.measured, run.levels.unwrap_or_default())
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, seed: u64, series: Option<Series>) -> Self {
        let routes = (0..scenario.joins.len()).map(|route| Route {
            joins_ns: scenario.joins[route],
            leaves_ns: scenario.leaves_at(route),
            limit: None,
            known: None,
            in_flight: 0,
            waiting: match scenario.load {
                Load::Saturating | Load::Pausing { .. } => None,
                Load::PoissonUntil { .. } | Load::Retrying { .. } => Some(0),
                Load::Every {
                    interval_ns, calls, ..
                } => Some(if interval_ns == 0 { calls } else { 0 }),
            },
            arrivals: 0,
            again: VecDeque::new(),
        });
        let mut made = Self {
            scenario,
            seed,
            server: Server::new(&scenario.server, seed),
            events: BinaryHeap::new(),
            sequence: 0,
            calls: Calls::default(),
            routes: routes.collect(),
            measured: Measured::new(scenario),
            series,
            levels: None,
            completions: Vec::new(),
            next_change_ns: None,
            in_flight: 0,
            by_oracle: false,
        };
        for at_ns in made.server.changes(scenario.duration_ns) {
            made.at(at_ns, Kind::Change, 0);
        }
        let phases = scenario.oracle.iter().map(|phase| phase.from_ns);
        for at_ns in phases
            .chain(scenario.joins.iter().copied())
            .chain(scenario.leaves.iter().copied())
            .collect::<Vec<_>>()
        {
            made.at(at_ns, Kind::Phase, 0);
        }
        if let Load::Every { interval_ns, calls } = scenario.load
            && interval_ns > 0
        {
            for number in 0..calls {
                made.at(number * interval_ns, Kind::Arrival, 0);
            }
        }
        for route in 0..scenario.joins.len() {
            match scenario.load {
                Load::PoissonUntil { .. } | Load::Retrying { .. } => {
                    made.arrive_later(route, scenario.joins[route]);
                }
                Load::Pausing { from_ns, .. } => made.at(from_ns, Kind::Arrival, route),
                Load::Saturating | Load::Every { .. } => {}
            }
        }
        made
    }

    /// Go to the end; return false if it was stopped before.
    fn go(&mut self, mut by: Controlled<'_>, stops: &mut dyn FnMut() -> bool) -> bool {
        let mut events = 0_u32;
        self.by_oracle = matches!(by, Controlled::Oracle);
        while let Some(Reverse((now_ns, kind, _, number))) = self.events.pop() {
            if now_ns > self.scenario.duration_ns {
                break;
            }
            events = events.wrapping_add(1);
            if events & (EVENTS_BETWEEN_LOOKS - 1) == 0 && stops() {
                return false;
            }
            if kind.is_of_a_call() {
                self.calls[number].events -= 1;
            }
            match kind {
                Kind::Change => self.server.change(now_ns, &mut self.completions),
                Kind::Phase => {
                    if let Controlled::By(make) = &mut by {
                        self.join_and_leave(now_ns, *make);
                    }
                }
                Kind::Timeout if self.calls[number].is_over => continue,
                Kind::Timeout => self.end(number, now_ns, true, true),
                Kind::Completion => self.complete(number, now_ns),
                Kind::Arrival => self.demand(number, now_ns),
                Kind::Again => {
                    let call = &self.calls[number];
                    self.routes[call.route].again.push_back(call.attempts + 1);
                }
            }
            self.schedule();
            self.fill(now_ns);
            self.look(now_ns);
            self.calls.forget(self.server.epoch);
        }
        if let Some(series) = &mut self.series {
            series.set(self.scenario.duration_ns, 0, 0);
        }
        self.measured.end();
        !stops()
    }

    fn join_and_leave(&mut self, now_ns: u64, make: &mut dyn FnMut() -> Box<dyn Limit>) {
        for route in &mut self.routes {
            if route.leaves_ns <= now_ns {
                route.limit = None;
            }
            if route.joins_ns == now_ns && route.limit.is_none() {
                route.limit = Some(make());
            }
        }
    }

    /// Note what the limits are after an event.
    fn look(&mut self, now_ns: u64) {
        let mut all = 0;
        for number in 0..self.routes.len() {
            let limit = self.limit_of(number, now_ns);
            all += u64::from(limit);
            let route = &mut self.routes[number];
            if route.limit.is_some() && route.known != Some(limit) {
                self.measured.changes += u64::from(route.known.is_some());
                route.known = Some(limit);
            }
        }
        if let Some(series) = &mut self.series {
            series.set(now_ns, all, self.in_flight);
        }
        if let Some(levels) = &mut self.levels {
            levels.calls.set(now_ns, self.server.there());
            levels.limit.set(now_ns, all);
        }
    }

    fn at(&mut self, at_ns: u64, kind: Kind, number: usize) {
        if kind.is_of_a_call() {
            self.calls[number].events += 1;
        }
        self.sequence += 1;
        self.events
            .push(Reverse((at_ns, kind, self.sequence, number)));
    }

    fn schedule(&mut self) {
        while let Some(completion) = self.completions.pop() {
            let call = &mut self.calls[completion.call];
            call.succeeds = completion.succeeds;
            call.epoch = self.server.epoch;
            call.completes_ns = Some(completion.at_ns);
            self.at(completion.at_ns, Kind::Completion, completion.call);
        }
        let next_ns = self.server.next_change_ns();
        if next_ns != self.next_change_ns {
            self.next_change_ns = next_ns;
            if let Some(next_ns) = next_ns {
                self.at(next_ns, Kind::Change, 0);
            }
        }
    }

    /// Limit of a route now; 0 before it joins, and once it has left.
    fn limit_of(&self, route: usize, now_ns: u64) -> u32 {
        let route = &self.routes[route];
        match &route.limit {
            _ if route.joins_ns > now_ns || route.leaves_ns <= now_ns => 0,
            Some(limit) => limit.limit(),
            None if self.by_oracle => self.scenario.oracle_at(now_ns),
            None => 0, // joins later in this very nanosecond
        }
    }

    /// Start what the limits allow.
    fn fill(&mut self, now_ns: u64) {
        for number in 0..self.routes.len() {
            while self.routes[number].in_flight < self.limit_of(number, now_ns)
                && self.routes[number].has_calls()
            {
                self.start(number, now_ns);
            }
            if self.routes[number].joins_ns <= now_ns
                && self.routes[number].has_calls()
                && let Some(limit) = &mut self.routes[number].limit
            {
                limit.blocked(now_ns);
            }
        }
    }

    fn start(&mut self, number: usize, now_ns: u64) {
        let route = &mut self.routes[number];
        let again = route.again.pop_front();
        if again.is_none() {
            route.waiting = route.waiting.map(|waiting| waiting - 1);
        }
        route.in_flight += 1;
        if let Some(limit) = &mut route.limit {
            limit.started(now_ns);
        }
        let call = self.calls.add(CallState {
            route: number,
            start_ns: now_ns,
            in_flight: route.in_flight,
            epoch: self.server.epoch,
            succeeds: false,
            is_over: false,
            is_served: false,
            completes_ns: None,
            attempts: again.unwrap_or(0),
            events: 0,
        });
        self.in_flight += 1;
        self.measured.peak = self.measured.peak.max(self.in_flight);
        if let Some(timeout_ns) = self.scenario.timeout_ns {
            self.at(now_ns + timeout_ns, Kind::Timeout, call);
        }
        self.server.arrive(call, now_ns, &mut self.completions);
        if let Some(levels) = &mut self.levels {
            levels.calls.set(now_ns, self.server.there());
            levels
                .rate
                .add(now_ns, self.server.rate().saturating_sub(1));
        }
        self.schedule();
    }

    fn complete(&mut self, number: usize, now_ns: u64) {
        let call = &mut self.calls[number];
        if call.epoch != self.server.epoch {
            return; // lost in an outage
        }
        if call.completes_ns != Some(now_ns) {
            return; // its connection broke before
        }
        call.completes_ns = None;
        call.is_served = true;
        let (is_over, succeeds) = (call.is_over, call.succeeds);
        let is_late = now_ns - call.start_ns > self.scenario.target_ns;
        self.server.leave(number, now_ns, &mut self.completions);
        self.measured.served(is_over || !succeeds || is_late);
        if !is_over {
            self.end(number, now_ns, !succeeds, false);
        }
    }

    fn end(&mut self, number: usize, now_ns: u64, dropped: bool, was_given_up: bool) {
        let call_number = number;
        let call = &mut self.calls[number];
        call.is_over = true;
        let sample = Sample {
            start_ns: call.start_ns,
            rtt_ns: now_ns - call.start_ns,
            in_flight: call.in_flight,
            dropped,
        };
        let number = call.route;
        let route = &mut self.routes[number];
        route.in_flight -= 1;
        self.in_flight -= 1;
        if let Some(limit) = &mut route.limit {
            limit.sampled(&sample);
        }
        if dropped && let Load::Every { .. } = self.scenario.load {
            let wait_ns = fibonacci(self.calls[call_number].attempts) * SECOND;
            self.at(now_ns + wait_ns, Kind::Again, call_number);
        }
        if dropped
            && let Load::Retrying { most, .. } = self.scenario.load
            && self.calls[call_number].attempts < most
        {
            let attempts = self.calls[call_number].attempts + 1;
            self.routes[number].again.push_back(attempts);
        }
        if dropped {
            self.measured.failures += 1;
        } else {
            self.measured.succeeded(number, now_ns, sample.rtt_ns);
        }
        if let Some(levels) = &mut self.levels
            && !dropped
        {
            levels.latencies_ns.push(sample.rtt_ns);
        }
        match &mut self.series {
            Some(series) if dropped => series.failed(now_ns, was_given_up),
            Some(series) => series.succeeded(now_ns, sample.rtt_ns),
            None => {}
        }
    }

    /// A call of a route wants to be made.
    fn demand(&mut self, number: usize, now_ns: u64) {
        let route = &mut self.routes[number];
        match self.scenario.load {
            Load::PoissonUntil { until_ns, .. } if now_ns >= until_ns => route.waiting = None,
            Load::PoissonUntil { .. } => {
                route.waiting = route.waiting.map(|waiting| waiting + 1);
                self.arrive_later(number, now_ns);
            }
            Load::Pausing { until_ns, .. } if now_ns >= until_ns => route.waiting = None,
            Load::Pausing { .. } | Load::Retrying { .. } => {
                route.waiting = Some(route.waiting.map_or(0, |waiting| waiting + 1));
                self.arrive_later(number, now_ns);
            }
            Load::Every { .. } => route.waiting = route.waiting.map(|waiting| waiting + 1),
            Load::Saturating => {}
        }
    }

    fn arrive_later(&mut self, number: usize, now_ns: u64) {
        let route = &mut self.routes[number];
        route.arrivals += 1;
        let ordinal = route.arrivals * self.scenario.joins.len() as u64 + number as u64;
        if let Some(at_ns) = next_arrival_ns(self.scenario.load, self.seed, ordinal, now_ns) {
            self.at(at_ns, Kind::Arrival, number);
        }
    }
}
