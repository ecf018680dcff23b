//! The one map from Rust errors to the classes of `factflow_engine.errors`.
//!
//! The classes are Python's, so that they can be documented, subclassed and raised there too; each is imported once,
//! when it is first needed, because the package imports this module before it defines them.

use core::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factflow_core::breaker::SettingsError;
use factflow_core::conditions::{Finding, PathError, PathStep};
use factflow_core::examples::ExamplesError;
use factflow_core::frames::FrameError;
use factflow_core::value::ValueError;
use pyo3::IntoPyObjectExt;
use pyo3::PyErrArguments;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

const MODULE: &str = "factflow_engine.errors";

static CONDITION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CONDITIONS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CODEC: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static TRUNCATED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static PANIC: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CORRUPT: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Return an exception of a class of `factflow_engine.errors`, or the error of importing it.
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

/// Return the error of a value that cannot be encoded, or of an argument that no frame can carry.
#[cold]
pub fn refused(py: Python<'_>, message: String) -> PyErr {
    raise(py, &CODEC, "CodecError", (message,))
}

/// Return the error of a parameter of a circuit breaker outside its bounds.
#[cold]
pub fn invalid_settings(error: &SettingsError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Return the error of a text that is no path of one field.
#[cold]
pub fn invalid_path(error: &PathError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Return the error of demands of which it is not known whether any text meets them.
#[cold]
pub fn no_example(error: &ExamplesError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Call a function that must not panic; raise an exception if it does, because a panic in Python ends programs.
pub fn guarded<R>(py: Python<'_>, call: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    // Unwind safety: each structure is valid after any step, or its lock's poison is checked.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(py, &*panic)))
}

#[cold]
fn panicked(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason was given");
    raise(py, &PANIC, "NativePanicError", (said.to_owned(),))
}

/// Return the error of bytes that are not a value.
#[cold]
pub fn not_a_value(py: Python<'_>, error: &ValueError) -> PyErr {
    bytes_error(
        py,
        error.is_truncated(),
        error.to_string(),
        error.offset() as u64,
    )
}

/// Return the error of bytes that are not a frame.
#[cold]
pub fn not_a_frame(py: Python<'_>, error: &FrameError) -> PyErr {
    bytes_error(py, error.is_truncated(), error.to_string(), error.offset())
}

fn bytes_error(py: Python<'_>, is_truncated: bool, message: String, offset: u64) -> PyErr {
    if is_truncated {
        raise(py, &TRUNCATED, "TruncatedError", (message, offset))
    } else {
        raise(py, &CORRUPT, "CorruptError", (message, offset))
    }
}

/// Return all that is wrong with one condition, or with the conditions of one table.
#[cold]
pub fn conditions(py: Python<'_>, findings: &[Finding]) -> PyErr {
    let errors = || -> PyResult<Py<PyTuple>> {
        let class = CONDITION.import(py, MODULE, "ConditionError")?;
        let errors = findings.iter().map(|finding| {
            let path = finding.path.iter().map(|step| match step {
                PathStep::Key(key) => (&**key).into_bound_py_any(py),
                PathStep::Index(index) => index.into_bound_py_any(py),
            });
            let path = PyTuple::new(py, path.collect::<PyResult<Vec<_>>>()?)?;
            class.call1((
                finding.code.as_str(),
                path,
                &finding.problem,
                &finding.remedy,
            ))
        });
        Ok(PyTuple::new(py, errors.collect::<PyResult<Vec<_>>>()?)?.unbind())
    };
    match errors() {
        Ok(errors) => raise(py, &CONDITIONS, "ConditionErrors", (errors,)),
        Err(error) => error,
    }
}

/// Panic, for the test that a panic becomes an exception.
#[pyfunction]
#[pyo3(signature = (said, /))]
pub fn panic_on_purpose(py: Python<'_>, said: &str) -> PyResult<()> {
    guarded(py, || panic!("{said}"))
}
