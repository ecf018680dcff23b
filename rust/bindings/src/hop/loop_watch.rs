//! `LoopWatch`: notices code of stages that holds the event loop, so that no other task runs.
//!
//! Each step of a coroutine or iterator is enclosed by two readings of a clock. Where the hop reads its own clock anyway
//! that reading is used; elsewhere a coarse one, a quarter of the price.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use super::clock::Clock;
use super::context::MessageContext;
use super::worker::Worker;

/// Name of the call that a message is in.
const PROCESS: &str = "process";

/// Name of the pull of what a stage emitted.
pub const EMITTED: &str = "emitted";

/// Add the name to the module.
pub fn add_emitted(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("EMITTED", EMITTED)
}

/// Notices steps that take `limit_ns` or longer, and calls `note` with the stage, the call and the time.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LoopWatch {
    now: Clock,
    limit_ns: i64,
    note: Py<PyAny>,
}

impl LoopWatch {
    /// Return the time for the beginning of a step. A clock that fails makes the step count for nothing; the hop, which
    /// reads the same clock, raises the error.
    #[inline]
    pub fn begin_ns(&self, py: Python<'_>) -> i64 {
        self.now.coarse_ns(py).unwrap_or(i64::MAX)
    }

    /// Return the time for the end of a step, likewise.
    #[inline]
    fn end_ns(&self, py: Python<'_>) -> i64 {
        self.now.coarse_ns(py).unwrap_or(i64::MIN)
    }

    /// Note a step that has ended now if it was too long.
    #[inline]
    pub fn look(&self, begun_ns: i64, stage: &Bound<'_, PyAny>, call: &str) {
        self.look_at(begun_ns, self.end_ns(stage.py()), stage, call);
    }

    /// Note a step of these times if it was too long.
    #[inline]
    pub fn look_at(&self, begun_ns: i64, ended_ns: i64, stage: &Bound<'_, PyAny>, call: &str) {
        let held_ns = ended_ns.saturating_sub(begun_ns);
        if held_ns >= self.limit_ns {
            self.tell(stage, call, held_ns);
        }
    }

    /// Begin a step of the worker's message.
    #[inline]
    pub fn enter(&self, worker: &Bound<'_, Worker>) {
        worker.get().step_ns.set(self.begin_ns(worker.py()));
    }

    /// End the worker's step, and begin another.
    #[inline]
    pub fn leave(&self, worker: &Bound<'_, Worker>) {
        self.leave_at(worker, self.end_ns(worker.py()));
    }

    /// End the worker's step at this time, and begin another.
    #[inline]
    pub fn leave_at(&self, worker: &Bound<'_, Worker>, now_ns: i64) {
        let step_ns = &worker.get().step_ns;
        let held_ns = now_ns.saturating_sub(step_ns.get());
        step_ns.set(now_ns);
        if held_ns >= self.limit_ns {
            self.tell_of(worker, held_ns);
        }
    }

    #[cold]
    fn tell_of(&self, worker: &Bound<'_, Worker>, held_ns: i64) {
        let py = worker.py();
        let context = worker.get().context(py);
        if let Some(stage) = context
            .as_ref()
            .and_then(|context| MessageContext::stage_of(context.get(), py))
        {
            self.tell(stage, PROCESS, held_ns);
        }
    }

    /// Note a step that was too long; an error of that concerns no message.
    #[cold]
    fn tell(&self, stage: &Bound<'_, PyAny>, call: &str, held_ns: i64) {
        let note = self.note.bind(stage.py());
        if let Err(error) = note.call1((stage, call, held_ns)) {
            error.write_unraisable(stage.py(), Some(note));
        }
    }
}

#[pymethods]
impl LoopWatch {
    #[new]
    #[pyo3(signature = (*, now, limit_ns, note))]
    fn new(now: Bound<'_, PyAny>, limit_ns: i64, note: Py<PyAny>) -> PyResult<Self> {
        Ok(Self {
            now: Clock::new(now)?,
            limit_ns,
            note,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.note)?;
        self.now.traverse(&visit)
    }
}
