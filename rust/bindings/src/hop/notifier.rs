//! `Notifier`: puts one route into its loop's ready list, and has a worker look at it.
//!
//! Kept separate from `pool` because it is one route's: every message that finds its route idle pays for this call.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;

use super::channel::Channel;
use super::pool::WorkerPool;

/// Called when its route may have become runnable.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Notifier {
    pool: Py<WorkerPool>,
    route: Py<PyAny>,
    inbound: Py<Channel>,
    /// Tasks that wait for room with a permit each; the owner of the list may change it.
    drivers: Py<PyAny>,
    /// True if the route is in the ready list.
    listed: AtomicBool,
}

#[pymethods]
impl Notifier {
    #[new]
    #[pyo3(signature = (*, pool, route, inbound, drivers))]
    fn new(
        pool: Py<WorkerPool>,
        route: Py<PyAny>,
        inbound: Py<Channel>,
        drivers: Py<PyAny>,
    ) -> Self {
        Self {
            pool,
            route,
            inbound,
            drivers,
            listed: AtomicBool::new(false),
        }
    }

    /// Let a worker check the route, and the drivers that wait for room.
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // First, because it raises in a thread without trio, and a listed route is not attended to again.
        self.pool.get().rouse(py)?;
        self.attend(py)?;
        let drivers = self.drivers.bind(py);
        if drivers.len()? > 0 {
            drivers.call_method0(intern!(py, "wake_all"))?;
        }
        Ok(())
    }

    /// Put the route at the tail of the ready list, unless it is listed.
    fn attend(&self, py: Python<'_>) -> PyResult<()> {
        if self.listed.swap(true, Relaxed) {
            return Ok(());
        }
        self.inbound.get().disarm();
        self.pool.get().list(self.route.bind(py))
    }

    #[getter]
    fn listed(&self) -> bool {
        self.listed.load(Relaxed)
    }

    #[setter]
    fn set_listed(&self, listed: bool) {
        self.listed.store(listed, Relaxed);
    }

    /// Visit the held objects for the garbage collector; the route, a Python object, breaks cycles.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pool)?;
        visit.call(&self.route)?;
        visit.call(&self.inbound)?;
        visit.call(&self.drivers)
    }
}
