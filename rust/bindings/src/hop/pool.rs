//! `WorkerPool`: the worker of a loop that runs, and those that could go on while it waits.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::worker::Worker;
use crate::gil_cell::GilCell;

/// State that the workers of one loop share.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct WorkerPool {
    /// The worker that runs now and will look at the ready list before it stops.
    active: GilCell<Option<Py<Worker>>>,
    /// Routes with work; the owner of the list may change it.
    ready: Py<PyAny>,
    /// Workers that wait for work, and all of them; the owner of the lists may change them.
    parked: Py<PyList>,
    workers: Py<PyList>,
    /// Most workers that there may be.
    most: usize,
    /// Has one of them look at the ready list.
    wake: Py<PyAny>,
}

impl WorkerPool {
    /// Note that this worker runs.
    pub(super) fn enter(&self, worker: &Bound<'_, Worker>) {
        self.set_active(worker.py(), Some(worker.clone().unbind()));
    }

    /// Wake a worker, unless one runs that will check the ready list.
    pub(super) fn rouse(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: an option is looked at.
        if unsafe { self.active.with(py, |active| active.is_some()) } {
            return Ok(());
        }
        self.wake.bind(py).call0().map(drop)
    }

    /// Put a route at the tail of the ready list.
    pub(super) fn list(&self, route: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = route.py();
        let ready = self.ready.bind(py);
        ready
            .call_method1(intern!(py, "append"), (route,))
            .map(drop)
    }
}

#[pymethods]
impl WorkerPool {
    #[new]
    #[pyo3(signature = (*, ready, parked, workers, most, wake))]
    fn new(
        ready: Py<PyAny>,
        parked: Py<PyList>,
        workers: Py<PyList>,
        most: usize,
        wake: Py<PyAny>,
    ) -> Self {
        Self {
            active: GilCell::default(),
            ready,
            parked,
            workers,
            most,
            wake,
        }
    }

    #[getter]
    fn active(&self, py: Python<'_>) -> Option<Py<Worker>> {
        self.active.get(py)
    }

    /// Leave this time out of the attempt of the running worker, whose message waited for a permit of its stage.
    #[pyo3(signature = (waited_ns, /))]
    fn leave_out(&self, py: Python<'_>, waited_ns: u64) {
        if let Some(worker) = self.active.get(py) {
            worker.get().postpone(py, waited_ns);
        }
    }

    #[setter]
    fn set_active(&self, py: Python<'_>, worker: Option<Py<Worker>>) {
        drop(self.active.replace(py, worker)); // a worker's last reference may run code when it goes
    }

    /// Note that the running worker may have to wait: another one looks at the ready list if there is something.
    pub(super) fn leave(&self, py: Python<'_>) -> PyResult<()> {
        self.set_active(py, None);
        if !self.ready.bind(py).is_truthy()?
            || (self.parked.bind(py).is_empty() && self.workers.bind(py).len() >= self.most)
        {
            return Ok(());
        }
        self.wake.bind(py).call0().map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.active.traverse(&visit)?;
        visit.call(&self.ready)?;
        visit.call(&self.parked)?;
        visit.call(&self.workers)?;
        visit.call(&self.wake)
    }
}
