//! `Suspension`: an awaitable that waits in an adapter's place.
//!
//! A worker awaits it once, however many messages of its turn have to wait: what a coroutine gives is given on to trio,
//! and what trio gives for it goes back into the coroutine, without a channel of Python in between.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use factflow_core::limits::CallEnd;
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::carrying::{end_child, pending_of};
use super::limiting::note_error;
use super::loop_number::LoopNumber;
use super::pool::WorkerPool;
use super::start::{send, throw};
use super::state::Carrier;
use super::step::Step;
use super::worker::Worker;
use crate::errors;
use crate::gil_cell::GilCell;

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
    /// The value that `am_send` was given, until `__next__` takes it; and the step that it is to return.
    sent: GilCell<Option<Py<PyAny>>>,
    step: LoopNumber,
}

/// A wait that goes on, or the step at which it ended.
type Waited<'py> = Result<Bound<'py, PyAny>, Step>;

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
            sent: GilCell::default(),
            step: LoopNumber::default(),
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
    fn give<'py>(&self, py: Python<'py>, step: Step) -> PyResult<Waited<'py>> {
        if step != Step::Suspended {
            return Ok(Err(step));
        }
        let value = self.worker.get().take_value(py);
        self.pool.get().leave(py)?;
        Ok(Ok(value.map_or_else(
            || py.None().into_bound(py),
            |value| value.into_bound(py),
        )))
    }

    /// Go on with trio's answer; the first one is None, because nothing was yielded yet.
    fn go_on<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Waited<'py>> {
        let py = value.py();
        errors::guarded(py, || {
            if !self.begun.swap(true, Relaxed) {
                return self.give(py, Step::Suspended);
            }
            let worker = self.worker.bind(py);
            self.pool.get().enter(worker);
            let coroutine = pending_of(worker)?;
            let carrier = self.carrier.get();
            carrier.note_answer(worker, value)?;
            let watch = carrier.watch.get();
            watch.enter(worker);
            let resumed = send(&coroutine, value)
                .and_then(|started| carrier.resume(worker, coroutine, started))
                .map(|step| end_child(worker, step));
            let step = match resumed {
                Ok(step @ (Step::Ended | Step::LastChild))
                    if !self.alone && !worker.get().has_set(py) =>
                {
                    carrier.renew(worker)?;
                    match step {
                        Step::Ended => carrier.turn(worker, true)?,
                        step => step,
                    }
                }
                resumed => {
                    watch.leave(worker);
                    let step = resumed?;
                    if matches!(step, Step::Ended | Step::LastChild) {
                        carrier.end_permit(worker, CallEnd::Answered)?;
                    }
                    step
                }
            };
            self.give(py, step)
        })
    }
}

/// Return what Python is told of a wait: its value, or its end.
fn told(waited: Waited<'_>) -> PyResult<Bound<'_, PyAny>> {
    waited.map_err(|step| PyStopIteration::new_err(step as u8))
}

/// Go on, as an `await` asks for: without a method's call, and without an exception for the end.
///
/// `PyO3` has no such slot. The call goes through that of `__next__`, so that it is guarded as any other.
unsafe extern "C" fn am_send(
    suspension: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    given: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls its slots attached, with an instance of the slot's type, a live object and a place to
    // write to. The class cannot be subclassed, and `__next__` fills its slot `tp_iternext`.
    unsafe {
        let py = Python::assume_attached();
        let kind = ffi::Py_TYPE(suspension);
        let state = Bound::from_borrowed_ptr(py, suspension).cast_into_unchecked::<Suspension>();
        let state = state.get();
        let value = Bound::from_borrowed_ptr(py, value).unbind();
        core::mem::forget(state.sent.replace(py, Some(value))); // none: `__next__` takes each
        let Some(next) = (*kind).tp_iternext else {
            return ffi::PySendResult::PYGEN_ERROR;
        };
        *given = next(suspension);
        if !(*given).is_null() {
            return ffi::PySendResult::PYGEN_NEXT;
        }
        if !ffi::PyErr_Occurred().is_null() {
            return ffi::PySendResult::PYGEN_ERROR;
        }
        *given = ffi::PyLong_FromLong(state.step.get());
        ffi::PySendResult::PYGEN_RETURN
    }
}

/// Have an `await` call `am_send`.
pub fn add_am_send(py: Python<'_>) -> PyResult<()> {
    let kind = py.get_type::<Suspension>();
    // SAFETY: the type is made, alive and a heap type, which has these slots; nobody has an instance yet.
    let slots = unsafe { (*kind.as_type_ptr()).tp_as_async.as_mut() };
    let slots = slots.ok_or_else(|| PyRuntimeError::new_err("an awaitable has no such slots"))?;
    slots.am_send = Some(am_send);
    Ok(())
}

#[pymethods]
impl Suspension {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(value) = self.sent.take(py) else {
            return told(self.go_on(py.None().bind(py))?).map(Some);
        };
        match self.go_on(value.bind(py))? {
            Ok(given) => Ok(Some(given)),
            Err(step) => {
                self.step.set(i64::from(step as u8));
                Ok(None)
            }
        }
    }

    /// Go on with what trio gives.
    #[pyo3(signature = (value, /))]
    fn send<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        told(self.go_on(value)?)
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
            self.pool.get().enter(worker);
            let coroutine = pending_of(worker)?;
            let carrier = self.carrier.get();
            note_error(worker);
            let step = carrier.watched(worker, |worker| {
                let started = throw(&coroutine, error)?;
                let step = carrier.resume(worker, coroutine, started)?;
                Ok(end_child(worker, step))
            })?;
            told(self.give(py, step)?)
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
        visit.call(&self.pool)?;
        self.sent.traverse(&visit)
    }
}
