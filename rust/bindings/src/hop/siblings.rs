//! `Siblings`: the children that one message emits at one stage, made one after another.

use factflow_core::ids;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString, PyType};

use super::context::MessageContext;
use crate::frame::{Frame, Headers};
use crate::{codec, errors};

/// Makes the children of one message.
#[pyclass(module = "factflow_engine._native")]
pub struct Siblings {
    parent: Py<MessageContext>,
    ids: ids::ChildIds,
    /// The class of what carries more than a payload.
    emit: Py<PyType>,
}

#[pymethods]
impl Siblings {
    #[new]
    #[pyo3(signature = (parent, label, /))]
    fn new(py: Python<'_>, parent: Py<MessageContext>, label: u64) -> PyResult<Self> {
        Ok(Self {
            ids: ids::ChildIds::new(parent.get().fields.message_id, label),
            parent,
            emit: codec::emit(py)?.clone().unbind(),
        })
    }

    /// Return the next one: of a message value, or of an `Emit`.
    #[pyo3(signature = (given, /))]
    fn next(siblings: &Bound<'_, Self>, given: &Bound<'_, PyAny>) -> PyResult<Frame> {
        errors::guarded(given.py(), || {
            let py = given.py();
            let (parent, is_plain) = {
                let siblings = siblings.try_borrow()?;
                let is_plain = !given.get_type().is(&siblings.emit);
                (siblings.parent.clone_ref(py), is_plain)
            };
            let parent = parent.get();
            // What runs the adapter's code comes first: no borrow outlives it, and what it refuses has no ordinal.
            if is_plain {
                let payload = Some(codec::pack(given)?.unbind());
                let said = parent.fields.unlike(py, payload.as_ref());
                let id = siblings.try_borrow_mut()?.ids.next(said);
                let headers = parent.changes.headers.as_ref();
                return Ok(Frame(parent.fields.named(
                    py,
                    id,
                    payload.as_ref(),
                    headers,
                )));
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
                let payload = Some(&payload);
                let said = parent.fields.unlike(py, payload);
                siblings.try_borrow_mut()?.ids.next(said)
            } else {
                let Ok(key) = key.cast::<PyString>()?.to_str() else {
                    return Err(errors::refused(
                        py,
                        "Emit: expected a key that is text, got one with a lone surrogate"
                            .to_owned(),
                    ));
                };
                let bytes = payload.as_bytes(py);
                siblings.try_borrow_mut()?.ids.next_keyed(bytes, key)
            };
            let headers = headers.as_ref().or(parent.changes.headers.as_ref());
            Ok(Frame(parent.fields.named(py, id, Some(&payload), headers)))
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parent)
    }
}
