//! The fields of `Carrier`, a route's own state: kept separate from what is done with them, because
//! `carrying` and `suspension` need the first and `carrier`, Python's view of it, needs all three.

use std::sync::atomic::{AtomicBool, AtomicIsize};

use pyo3::prelude::*;
use pyo3::types::{PySet, PyType};

use super::channel::Channel;
use super::children::Children;
use super::clock::Clock;
use super::counters::Counters;
use super::journal::Journal;
use super::lineage::recording::LineageRoute;
use super::loop_watch::LoopWatch;
use super::outbounds::Outbounds;
use crate::conditions::Condition;
use crate::limits::controller::LimitController;

/// One adapter's place in the route.
#[derive(FromPyObject)]
pub(super) struct Stage {
    #[pyo3(attribute)]
    pub call: Py<PyAny>,
    #[pyo3(attribute)]
    pub condition: Option<Py<Condition>>,
    /// True if it must be told that a message came: it has something to finish then.
    #[pyo3(attribute)]
    pub is_stateful: bool,
    /// True if a message that skips the stage before this one skips this one, too.
    #[pyo3(attribute)]
    pub follows: bool,
}

/// Carrier of the messages of one route of one execution.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Carrier {
    pub(super) inbound: Py<Channel>,
    pub(super) stages: Vec<(Stage, Py<PyAny>)>,
    pub(super) outbounds: Outbounds,
    pub(super) unrouted_fails: bool,
    /// Reasons not to take messages; the owner of the set may change it.
    pub(super) pauses: Py<PySet>,
    /// Tasks that wait for room with a permit each; the owner of the list may change it.
    pub(super) drivers: Py<PyAny>,
    /// Messages begun inside the route that wait for a worker; they go before the inbound queue.
    pub(super) children: Py<Children>,
    /// Number of permits.
    pub(super) limit: AtomicIsize,
    /// Adaptive limit of the messages in adapters, which other routes may share.
    pub(super) limiter: Option<Py<LimitController>>,
    /// True if the next message was refused a permit, and counted.
    pub(super) crowded: AtomicBool,
    /// Lets another worker check the route, because that limit has risen.
    pub(super) risen: Py<PyAny>,
    pub(super) busy: AtomicIsize,
    /// Number of holders that wait for the next element of what they emit, and ask for room themselves.
    pub(super) pulling: AtomicIsize,
    /// True if nothing more is taken from the inbound.
    pub(super) intake_closed: AtomicBool,
    /// True if a circuit breaker would refuse whatever is taken from the inbound.
    pub(super) circuit_open: AtomicBool,
    /// The loop's clock, in nanoseconds.
    pub(super) now: Clock,
    /// Notices stages that hold the event loop.
    pub(super) watch: Py<LoopWatch>,
    /// The class of adapters' results, and the one that says "as it came".
    pub(super) result: Py<PyType>,
    pub(super) forward: Py<PyAny>,
    pub(super) counters: Py<Counters>,
    /// Journal of the ends of messages, if they must be acknowledged elsewhere.
    pub(super) journal: Option<Py<Journal>>,
    /// Log of what happens to messages, if that is recorded.
    pub(super) lineage: Option<Py<LineageRoute>>,
}
