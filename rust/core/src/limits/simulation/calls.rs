//! `Kind`, `Calls` and `Route`: the events of a run, and what they are about.
//!
//! Calls are numbered in the order in which they start, which keys their random numbers. One that nothing asks for any more
//! is forgotten once all before it are, so that memory is bounded by the calls at a time and not by those of a run.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use crate::limits::Limit;

/// Kinds of events, in the order in which those of one time happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
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
    /// A call that failed wants to be made again.
    Again,
}

impl Kind {
    /// True if its number is that of a call, and not of a route.
    pub(super) const fn is_of_a_call(self) -> bool {
        matches!(self, Self::Timeout | Self::Completion | Self::Again)
    }
}

/// A call, and what its caller waits for.
pub(super) struct CallState {
    pub route: usize,
    pub start_ns: u64,
    pub in_flight: u32,
    pub epoch: u32,
    pub succeeds: bool,
    pub is_over: bool,
    /// True once the server is done with it.
    pub is_served: bool,
    /// Time at which the server is done with it; None before that is known, and once it is done.
    pub completes_ns: Option<u64>,
    /// Times that it was made before.
    pub attempts: u32,
    /// Number of its events that have not happened.
    pub events: u32,
}

/// Calls by number, without those at the beginning that were forgotten.
#[derive(Default)]
pub(super) struct Calls {
    forgotten: usize,
    kept: VecDeque<CallState>,
}

impl Calls {
    /// Add one; return its number.
    pub(super) fn add(&mut self, call: CallState) -> usize {
        self.kept.push_back(call);
        self.forgotten + self.kept.len() - 1
    }

    /// Forget what nothing asks for any more: the caller has its answer, no event is due, and the server has it no more; one of
    /// an earlier epoch it has lost.
    pub(super) fn forget(&mut self, epoch: u32) {
        while self.kept.front().is_some_and(|call| {
            call.is_over && call.events == 0 && (call.is_served || call.epoch != epoch)
        }) {
            self.kept.pop_front();
            self.forgotten += 1;
        }
    }
}

impl Index<usize> for Calls {
    type Output = CallState;

    fn index(&self, number: usize) -> &CallState {
        &self.kept[number - self.forgotten]
    }
}

impl IndexMut<usize> for Calls {
    fn index_mut(&mut self, number: usize) -> &mut CallState {
        &mut self.kept[number - self.forgotten]
    }
}

/// A route of a run.
pub(super) struct Route {
    pub joins_ns: u64,
    pub leaves_ns: u64,
    /// None before it joins and after it has left, and for the oracle.
    pub limit: Option<Box<dyn Limit>>,
    /// Limit after the last event.
    pub known: Option<u32>,
    pub in_flight: u32,
    /// Calls that have arrived and wait for a permit; None for a backlog without end.
    pub waiting: Option<u64>,
    pub arrivals: u64,
    /// Attempts of calls that failed and are due again; they come before `waiting`.
    pub again: VecDeque<u32>,
}

impl Route {
    /// True if a call wants to be made.
    pub(super) fn has_calls(&self) -> bool {
        self.waiting != Some(0) || !self.again.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(is_over: bool, is_served: bool, events: u32) -> CallState {
        CallState {
            route: 0,
            start_ns: 0,
            in_flight: 1,
            epoch: 0,
            succeeds: true,
            is_over,
            is_served,
            completes_ns: None,
            attempts: 0,
            events,
        }
    }

    #[test]
    fn a_call_is_forgotten_once_nothing_asks_for_it_and_keeps_its_number() {
        let mut calls = Calls::default();
        for one in [
            call(true, true, 0),
            call(true, false, 0),
            call(true, true, 0),
            call(true, true, 1),
        ] {
            calls.add(one);
        }
        calls.forget(0);
        assert_eq!(
            (calls.forgotten, calls.kept.len()),
            (1, 3),
            "the server has the second"
        );
        calls[1].is_served = true;
        calls.forget(0);
        assert_eq!(calls.forgotten, 3, "an event of the fourth is due");
        calls[3].events = 0;
        assert_eq!(calls.add(call(false, false, 0)), 4);
        calls.forget(0);
        assert_eq!(calls.forgotten, 4);
        calls[4].is_over = true;
        calls.forget(0);
        assert_eq!(calls.forgotten, 4);
        calls.forget(1);
        assert_eq!(calls.forgotten, 5, "lost in an outage");
    }
}
