//! `Suspension`: an awaitable that waits in an adapter's place.
//!
//! A worker awaits it once, however many messages of its turn have to wait: what a coroutine gives is given on to trio,
//! and what trio gives for it goes back into the coroutine, without a channel of Python in between.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyStopIteration;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::carrying::pending_of;
use super::pool::WorkerPool;
use super::start::{send, throw};
use super::state::Carrier;
use super::step::Step;
use super::worker::Worker;
use crate::errors;

/// Waits for the worker's coroutine, carries on with its turn, and returns the first step that is no suspension.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Suspension {
    carrier: Py<Carrier>,
    worker: Py<Worker>,
    pool: Py<WorkerPool>,
    /// True if the turn is over with the message that waits.
    alone: bool,
    /// True if what it waits for was given to trio.
    begun: AtomicBool,
}

impl Suspension {
    pub(super) fn new(
        carrier: Py<Carrier>,
        worker: Py<Worker>,
        pool: Py<WorkerPool>,
        alone: bool,
    ) -> Self {
        Self {
            carrier,
            worker,
            pool,
            alone,
            begun: AtomicBool::new(false),
        }
    }

    /// Ask the coroutine that waits, if one does.
    fn ask<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let pending = self.worker.get().pending(py);
        pending
            .map(|coroutine| coroutine.bind(py).getattr(name))
            .transpose()
    }

    /// Yield the worker's awaited values to trio, as long as it waits.
    fn give<'py>(&self, py: Python<'py>, step: Step) -> PyResult<Bound<'py, PyAny>> {
        if step != Step::Suspended {
            return Err(PyStopIteration::new_err(step as u8));
        }
        let value = self.worker.get().take_value(py);
        WorkerPool::leave(self.pool.bind(py))?;
        Ok(value.map_or_else(|| py.None().into_bound(py), |value| value.into_bound(py)))
    }
}

#[pymethods]
impl Suspension {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, py.None().bind(py))
    }

    /// Go on with trio's answer; the first one is None, because nothing was yielded yet.
    #[pyo3(signature = (value, /))]
    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        errors::guarded(py, || {
            if !self.begun.swap(true, Relaxed) {
                return self.give(py, Step::Suspended);
            }
            let worker = self.worker.bind(py);
            WorkerPool::enter(self.pool.bind(py), worker)?;
            let coroutine = pending_of(worker)?;
            let carrier = self.carrier.get();
            let watch = carrier.watch.get();
            watch.enter(worker);
            let resumed = send(&coroutine, value)
                .and_then(|started| carrier.resume(worker, coroutine, started));
            let step = match resumed {
                Ok(Step::Ended) if !self.alone && !worker.get().has_set(py) => {
                    carrier.renew(worker)?;
                    carrier.turn(worker, true)?
                }
                resumed => {
                    watch.leave(worker);
                    resumed?
                }
            };
            self.give(py, step)
        })
    }

    /// Raise an exception where the worker's coroutine waits; it may wait for something else then, or return.
    /// Given as an exception, or as its type, itself and its traceback.
    #[pyo3(signature = (*error))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        error: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        errors::guarded(py, || {
            self.begun.store(true, Relaxed);
            let worker = self.worker.bind(py);
            WorkerPool::enter(self.pool.bind(py), worker)?;
            let coroutine = pending_of(worker)?;
            let carrier = self.carrier.get();
            let step = carrier.watched(worker, |worker| {
                let started = throw(&coroutine, error)?;
                carrier.resume(worker, coroutine, started)
            })?;
            self.give(py, step)
        })
    }

    /// End the coroutine where it waits.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        errors::guarded(py, || {
            let coroutine = pending_of(self.worker.bind(py))?;
            coroutine.call_method0(intern!(py, "close")).map(drop)
        })
    }

    /// Return the coroutine's frame, so that a print of where a task waits shows the adapter.
    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ask(py, intern!(py, "cr_frame"))
    }

    /// Return what the coroutine awaits.
    #[getter]
    fn cr_await<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ask(py, intern!(py, "cr_await"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.carrier)?;
        visit.call(&self.worker)?;
        visit.call(&self.pool)
    }
}
