//! Pulling one element of what a stage emitted, without an `await`; and `Pull`, the rest of that where it has to wait.

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString, PyTuple};

use super::loop_watch::{EMITTED, LoopWatch};
use super::start::{Started, send, throw};
use crate::errors;
use crate::gil_cell::GilCell;

/// Result of asking a source for an element.
pub(super) enum Pulled<'py> {
    Element(Bound<'py, PyAny>),
    /// The end of the source.
    Exhausted,
    /// A wait: the awaitable, and the value that it gave for trio.
    Suspended(Bound<'py, PyAny>, Bound<'py, PyAny>),
}

/// Pull an element from an iterator or from an async generator.
pub(super) fn pull<'py>(source: &Bound<'py, PyAny>) -> PyResult<Pulled<'py>> {
    let Some(awaited) = begin(source)? else {
        let element = source.cast::<PyIterator>()?.into_iter().next();
        return element.map_or(Ok(Pulled::Exhausted), |element| {
            element.map(Pulled::Element)
        });
    };
    let py = source.py();
    match pulled(py, send(&awaited, py.None().bind(py)))? {
        Some(Started::Returned(element)) => Ok(Pulled::Element(element)),
        Some(Started::Suspended(given)) => Ok(Pulled::Suspended(awaited, given)),
        Some(Started::Unknown) => Err(unknown()),
        None => Ok(Pulled::Exhausted),
    }
}

/// Return what an async generator gives to be awaited for its next element; None for anything else.
fn begin<'py>(source: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let kind = source.get_type_ptr();
    // SAFETY: the statics are the interpreter's own and only their addresses are taken. The slots of a live object's type
    // are read, which for this type are there; the call takes a live object and returns a new reference or null and an
    // exception.
    unsafe {
        if kind != &raw mut ffi::PyAsyncGen_Type {
            return Ok(None);
        }
        let slots = (*kind).tp_as_async;
        let Some(anext) = slots.as_ref().and_then(|slots| slots.am_anext) else {
            return Err(PyRuntimeError::new_err(
                "an async generator cannot be iterated",
            ));
        };
        Bound::from_owned_ptr_or_err(source.py(), anext(source.as_ptr())).map(Some)
    }
}

/// Rest of a pull, to be awaited: values that the source yields go to trio, and trio's answers go back to the source.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Pull {
    source: Py<PyAny>,
    /// The value that stands for the end of the source.
    exhausted: Py<PyAny>,
    /// The awaitable; None: it has ended, with `end`.
    awaited: Option<Py<PyAny>>,
    /// The value that it gave for trio, until trio has it.
    given: GilCell<Option<Py<PyAny>>>,
    end: GilCell<Option<PyResult<Py<PyAny>>>>,
    watch: Py<LoopWatch>,
    /// The stage that emitted the source.
    stage: Py<PyAny>,
}

impl Pull {
    /// Return the rest of a pull that was begun.
    pub(super) fn rest(
        source: &Bound<'_, PyAny>,
        pulled: PyResult<Pulled<'_>>,
        exhausted: &Py<PyAny>,
        watch: &Py<LoopWatch>,
        stage: &Bound<'_, PyAny>,
    ) -> Self {
        let py = source.py();
        let (awaited, given, end) = match pulled {
            Ok(Pulled::Suspended(awaited, given)) => {
                (Some(awaited.unbind()), Some(given.unbind()), None)
            }
            Ok(Pulled::Element(element)) => (None, None, Some(Ok(element.unbind()))),
            Ok(Pulled::Exhausted) => (None, None, Some(Ok(exhausted.clone_ref(py)))),
            Err(error) => (None, None, Some(Err(error))),
        };
        Self {
            source: source.clone().unbind(),
            exhausted: exhausted.clone_ref(py),
            awaited,
            given: GilCell::new(given),
            end: GilCell::new(end),
            watch: watch.clone_ref(py),
            stage: stage.clone().unbind(),
        }
    }

    fn awaited<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.awaited
            .as_ref()
            .map(|awaited| awaited.bind(py))
            .ok_or_else(|| PyRuntimeError::new_err("this pull has ended"))
    }

    /// Go on with the pull, and give trio what is waited for, or end.
    fn give<'py>(
        &self,
        py: Python<'py>,
        go: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Started<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let watch = self.watch.get();
        let begun_ns = watch.begin_ns(py);
        let started = go(self.awaited(py)?);
        watch.look(begun_ns, self.stage.bind(py), EMITTED);
        let element = match pulled(py, started)? {
            Some(Started::Suspended(given)) => return Ok(given),
            Some(Started::Returned(element)) => element.unbind(),
            Some(Started::Unknown) => return Err(unknown()),
            None => self.exhausted.clone_ref(py),
        };
        Err(PyStopIteration::new_err((element,)))
    }

    fn ask<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
        self.source.bind(py).getattr(name).ok()
    }
}

#[pymethods]
impl Pull {
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
            if let Some(given) = self.given.take(py) {
                return Ok(given.into_bound(py));
            }
            match self.end.replace(py, None) {
                Some(Ok(element)) => Err(PyStopIteration::new_err((element,))),
                Some(Err(error)) => Err(error),
                None => self.give(py, |awaited| send(awaited, value)),
            }
        })
    }

    /// Raise an exception where it waits. Given as an exception, or as its type, itself and its traceback.
    #[pyo3(signature = (*error))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        error: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        errors::guarded(py, || {
            drop(self.given.take(py));
            self.give(py, |awaited| throw(awaited, error))
        })
    }

    /// End it where it waits.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        errors::guarded(py, || match &self.awaited {
            Some(awaited) => awaited
                .bind(py)
                .call_method0(intern!(py, "close"))
                .map(drop),
            None => Ok(()),
        })
    }

    /// Return the source's frame, so that a print of where a task waits shows the source.
    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ask(py, intern!(py, "ag_frame"))
    }

    /// Return what the source awaits.
    #[getter]
    fn cr_await<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ask(py, intern!(py, "ag_await"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)?;
        visit.call(&self.exhausted)?;
        visit.call(&self.awaited)?;
        visit.call(&self.watch)?;
        visit.call(&self.stage)?;
        self.given.traverse(&visit)
    }
}

/// Return where the pull of an async generator is; None at the generator's end.
fn pulled<'py>(py: Python<'py>, started: PyResult<Started<'py>>) -> PyResult<Option<Started<'py>>> {
    match started {
        Err(error) if error.is_instance_of::<PyStopAsyncIteration>(py) => Ok(None),
        started => started.map(Some),
    }
}

#[cold]
fn unknown() -> PyErr {
    PyRuntimeError::new_err("an async generator was not started")
}
