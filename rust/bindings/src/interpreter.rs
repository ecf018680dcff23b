//! The interpreter that may import the module: kept separate so that `lib` is an index.

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Refuse to be imported into another interpreter than the main one.
///
/// Classes and caches of this module belong to the process, and Python objects to one interpreter. Called before the
/// first class is made: a class that is made in a subinterpreter would be of no use to the main one.
pub fn refuse_subinterpreter() -> PyResult<()> {
    // SAFETY: the thread is attached to an interpreter, for it is importing this module.
    let is_main = unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() };
    if is_main {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "factflow-engine runs in a process's main interpreter: expected that one, got a subinterpreter; \
         import it there, or run it in a process of its own",
    ))
}
