//! `WorkerPool`: the worker of a loop that runs, and those that could go on while it waits.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::worker::Worker;

/// State that the workers of one loop share.
#[pyclass(module = "factflow_engine._native")]
pub struct WorkerPool {
    /// The worker that runs now and will look at the ready list before it stops.
    active: Option<Py<Worker>>,
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
    pub(super) fn enter(pool: &Bound<'_, Self>, worker: &Bound<'_, Worker>) -> PyResult<()> {
        Self::set_active(pool, Some(worker.clone().unbind()))
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
            active: None,
            ready,
            parked,
            workers,
            most,
            wake,
        }
    }

    #[getter]
    fn active(&self, py: Python<'_>) -> Option<Py<Worker>> {
        self.active.as_ref().map(|worker| worker.clone_ref(py))
    }

    #[setter]
    fn set_active(pool: &Bound<'_, Self>, worker: Option<Py<Worker>>) -> PyResult<()> {
        let previous = core::mem::replace(&mut pool.try_borrow_mut()?.active, worker);
        drop(previous); // after the borrow: a worker's last reference may run code when it goes
        Ok(())
    }

    /// Note that the running worker may have to wait: another one looks at the ready list if there is something.
    pub(super) fn leave(pool: &Bound<'_, Self>) -> PyResult<()> {
        Self::set_active(pool, None)?;
        let py = pool.py();
        let wake = {
            let pool = pool.try_borrow()?;
            if !pool.ready.bind(py).is_truthy()?
                || (pool.parked.bind(py).is_empty() && pool.workers.bind(py).len() >= pool.most)
            {
                return Ok(());
            }
            pool.wake.clone_ref(py)
        };
        wake.call0(py).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.active)?;
        visit.call(&self.ready)?;
        visit.call(&self.parked)?;
        visit.call(&self.workers)?;
        visit.call(&self.wake)
    }
}
