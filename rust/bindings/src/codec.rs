//! `pack`, `unpack` and `validate`: Python objects to msgpack bytes and back, without a tree in between.
//!
//! Measured against the same code in safe `PyO3` alone; each of the few remaining unsafe calls names its reason. Both
//! directions check the same limits, so that packed values can be unpacked.

mod builder;
mod classes;
mod error;
mod keys;
mod limits;
mod packer;

use factflow_core::value;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

pub use builder::build;
pub use classes::emit;
pub use limits::LIMITS;
pub use packer::{pack_mapping, with_buffer};

/// Return the msgpack bytes of a value, for Python.
#[pyfunction]
#[pyo3(name = "pack", signature = (value, /))]
pub fn pack_value<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    errors::guarded(value.py(), || pack(value))
}

/// Return the msgpack bytes of a value.
pub fn pack<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    with_buffer(|out| {
        packer::pack_root(out, value).map_err(|refusal| refusal.into_error(py, "message"))?;
        Ok(PyBytes::new(py, out))
    })
}

/// Return the value of msgpack bytes.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub fn unpack<'py>(data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    errors::guarded(data.py(), || build(data.py(), data.as_bytes()))
}

/// Check bytes as `unpack` does, and build nothing.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub fn validate(data: &Bound<'_, PyBytes>) -> PyResult<()> {
    errors::guarded(data.py(), || {
        value::validate(data.as_bytes(), &LIMITS)
            .map_err(|error| errors::not_a_value(data.py(), &error))
    })
}

/// Return the stable 64-bit label of a text.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub fn label_of(text: &str) -> u64 {
    factflow_core::ids::label(text)
}
