//! `Clock`: the monotonic clock of a loop, read once a message, or the wall clock, read once for each message from
//! outside.
//!
//! Kept separate because the usual clocks, `time.perf_counter_ns` and `time.time_ns`, cost three times as much to call as
//! to read.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;

/// A Python function that returns the time in nanoseconds, or the system clock that it reads.
pub enum Clock {
    Asked(Py<PyAny>),
    #[cfg(target_os = "linux")]
    Read(libc::clockid_t),
}

impl Clock {
    /// Return the monotonic clock that this function reads, if it is the usual one; else the function is called each time.
    pub fn new(function: Bound<'_, PyAny>) -> PyResult<Self> {
        #[cfg(target_os = "linux")]
        if reads(&function, "perf_counter_ns", libc::CLOCK_MONOTONIC)? {
            return Ok(Self::Read(libc::CLOCK_MONOTONIC));
        }
        Ok(Self::Asked(function.unbind()))
    }

    /// Return the clock of wall time that this function reads, likewise.
    pub fn wall(function: Bound<'_, PyAny>) -> PyResult<Self> {
        #[cfg(target_os = "linux")]
        if reads(&function, "time_ns", libc::CLOCK_REALTIME)? {
            return Ok(Self::Read(libc::CLOCK_REALTIME));
        }
        Ok(Self::Asked(function.unbind()))
    }

    /// Return the time. Raises what the function raises.
    pub fn now_ns(&self, py: Python<'_>) -> PyResult<i64> {
        match self {
            Self::Asked(function) => function.bind(py).call0()?.extract(),
            #[cfg(target_os = "linux")]
            Self::Read(clock) => Ok(read_ns(*clock)),
        }
    }

    /// Return the time of the clock's last tick: some milliseconds late, and a quarter of the price. A function is asked as
    /// for the time.
    pub fn coarse_ns(&self, py: Python<'_>) -> PyResult<i64> {
        match self {
            Self::Asked(_) => self.now_ns(py),
            #[cfg(target_os = "linux")]
            Self::Read(libc::CLOCK_MONOTONIC) => Ok(read_ns(libc::CLOCK_MONOTONIC_COARSE)),
            #[cfg(target_os = "linux")]
            Self::Read(clock) => Ok(read_ns(*clock)),
        }
    }

    /// Visit the function for the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Asked(function) => visit.call(function),
            #[cfg(target_os = "linux")]
            Self::Read(_) => Ok(()),
        }
    }
}

/// True if the function is Python's own of this name and agrees with the system's clock; their origins are compared,
/// too.
#[cfg(target_os = "linux")]
fn reads(function: &Bound<'_, PyAny>, name: &str, clock: libc::clockid_t) -> PyResult<bool> {
    let py = function.py();
    let usual = py.import(intern!(py, "time"))?.getattr(name)?;
    if !function.is(&usual) {
        return Ok(false);
    }
    let before: i64 = function.call0()?.extract()?;
    let now = read_ns(clock);
    let after: i64 = function.call0()?.extract()?;
    Ok(before <= now && now <= after)
}

#[cfg(target_os = "linux")]
fn read_ns(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is there to be written. There are both clocks, so that it is.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
