//! `Journal`: the ids of messages that have ended, to be acknowledged where they came from.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::frame::{Frame, Id};

/// Ids of messages that have ended, in that order.
#[pyclass(module = "factflow_engine._native")]
pub struct Journal {
    ids: Vec<Id>,
    /// Told when the first one after a `take` was noted.
    tell: Py<PyAny>,
}

impl Journal {
    pub fn add(journal: &Bound<'_, Self>, id: Id) -> PyResult<()> {
        let tell = {
            let mut journal = journal.try_borrow_mut()?;
            journal.ids.push(id);
            (journal.ids.len() == 1).then(|| journal.tell.clone_ref(journal.py()))
        };
        tell.map_or(Ok(()), |tell| tell.call0(journal.py()).map(drop))
    }
}

#[pymethods]
impl Journal {
    #[new]
    #[pyo3(signature = (tell, /))]
    fn new(tell: Py<PyAny>) -> Self {
        Self {
            ids: Vec::new(),
            tell,
        }
    }

    /// Note that a message has ended.
    #[pyo3(signature = (frame, /))]
    fn note(journal: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        Self::add(journal, frame.get().0.message_id)
    }

    /// Return the ids noted since the last time.
    fn take<'py>(journal: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = journal.py();
        let ids = core::mem::take(&mut journal.try_borrow_mut()?.ids);
        PyList::new(py, ids.iter().map(|id| PyBytes::new(py, id)))
    }

    fn __len__(&self) -> usize {
        self.ids.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.tell)
    }
}
