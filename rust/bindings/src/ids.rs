//! `TimeOrderedIds`: the ids of root messages and executions.
//!
//! Kept separate from `frame` because ids are made without frames, too.

use factflow_core::ids::TimeOrdered;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;
use crate::frame::Id;
use crate::gil_cell::GilCell;

/// A source of time-ordered ids, as `factflow_engine.seams.Ids` has it.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct TimeOrderedIds {
    randomness: Py<PyAny>,
    source: GilCell<TimeOrdered>,
}

impl TimeOrderedIds {
    /// Return the first of so many consecutive ids.
    pub fn take(&self, py: Python<'_>, wall_ns: i64, count: u64) -> PyResult<Id> {
        // SAFETY: numbers are compared.
        if unsafe { self.source.with(py, |source| source.is_over(wall_ns)) } {
            let token = self
                .randomness
                .bind(py)
                .call_method1(intern!(py, "token"), (10,))?;
            let random = token.extract()?;
            // SAFETY: numbers are compared and changed. Somebody else may have been here meanwhile; then nothing is.
            unsafe {
                self.source.with(py, |source| source.renew(wall_ns, random));
            }
        }
        // SAFETY: a number is changed.
        Ok(unsafe { self.source.with(py, |source| source.take(count)) })
    }
}

#[pymethods]
impl TimeOrderedIds {
    #[new]
    #[pyo3(signature = (randomness))]
    fn from_randomness(randomness: Py<PyAny>) -> Self {
        Self {
            randomness,
            source: GilCell::new(TimeOrdered::default()),
        }
    }

    #[pyo3(name = "new", signature = (wall_ns))]
    fn next<'py>(&self, py: Python<'py>, wall_ns: i64) -> PyResult<Bound<'py, PyBytes>> {
        self.reserve(py, wall_ns, 1)
    }

    #[pyo3(signature = (wall_ns, count))]
    fn reserve<'py>(
        &self,
        py: Python<'py>,
        wall_ns: i64,
        count: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        errors::guarded(py, || Ok(PyBytes::new(py, &self.take(py, wall_ns, count)?)))
    }
}
