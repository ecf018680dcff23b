//! The Python classes that the packer looks for in adapters' values, and the conversion of a `datetime` to an
//! instant.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyDeltaAccess, PyType, PyTzInfo};

static TIMESTAMP: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static EXT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static EMIT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();

/// `factflow_protocols.Timestamp`.
pub fn timestamp(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    TIMESTAMP.import(py, "factflow_protocols", "Timestamp")
}

/// `factflow_protocols.Ext`.
pub fn ext(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    EXT.import(py, "factflow_protocols", "Ext")
}

/// `factflow_protocols.Emit`, which is no message value itself.
pub fn emit(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    EMIT.import(py, "factflow_protocols", "Emit")
}

/// Return seconds since the epoch and nanoseconds forward from them; None for a `datetime` without an offset.
pub fn instant(value: &Bound<'_, PyDateTime>) -> PyResult<Option<(i64, u32)>> {
    let py = value.py();
    if value
        .call_method0(pyo3::intern!(py, "utcoffset"))?
        .is_none()
    {
        return Ok(None);
    }
    let epoch = EPOCH.get_or_try_init(py, || {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    let since = value.sub(epoch.bind(py))?.cast_into::<PyDelta>()?;
    // Python normalises: days carry the sign, seconds and microseconds are never negative.
    let seconds = i64::from(since.get_days()) * 86_400 + i64::from(since.get_seconds());
    let nanoseconds = u32::try_from(since.get_microseconds()).unwrap_or(0) * 1_000;
    Ok(Some((seconds, nanoseconds)))
}
