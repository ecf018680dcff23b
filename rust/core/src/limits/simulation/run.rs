//! `run`: the loop of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::measure::Measured;
use super::random::{Stream, uniform};
use super::scenario::{Load, Scenario};
use super::server::{Completion, Server};
use crate::limits::{Limit, Sample};

/// Source of the limits.
pub enum Controlled<'a> {
    /// The scenario's oracle, which knows the server.
    Oracle,
    /// An algorithm for each route, made when the route joins.
    By(&'a mut dyn FnMut() -> Box<dyn Limit>),
}

/// Kinds of events, in the order in which those of one time happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The server changes by itself.
    Change,
    /// The oracle's limit changes, or a route joins.
    Phase,
    /// A caller gives up.
    Timeout,
    /// The server is done with a call.
    Completion,
    /// A call wants to be made.
    Arrival,
}

/// A call, and what its caller waits for.
struct CallState {
    route: usize,
    start_ns: u64,
    in_flight: u32,
    epoch: u32,
    succeeds: bool,
    is_over: bool,
}

struct Route {
    joins_ns: u64,
    /// None before it joins, and for the oracle.
    limit: Option<Box<dyn Limit>>,
    in_flight: u32,
    /// Calls that have arrived and wait for a permit; None for a backlog without end.
    waiting: Option<u64>,
    arrivals: u64,
}

struct Run<'a> {
    scenario: &'a Scenario,
    seed: u64,
    server: Server<'a>,
    events: BinaryHeap<Reverse<(u64, Kind, u64, usize)>>,
    sequence: u64,
    calls: Vec<CallState>,
    routes: Vec<Route>,
    measured: Measured,
    completions: Vec<Completion>,
    in_flight: u64,
}

/// Simulate a scenario, and return what was counted.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64, mut by: Controlled<'_>) -> Measured {
    let mut run = Run::new(scenario, seed);
    while let Some(Reverse((now_ns, kind, _, number))) = run.events.pop() {
        if now_ns > scenario.duration_ns {
            break;
        }
        match kind {
            Kind::Change => run.server.change(now_ns, &mut run.completions),
            Kind::Phase => {
                if let Controlled::By(make) = &mut by {
                    for route in &mut run.routes {
                        if route.joins_ns == now_ns && route.limit.is_none() {
                            route.limit = Some(make());
                        }
                    }
                }
            }
            Kind::Timeout => run.time_out(number, now_ns),
            Kind::Completion => run.complete(number, now_ns),
            Kind::Arrival => run.demand(number, now_ns),
        }
        run.schedule();
        run.fill(now_ns);
    }
    run.measured.end();
    run.measured
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let routes = scenario.joins.iter().map(|joins_ns| Route {
            joins_ns: *joins_ns,
            limit: None,
            in_flight: 0,
            waiting: match scenario.load {
                Load::Saturating => None,
                Load::PoissonUntil { .. } => Some(0),
            },
            arrivals: 0,
        });
        let mut made = Self {
            scenario,
            seed,
            server: Server::new(&scenario.server, seed),
            events: BinaryHeap::new(),
            sequence: 0,
            calls: Vec::new(),
            routes: routes.collect(),
            measured: Measured::new(scenario),
            completions: Vec::new(),
            in_flight: 0,
        };
        for at_ns in made.server.changes(scenario.duration_ns) {
            made.at(at_ns, Kind::Change, 0);
        }
        let phases = scenario.oracle.iter().map(|phase| phase.from_ns);
        for at_ns in phases
            .chain(scenario.joins.iter().copied())
            .collect::<Vec<_>>()
        {
            made.at(at_ns, Kind::Phase, 0);
        }
        if matches!(scenario.load, Load::PoissonUntil { .. }) {
            for route in 0..scenario.joins.len() {
                made.arrive_later(route, scenario.joins[route]);
            }
        }
        made
    }

    fn at(&mut self, at_ns: u64, kind: Kind, number: usize) {
        self.sequence += 1;
        self.events
            .push(Reverse((at_ns, kind, self.sequence, number)));
    }

    fn schedule(&mut self) {
        while let Some(completion) = self.completions.pop() {
            let call = &mut self.calls[completion.call];
            call.succeeds = completion.succeeds;
            call.epoch = self.server.epoch;
            self.at(completion.at_ns, Kind::Completion, completion.call);
        }
    }

    /// Limit of a route now; 0 before it joins.
    fn limit_of(&self, route: usize, now_ns: u64) -> u32 {
        let route = &self.routes[route];
        match &route.limit {
            _ if route.joins_ns > now_ns => 0,
            Some(limit) => limit.limit(),
            None => self.scenario.oracle_at(now_ns),
        }
    }

    /// Start what the limits allow.
    fn fill(&mut self, now_ns: u64) {
        for number in 0..self.routes.len() {
            while self.routes[number].in_flight < self.limit_of(number, now_ns)
                && self.routes[number].waiting != Some(0)
            {
                self.start(number, now_ns);
            }
            if self.routes[number].joins_ns <= now_ns
                && self.routes[number].waiting != Some(0)
                && let Some(limit) = &mut self.routes[number].limit
            {
                limit.blocked(now_ns);
            }
        }
    }

    fn start(&mut self, number: usize, now_ns: u64) {
        let call = self.calls.len();
        let route = &mut self.routes[number];
        route.waiting = route.waiting.map(|waiting| waiting - 1);
        route.in_flight += 1;
        if let Some(limit) = &mut route.limit {
            limit.started(now_ns);
        }
        self.calls.push(CallState {
            route: number,
            start_ns: now_ns,
            in_flight: route.in_flight,
            epoch: self.server.epoch,
            succeeds: false,
            is_over: false,
        });
        self.in_flight += 1;
        self.measured.peak = self.measured.peak.max(self.in_flight);
        if let Some(timeout_ns) = self.scenario.timeout_ns {
            self.at(now_ns + timeout_ns, Kind::Timeout, call);
        }
        self.server.arrive(call, now_ns, &mut self.completions);
        self.schedule();
    }

    fn complete(&mut self, number: usize, now_ns: u64) {
        let call = &self.calls[number];
        if call.epoch != self.server.epoch {
            return; // lost in an outage
        }
        let (is_over, succeeds) = (call.is_over, call.succeeds);
        self.server.leave(now_ns, &mut self.completions);
        if is_over {
            self.measured.wasted += 1;
        } else {
            self.end(number, now_ns, !succeeds);
        }
    }

    fn time_out(&mut self, number: usize, now_ns: u64) {
        if !self.calls[number].is_over {
            self.end(number, now_ns, true);
        }
    }

    fn end(&mut self, number: usize, now_ns: u64, dropped: bool) {
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
            let before = limit.limit();
            limit.sampled(&sample);
            self.measured.changes += u64::from(limit.limit() != before);
        }
        if dropped {
            self.measured.failures += 1;
        } else {
            self.measured.succeeded(number, now_ns, sample.rtt_ns);
        }
    }

    /// A call of a route wants to be made.
    fn demand(&mut self, number: usize, now_ns: u64) {
        let Load::PoissonUntil { until_ns, .. } = self.scenario.load else {
            return;
        };
        if now_ns >= until_ns {
            self.routes[number].waiting = None;
        } else {
            self.routes[number].waiting = self.routes[number].waiting.map(|waiting| waiting + 1);
            self.arrive_later(number, now_ns);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of nanoseconds"
    )]
    fn arrive_later(&mut self, number: usize, now_ns: u64) {
        let Load::PoissonUntil { rate, until_ns } = self.scenario.load else {
            return;
        };
        let route = &mut self.routes[number];
        route.arrivals += 1;
        let ordinal = route.arrivals * self.scenario.joins.len() as u64 + number as u64;
        let seconds = -(1.0 - uniform(self.seed, ordinal, Stream::Arrival)).ln() / rate;
        let at_ns = now_ns.saturating_add((seconds * 1e9) as u64);
        self.at(at_ns.min(until_ns), Kind::Arrival, number);
    }
}
