//! `FieldPath`: the value of one field of a message given as its bytes, without decoding the rest.

use factflow_core::conditions;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::{codec, errors};

/// Path of one field of a message.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct FieldPath {
    path: conditions::FieldLocator,
    text: String,
}

#[pymethods]
impl FieldPath {
    #[new]
    #[pyo3(signature = (text, /))]
    fn new(text: String) -> PyResult<Self> {
        match conditions::FieldLocator::parse(&text) {
            Ok(path) => Ok(Self { path, text }),
            Err(error) => Err(errors::invalid_path(&error)),
        }
    }

    /// Return the field's value in a message; None if it has no such field, or it is nil.
    #[pyo3(signature = (payload, /))]
    fn value<'py>(&self, payload: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyAny>>> {
        errors::guarded(payload.py(), || {
            let py = payload.py();
            let found = self
                .path
                .find(payload.as_bytes())
                .map_err(|error| errors::not_a_value(py, &error))?;
            found.map(|bytes| codec::build(py, bytes)).transpose()
        })
    }

    fn __repr__(&self) -> String {
        format!("FieldPath({:?})", self.text)
    }
}
