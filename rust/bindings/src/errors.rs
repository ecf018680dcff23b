//! The one map from Rust errors to the classes of `factflow_engine.errors`.
//!
//! The classes are Python's, so that they can be documented, subclassed and raised there too; each is imported once,
//! when it is first needed, because the package imports this module before it defines them.

use factflow_core::breaker;
use factflow_core::frames;
use factflow_core::value;
use pyo3::PyErrArguments;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

const MODULE: &str = "factflow_engine.errors";

static CODEC: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static TRUNCATED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CORRUPT: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// An exception of a class of `factflow_engine.errors`, or the error of importing it.
pub fn raise<A>(
    py: Python<'_>,
    class: &'static PyOnceLock<Py<PyType>>,
    name: &str,
    arguments: A,
) -> PyErr
where
    A: PyErrArguments + Send + Sync + 'static,
{
    match class.import(py, MODULE, name) {
        Ok(class) => PyErr::from_type(class.clone(), arguments),
        Err(error) => error,
    }
}

/// A value that cannot be encoded, or an argument that no frame can carry.
#[cold]
pub fn refused(py: Python<'_>, message: String) -> PyErr {
    raise(py, &CODEC, "CodecError", (message,))
}

/// A parameter of a circuit breaker outside its bounds.
#[cold]
pub fn invalid_settings(error: &breaker::SettingsError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Bytes that are not a value.
#[cold]
pub fn not_a_value(py: Python<'_>, error: &value::Error) -> PyErr {
    bytes_error(
        py,
        error.is_truncated(),
        error.to_string(),
        error.offset as u64,
    )
}

/// Bytes that are not a frame.
#[cold]
pub fn not_a_frame(py: Python<'_>, error: &frames::Error) -> PyErr {
    bytes_error(py, error.is_truncated(), error.to_string(), error.offset)
}

fn bytes_error(py: Python<'_>, is_truncated: bool, message: String, offset: u64) -> PyErr {
    if is_truncated {
        raise(py, &TRUNCATED, "TruncatedError", (message, offset))
    } else {
        raise(py, &CORRUPT, "CorruptError", (message, offset))
    }
}
