//! `Carrier` as Python sees it: `state` has its fields, `carrying` does the carrying.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySet, PyTuple};

use super::carrying::state_of;
use super::channel::Channel;
use super::child::Child;
use super::children::Children;
use super::clock::Clock;
use super::counters::Counters;
use super::journal::Journal;
use super::limiting::{end_of, note_error};
use super::lineage::recording::LineageRoute;
use super::loop_watch::LoopWatch;
use super::outbounds::Outbounds;
use super::pool::WorkerPool;
use super::state::Carrier;
use super::suspension::Suspension;
use super::worker::Worker;
use crate::errors;
use crate::frame::Headers;
use crate::limits::controller::LimitController;
use crate::routing::RouteTable;

#[pymethods]
impl Carrier {
    #[new]
    #[pyo3(signature = (*, counters, inbound, stages, outbounds, table, first_only, unrouted_fails, pauses, drivers, children, limit, now, watch, forward, risen, journal=None, limiter=None, lineage=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn new(
        counters: Py<Counters>,
        inbound: Py<Channel>,
        stages: Vec<Bound<'_, PyAny>>,
        outbounds: &Bound<'_, PyTuple>,
        table: Option<Py<RouteTable>>,
        first_only: bool,
        unrouted_fails: bool,
        pauses: Py<PySet>,
        drivers: Py<PyAny>,
        children: Py<Children>,
        limit: isize,
        now: Bound<'_, PyAny>,
        watch: Py<LoopWatch>,
        forward: &Bound<'_, PyAny>,
        risen: Py<PyAny>,
        journal: Option<Py<Journal>>,
        limiter: Option<Py<LimitController>>,
        lineage: Option<Py<LineageRoute>>,
    ) -> PyResult<Self> {
        Ok(Self {
            inbound,
            stages: stages
                .into_iter()
                .map(|stage| Ok((stage.extract()?, stage.unbind())))
                .collect::<PyResult<_>>()?,
            outbounds: Outbounds::new(outbounds, table, first_only)?,
            unrouted_fails,
            pauses,
            drivers,
            children,
            limit: AtomicIsize::new(limit),
            limiter,
            crowded: AtomicBool::new(false),
            risen,
            busy: AtomicIsize::new(0),
            pulling: AtomicIsize::new(0),
            intake_closed: AtomicBool::new(false),
            circuit_open: AtomicBool::new(false),
            now: Clock::new(now)?,
            watch,
            // `forward` is the one instance of a subclass of the class that all others are of.
            result: forward
                .get_type()
                .getattr("__base__")?
                .cast_into()?
                .unbind(),
            forward: forward.clone().unbind(),
            counters,
            journal,
            lineage,
        })
    }

    /// Take and carry messages, children first, then from the inbound queue, until `worker.left` of them have ended, nothing waits, the route
    /// is paused or the worker's time is up; or until one needs Python.
    #[pyo3(signature = (worker, waited, /))]
    fn carry(&self, worker: &Bound<'_, Worker>, waited: bool) -> PyResult<u8> {
        errors::guarded(worker.py(), || Ok(self.turn(worker, waited)? as u8))
    }

    /// Wait for the worker's coroutine, and go on with its message; unless `alone`, then with the turn.
    #[pyo3(signature = (worker, pool, alone, /))]
    fn waited(slf: Py<Self>, worker: Py<Worker>, pool: Py<WorkerPool>, alone: bool) -> Suspension {
        Suspension::new(slf, worker, pool, alone)
    }

    /// Carry a message that begins inside the route.
    #[pyo3(signature = (worker, child, /))]
    fn begin(&self, worker: &Bound<'_, Worker>, child: &Bound<'_, Child>) -> PyResult<u8> {
        errors::guarded(worker.py(), || {
            let moving = self.moving(worker.py(), &child.get().0, worker.get().since_ns.get());
            self.begin_permit(worker)?;
            Ok(self.watched(worker, |worker| self.run(worker, moving))? as u8)
        })
    }

    /// Carry a message that begins inside the route, with the result that the stage there has returned already.
    #[pyo3(signature = (worker, child, result, /))]
    fn answer(
        &self,
        worker: &Bound<'_, Worker>,
        child: &Bound<'_, Child>,
        result: Bound<'_, PyAny>,
    ) -> PyResult<u8> {
        errors::guarded(worker.py(), || {
            let moving = self.moving(worker.py(), &child.get().0, worker.get().since_ns.get());
            self.begin_permit(worker)?;
            self.hold(worker, moving)?;
            Ok(self.watched(worker, |worker| self.go_on(worker, result))? as u8)
        })
    }

    /// Go on with the worker's message, given its adapter's result.
    #[pyo3(signature = (worker, result, /))]
    fn proceed(&self, worker: &Bound<'_, Worker>, result: Bound<'_, PyAny>) -> PyResult<u8> {
        errors::guarded(worker.py(), || {
            note_error(worker); // whatever it was awaited with is not known here
            Ok(self.watched(worker, |worker| self.go_on(worker, result))? as u8)
        })
    }

    /// Give the permit of the worker's message back, if it has one, because its adapters have ended so: one of the module's
    /// numbers of ends.
    #[pyo3(signature = (worker, end, /))]
    fn end_attempt(&self, worker: &Bound<'_, Worker>, end: u8) -> PyResult<()> {
        errors::guarded(worker.py(), || {
            if self.limiter.is_none() {
                return Ok(());
            }
            let now_ns = self.now.now_ns(worker.py())?;
            self.return_permit(worker, end_of(end), now_ns)
        })
    }

    /// True if a message may begin by the adaptive limit; always, if there is none.
    #[getter]
    fn is_permitted(&self, py: Python<'_>) -> bool {
        self.permits(py)
    }

    /// Go on with the worker's message at its next stage, with a new payload or headers; None keeps the present ones.
    #[pyo3(signature = (worker, payload, headers, /))]
    fn change(
        &self,
        worker: &Bound<'_, Worker>,
        payload: Option<Py<PyBytes>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u8> {
        errors::guarded(worker.py(), || {
            let headers = headers.map(Headers::of).transpose()?;
            self.completed(worker, payload.as_ref())?;
            let mut moving = self.next(worker.py(), state_of(worker)?.get(), payload);
            moving.changes.headers = headers.or(moving.changes.headers);
            Ok(self.watched(worker, |worker| self.run(worker, moving))? as u8)
        })
    }

    /// Return how many messages one turn may take now, `turn` at most: 0 without work or a permit, or while paused; -1
    /// if only room is missing.
    #[pyo3(signature = (turn, /))]
    fn takable(&self, py: Python<'_>, turn: isize) -> PyResult<isize> {
        errors::guarded(py, || {
            let children = self.children.get().len(py).cast_signed();
            let work = if children > 0 {
                children
            } else if self.takes() {
                self.inbound.get().takable(py).cast_signed()
            } else {
                0
            };
            let is_crowded = !self.permits(py);
            if (self.busy.load(Relaxed) >= self.limit.load(Relaxed) && !is_crowded)
                || work == 0
                || !self.pauses.bind(py).is_empty()
            {
                return Ok(0);
            }
            let room = self.room(py, 0)?;
            if is_crowded {
                if room > 0 {
                    self.note_crowd(py);
                }
                return Ok(0);
            }
            Ok(if room <= 0 {
                -1
            } else {
                work.min(room).min(turn)
            })
        })
    }

    /// Return how many more messages every outbound that is read can take beside the reserved ones, except `own` of them.
    #[pyo3(signature = (own, /))]
    pub(super) fn room(&self, py: Python<'_>, own: isize) -> PyResult<isize> {
        self.outbounds.room(py, self.on_its_way(py)? - own)
    }

    /// Return the number of messages that are in adapters and will need room.
    #[getter]
    fn reserved(&self, py: Python<'_>) -> PyResult<isize> {
        self.on_its_way(py)
    }

    #[getter]
    fn limit(&self) -> isize {
        self.limit.load(Relaxed)
    }

    #[setter]
    fn set_limit(&self, limit: isize) {
        self.limit.store(limit, Relaxed);
    }

    #[getter]
    fn pulling(&self) -> isize {
        self.pulling.load(Relaxed)
    }

    #[setter]
    fn set_pulling(&self, pulling: isize) {
        self.pulling.store(pulling, Relaxed);
    }

    #[getter]
    fn busy(&self) -> isize {
        self.busy.load(Relaxed)
    }

    #[setter]
    fn set_busy(&self, busy: isize) {
        self.busy.store(busy, Relaxed);
    }

    #[getter]
    fn intake_closed(&self) -> bool {
        self.intake_closed.load(Relaxed)
    }

    #[setter]
    fn set_intake_closed(&self, closed: bool) {
        self.intake_closed.store(closed, Relaxed);
    }

    #[getter]
    fn circuit_open(&self) -> bool {
        self.circuit_open.load(Relaxed)
    }

    #[setter]
    fn set_circuit_open(&self, open: bool) {
        self.circuit_open.store(open, Relaxed);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.inbound)?;
        for (stage, object) in &self.stages {
            visit.call(&stage.call)?;
            visit.call(&stage.condition)?;
            visit.call(object)?;
        }
        self.outbounds.traverse(&visit)?;
        visit.call(&self.limiter)?;
        visit.call(&self.risen)?;
        visit.call(&self.watch)?;
        visit.call(&self.pauses)?;
        visit.call(&self.drivers)?;
        visit.call(&self.children)?;
        visit.call(&self.journal)?;
        visit.call(&self.lineage)?;
        self.now.traverse(&visit)
    }
}
