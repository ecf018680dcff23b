//! `Clock`: the time of a loop, which is read once a message.
//!
//! Kept separate because the usual clock, Python's `time.perf_counter_ns`, costs three times as much to call as to read.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;

/// A function of Python's that says the time in nanoseconds, or the clock that it reads.
pub enum Clock {
    Asked(Py<PyAny>),
    #[cfg(target_os = "linux")]
    Read,
}

impl Clock {
    /// Return the clock that this function reads, if it is one that is known; else the function is called each time.
    pub fn new(function: Bound<'_, PyAny>) -> PyResult<Self> {
        #[cfg(target_os = "linux")]
        if is_monotonic(&function)? {
            return Ok(Self::Read);
        }
        Ok(Self::Asked(function.unbind()))
    }

    /// Return the time. Raises what the function raises.
    pub fn now_ns(&self, py: Python<'_>) -> PyResult<i64> {
        match self {
            Self::Asked(function) => function.bind(py).call0()?.extract(),
            #[cfg(target_os = "linux")]
            Self::Read => Ok(monotonic_ns()),
        }
    }

    /// Show the garbage collector the function.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Asked(function) => visit.call(function),
            #[cfg(target_os = "linux")]
            Self::Read => Ok(()),
        }
    }
}

/// True if the function is Python's own and says what the system's monotonic clock says: their origins are compared, too.
#[cfg(target_os = "linux")]
fn is_monotonic(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = function.py();
    let usual = py
        .import(intern!(py, "time"))?
        .getattr(intern!(py, "perf_counter_ns"))?;
    if !function.is(&usual) {
        return Ok(false);
    }
    let before: i64 = function.call0()?.extract()?;
    let now = monotonic_ns();
    let after: i64 = function.call0()?.extract()?;
    Ok(before <= now && now <= after)
}

#[cfg(target_os = "linux")]
fn monotonic_ns() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is there to be written. There is such a clock, so that it is.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
