//! `WatchedCall`: awaiting something of a stage, with each of its steps looked at.

use pyo3::PyTraverseError;
use pyo3::exceptions::PyStopIteration;
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::loop_watch::LoopWatch;
use super::start::{Started, send, throw};
use crate::errors;

/// Awaits in its caller's stead: what is waited for is given on to trio, and what trio gives goes back.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct WatchedCall {
    /// The iterator of the awaitable.
    awaited: Py<PyAny>,
    watch: Py<LoopWatch>,
    stage: Py<PyAny>,
    /// Name of the call, for the note.
    call: String,
}

impl WatchedCall {
    /// Make one step, looked at.
    fn step<'py>(
        &self,
        py: Python<'py>,
        go: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Started<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        errors::guarded(py, || {
            let watch = self.watch.get();
            let begun_ns = watch.begin_ns(py);
            let started = go(self.awaited.bind(py));
            watch.look(begun_ns, self.stage.bind(py), &self.call);
            match started? {
                Started::Suspended(given) => Ok(given),
                Started::Returned(value) => Err(PyStopIteration::new_err((value.unbind(),))),
                Started::Unknown => Ok(py.None().into_bound(py)), // neither `send` nor `throw` says so
            }
        })
    }

    fn ask<'py>(
        &self,
        py: Python<'py>,
        names: [&Bound<'py, PyString>; 2],
    ) -> Option<Bound<'py, PyAny>> {
        let awaited = self.awaited.bind(py);
        names.iter().find_map(|name| awaited.getattr(*name).ok())
    }
}

#[pymethods]
impl WatchedCall {
    #[new]
    #[pyo3(signature = (awaitable, watch, stage, call, /))]
    fn new(
        awaitable: &Bound<'_, PyAny>,
        watch: Py<LoopWatch>,
        stage: Py<PyAny>,
        call: String,
    ) -> PyResult<Self> {
        // SAFETY: `awaitable` is a valid object while it is borrowed; the check only reads its type.
        let is_coroutine = unsafe { ffi::PyCoro_CheckExact(awaitable.as_ptr()) } != 0;
        let awaited = if is_coroutine {
            awaitable.clone()
        } else {
            // Of its type, as `await` does: an attribute of the object itself is none.
            let of_type = awaitable
                .get_type()
                .getattr(intern!(awaitable.py(), "__await__"))?;
            of_type.call1((awaitable,))?
        };
        Ok(Self {
            awaited: awaited.unbind(),
            watch,
            stage,
            call,
        })
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, py.None().bind(py))
    }

    /// Go on with what trio gives.
    #[pyo3(signature = (value, /))]
    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py, |awaited| send(awaited, value))
    }

    /// Raise an exception where it waits. Given as an exception, or as its type, itself and its traceback.
    #[pyo3(signature = (*error))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        error: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.step(py, |awaited| throw(awaited, error))
    }

    /// End it where it waits.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        errors::guarded(py, || {
            let close = self.awaited.bind(py).getattr(intern!(py, "close")).ok();
            close.map_or(Ok(()), |close| close.call0().map(drop))
        })
    }

    /// Return its frame, so that a print of where a task waits shows the stage's code.
    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ask(py, [intern!(py, "cr_frame"), intern!(py, "gi_frame")])
    }

    /// Return what it awaits.
    #[getter]
    fn cr_await<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ask(py, [intern!(py, "cr_await"), intern!(py, "gi_yieldfrom")])
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.awaited)?;
        visit.call(&self.watch)?;
        visit.call(&self.stage)
    }
}
