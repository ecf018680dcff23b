//! `Child`: a message that begins inside its route, and not in the inbound queue.
//!
//! Kept separate from `puller`, which makes most of them, because the loop makes them, too: for retries, and for the
//! results of `finish`.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::family::Family;
use super::loop_number::LoopNumber;
use super::visit::{PERMIT, Visit, WaitSum};
use crate::frame::{Fields, Frame};

/// A message that a stage emitted, or that is tried again.
pub struct Begun {
    pub fields: Fields,
    /// The stage to begin at.
    pub index: usize,
    /// The parent, to be told of its end.
    pub parent: Option<Py<Family>>,
    /// The result that the stage at `index` has returned already.
    pub result: Option<Py<PyAny>>,
    /// Description of the last attempt's error, kept for the error of a deadline.
    last_error: Option<Py<PyString>>,
    /// Time from which it may begin, by the loop's clock.
    since_ns: LoopNumber,
    /// Sum of the waits so far, and the longest of them.
    waited_ns: LoopNumber,
    longest_wait: LoopNumber,
    /// Number of times that adapters have deferred it, and the time of the first.
    deferrals: LoopNumber,
    deferred_ns: LoopNumber,
}

impl Begun {
    pub fn new(fields: Fields, index: usize, parent: Option<Py<Family>>, since_ns: i64) -> Self {
        Self {
            fields,
            index,
            parent,
            result: None,
            last_error: None,
            since_ns: LoopNumber::of(since_ns),
            waited_ns: LoopNumber::default(),
            longest_wait: LoopNumber::default(),
            deferrals: LoopNumber::default(),
            deferred_ns: LoopNumber::default(),
        }
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        let parent = self.parent.as_ref().map(|parent| parent.clone_ref(py));
        Self {
            result: self.result.as_ref().map(|result| result.clone_ref(py)),
            last_error: self.last_error.as_ref().map(|error| error.clone_ref(py)),
            waited_ns: LoopNumber::of(self.waited_ns.get()),
            longest_wait: LoopNumber::of(self.longest_wait.get()),
            deferrals: LoopNumber::of(self.deferrals.get()),
            deferred_ns: LoopNumber::of(self.deferred_ns.get()),
            ..Self::new(
                self.fields.clone_ref(py),
                self.index,
                parent,
                self.since_ns.get(),
            )
        }
    }

    /// Return its visit to its first stage, which begins now: it has waited for a permit since it might begin.
    pub fn visit(&self, now_ns: i64) -> Visit {
        let mut waited = self.waited();
        let since_ns = self.since_ns.get();
        if since_ns > 0 {
            waited.add(now_ns.saturating_sub(since_ns), PERMIT);
        }
        Visit {
            since_ns: now_ns,
            waited,
            is_recorded: false,
        }
    }

    fn waited(&self) -> WaitSum {
        WaitSum {
            total_ns: self.waited_ns.get(),
            longest: self.longest_wait.get(),
        }
    }

    /// Visit the held objects for the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parent)?;
        visit.call(&self.result)
    }
}

/// Such a message, as an object.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Child(pub Begun);

#[pymethods]
impl Child {
    #[new]
    #[pyo3(signature = (frame, index, parent, result=None, /, *, since_ns=0))]
    fn create(
        frame: &Bound<'_, Frame>,
        index: usize,
        parent: Option<Py<Family>>,
        result: Option<Py<PyAny>>,
        since_ns: i64,
    ) -> Self {
        let fields = frame.get().0.clone_ref(frame.py());
        Self(Begun {
            result,
            ..Begun::new(fields, index, parent, since_ns)
        })
    }

    /// Return the same message for another attempt, with that attempt's frame and the last attempt's error.
    #[pyo3(signature = (frame, last_error=None, /))]
    fn retried(&self, frame: &Bound<'_, Frame>, last_error: Option<Py<PyString>>) -> Self {
        let py = frame.py();
        let mut again = self.0.clone_ref(py);
        again.fields = frame.get().0.clone_ref(py);
        again.last_error = last_error;
        again.since_ns.set(0);
        again.waited_ns.set(0);
        again.longest_wait.set(0);
        Self(again)
    }

    #[getter]
    fn frame(&self, py: Python<'_>) -> Frame {
        Frame(self.0.fields.clone_ref(py))
    }

    #[getter]
    fn index(&self) -> usize {
        self.0.index
    }

    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, Family>> {
        self.0.parent.as_ref().map(|parent| parent.bind(py))
    }

    #[getter]
    fn result<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.0.result.as_ref().map(|result| result.bind(py))
    }

    #[getter]
    fn last_error<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyString>> {
        self.0.last_error.as_ref().map(|error| error.bind(py))
    }

    #[getter]
    fn get_since_ns(&self) -> i64 {
        self.0.since_ns.get()
    }

    #[setter]
    fn set_since_ns(&self, since_ns: i64) {
        self.0.since_ns.set(since_ns);
    }

    /// Add a wait, by the code of what it was for.
    #[pyo3(signature = (ns, code, /))]
    fn waited(&self, ns: i64, code: u8) {
        let mut waited = self.0.waited();
        waited.add(ns, code);
        self.0.waited_ns.set(waited.total_ns);
        self.0.longest_wait.set(waited.longest);
    }

    #[getter]
    fn get_deferrals(&self) -> i64 {
        self.0.deferrals.get()
    }

    #[setter]
    fn set_deferrals(&self, deferrals: i64) {
        self.0.deferrals.set(deferrals);
    }

    #[getter]
    fn get_deferred_ns(&self) -> i64 {
        self.0.deferred_ns.get()
    }

    #[setter]
    fn set_deferred_ns(&self, deferred_ns: i64) {
        self.0.deferred_ns.set(deferred_ns);
    }

    /// Visit the held objects for the garbage collector; the parent, a Python object, breaks cycles.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }
}
