//! `Siblings`: the children that one message emits at one stage, made one after another.

use factflow_core::ids;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString, PyType};

use super::context::MessageContext;
use crate::frame::{Fields, Frame, Headers, Id};
use crate::gil_cell::GilCell;
use crate::{codec, errors};

/// Factory of the children of one message.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Siblings {
    pub(super) parent: Py<MessageContext>,
    ids: GilCell<ids::ChildIds>,
    /// The class of what carries more than a payload.
    emit: Py<PyType>,
}

impl Siblings {
    /// Return the next one: of a message value, or of an `Emit`.
    pub(super) fn make(&self, given: &Bound<'_, PyAny>) -> PyResult<Fields> {
        let py = given.py();
        let parent = self.parent.get();
        // What runs the adapter's code comes first: what it refuses has no ordinal.
        if !given.get_type().is(&self.emit) {
            let payload = Some(codec::pack(given)?.unbind());
            let id = self.next_id(py, parent.fields.unlike(py, payload.as_ref()));
            let headers = parent.changes.headers.as_ref();
            return Ok(parent.fields.named(py, id, payload.as_ref(), headers));
        }
        let payload = codec::pack(&given.getattr(intern!(py, "payload"))?)?.unbind();
        let key = given.getattr(intern!(py, "key"))?;
        let headers = given.getattr(intern!(py, "headers"))?;
        let headers = if headers.is_none() {
            None
        } else {
            let merged = parent.merged(headers.cast::<PyMapping>()?)?;
            Some(Headers::of(&merged)?)
        };
        let id = if key.is_none() {
            self.next_id(py, parent.fields.unlike(py, Some(&payload)))
        } else {
            let Ok(key) = key.cast::<PyString>()?.to_str() else {
                return Err(errors::refused(
                    py,
                    "Emit: expected a key that is text, got one with a lone surrogate".to_owned(),
                ));
            };
            let bytes = payload.as_bytes(py);
            // SAFETY: bytes and a text are read.
            unsafe { self.ids.with(py, |ids| ids.next_keyed(bytes, key)) }
        };
        let headers = headers.as_ref().or(parent.changes.headers.as_ref());
        Ok(parent.fields.named(py, id, Some(&payload), headers))
    }

    fn next_id(&self, py: Python<'_>, said: Option<&[u8]>) -> Id {
        // SAFETY: bytes are read.
        unsafe { self.ids.with(py, |ids| ids.next(said)) }
    }
}

#[pymethods]
impl Siblings {
    #[new]
    #[pyo3(signature = (parent, label, /))]
    fn new(py: Python<'_>, parent: Py<MessageContext>, label: u64) -> PyResult<Self> {
        Ok(Self {
            ids: GilCell::new(ids::ChildIds::new(parent.get().fields.message_id, label)),
            parent,
            emit: codec::emit(py)?.clone().unbind(),
        })
    }

    /// Return the next one: of a message value, or of an `Emit`.
    #[pyo3(signature = (given, /))]
    fn next(&self, given: &Bound<'_, PyAny>) -> PyResult<Frame> {
        errors::guarded(given.py(), || Ok(Frame(self.make(given)?)))
    }

    /// Return the number of children made so far.
    #[getter]
    fn made(&self, py: Python<'_>) -> u64 {
        // SAFETY: a number is read.
        unsafe { self.ids.with(py, |ids| ids.count()) }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parent)
    }
}
