//! Starting a coroutine without an `await`: the only way to learn, from outside, whether it has to wait.

use pyo3::exceptions::PyStopIteration;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The point that a coroutine reached.
pub enum Started<'py> {
    /// The end: the value that it returned.
    Returned(Bound<'py, PyAny>),
    /// A wait: what it waits for.
    Suspended(Bound<'py, PyAny>),
    /// No coroutine, but perhaps something else that can be awaited; nothing was done.
    Unknown,
}

/// Run a coroutine that was not started until it returns, waits or raises.
pub fn start<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Started<'py>> {
    // SAFETY: `coroutine` is a valid object while it is borrowed; the check only reads its type.
    if unsafe { ffi::PyCoro_CheckExact(coroutine.as_ptr()) } == 0 {
        return Ok(Started::Unknown);
    }
    send(coroutine, coroutine.py().None().bind(coroutine.py()))
}

/// Resume a coroutine with the value that it waited for.
pub fn send<'py>(
    coroutine: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Started<'py>> {
    let py = coroutine.py();
    let mut given = core::ptr::null_mut();
    // SAFETY: both are valid objects while they are borrowed, and PyIter_Send takes any object; `given` is written with
    // a new reference unless the answer is an error, in which case it stays null and an exception is set.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &raw mut given) {
            ffi::PySendResult::PYGEN_RETURN => {
                Ok(Started::Returned(Bound::from_owned_ptr(py, given)))
            }
            ffi::PySendResult::PYGEN_NEXT => {
                Ok(Started::Suspended(Bound::from_owned_ptr(py, given)))
            }
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}

/// Raise an exception where a coroutine waits; `error` is what `throw` takes.
pub fn throw<'py>(
    coroutine: &Bound<'py, PyAny>,
    error: &Bound<'py, PyTuple>,
) -> PyResult<Started<'py>> {
    let py = coroutine.py();
    match coroutine.call_method1(intern!(py, "throw"), error) {
        Ok(given) => Ok(Started::Suspended(given)),
        Err(raised) if raised.is_instance_of::<PyStopIteration>(py) => Ok(Started::Returned(
            raised.value(py).getattr(intern!(py, "value"))?,
        )),
        Err(raised) => Err(raised),
    }
}
