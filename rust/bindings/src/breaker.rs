//! `Breaker`, its settings and its permits: the core's machine behind a lock.
//!
//! The lock is held for the machine's own step and never while Python runs: events are handed to `_deliver` and
//! errors to `_classify`, both methods of the Python subclass, outside it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use factflow_core::breaker::{
    self as core, AfterHalfOpen, Call, Event, EventKind, Outcome, Recorded, RetryAfter, Settings,
    Sliding, State, Stats,
};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::errors;

/// Checked parameters, shared by the breakers of one stage.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct BreakerSettings {
    settings: Settings,
}

#[pymethods]
impl BreakerSettings {
    #[new]
    #[pyo3(signature = (*, failure_rate_threshold, slow_call_rate_threshold, slow_call_duration_ns, sliding_window_type,
        sliding_window_size, minimum_calls, wait_ns, wait_multiplier, max_wait_ns, wait_jitter, automatic_half_open,
        trial_calls, max_half_open_ns, after_half_open, lease_ns, retry_after, max_retry_after_ns))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn new(
        failure_rate_threshold: f64,
        slow_call_rate_threshold: f64,
        slow_call_duration_ns: u64,
        sliding_window_type: &str,
        sliding_window_size: u32,
        minimum_calls: u32,
        wait_ns: u64,
        wait_multiplier: f64,
        max_wait_ns: u64,
        wait_jitter: f64,
        automatic_half_open: bool,
        trial_calls: u32,
        max_half_open_ns: Option<u64>,
        after_half_open: &str,
        lease_ns: u64,
        retry_after: &str,
        max_retry_after_ns: u64,
    ) -> PyResult<Self> {
        let settings = Settings {
            failure_rate_threshold,
            slow_call_rate_threshold,
            slow_call_duration_ns,
            window: match sliding_window_type {
                "count" => Sliding::Calls(sliding_window_size),
                "time" => Sliding::Seconds(sliding_window_size),
                other => {
                    return Err(not_one_of(
                        "sliding_window_type",
                        "`count` or `time`",
                        other,
                    ));
                }
            },
            minimum_calls,
            wait_ns,
            wait_multiplier,
            max_wait_ns,
            wait_jitter,
            automatic_half_open,
            trial_calls,
            max_half_open_ns,
            after_half_open: match after_half_open {
                "open" => AfterHalfOpen::Open,
                "closed" => AfterHalfOpen::Closed,
                other => return Err(not_one_of("after_half_open", "`open` or `closed`", other)),
            },
            lease_ns,
            retry_after: match retry_after {
                "extend" => RetryAfter::Extend,
                "open" => RetryAfter::Open,
                "ignore" => RetryAfter::Ignore,
                other => {
                    let names = "`extend`, `open` or `ignore`";
                    return Err(not_one_of("retry_after", names, other));
                }
            },
            max_retry_after_ns,
        };
        settings
            .check()
            .map_err(|error| errors::invalid_settings(&error))?;
        Ok(Self { settings })
    }
}

fn not_one_of(field: &str, names: &str, got: &str) -> PyErr {
    PyValueError::new_err(format!("{field}: expected {names}, got {got:?}"))
}

/// A circuit breaker; a subclass in Python classifies errors and delivers events.
#[pyclass(frozen, subclass, module = "factflow_engine._native")]
pub struct Breaker {
    machine: Mutex<core::Machine>,
}

#[pymethods]
impl Breaker {
    #[new]
    #[pyo3(signature = (settings, seed, report_calls, /))]
    fn new(settings: &Bound<'_, BreakerSettings>, seed: u64, report_calls: bool) -> PyResult<Self> {
        let mut machine = core::Machine::new(settings.get().settings, seed, 0)
            .map_err(|error| errors::invalid_settings(&error))?;
        if report_calls {
            machine.report_calls();
        }
        Ok(Self {
            machine: Mutex::new(machine),
        })
    }

    #[pyo3(signature = (now_ns))]
    fn try_acquire(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<Option<BreakerPermit>> {
        errors::guarded(slf.py(), || {
            let (answer, events) = slf.get().machine().try_acquire(now_ns);
            // Made before events are delivered, so that dropping it gives the place back.
            let permit = answer.ok().map(|permit| BreakerPermit {
                breaker: slf.clone().unbind(),
                permit: Mutex::new(Some(permit)),
                acquired_ns: now_ns,
            });
            deliver(slf, &events)?;
            Ok(permit)
        })
    }

    #[pyo3(signature = (now_ns))]
    fn advance(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        errors::guarded(slf.py(), || {
            let events = slf.get().machine().advance(now_ns);
            deliver(slf, &events)
        })
    }

    #[pyo3(signature = (now_ns))]
    fn reset(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        errors::guarded(slf.py(), || {
            let events = slf.get().machine().reset(now_ns);
            deliver(slf, &events)
        })
    }

    #[pyo3(signature = (state, now_ns))]
    fn move_to(slf: &Bound<'_, Self>, state: &str, now_ns: u64) -> PyResult<bool> {
        errors::guarded(slf.py(), || {
            let Some(state) = State::from_name(state) else {
                let names = State::ALL.map(State::as_str).join(", ");
                return Err(not_one_of("state", &names, state));
            };
            let moved = slf.get().machine().transition_to(state, now_ns);
            moved.map_or(Ok(false), |events| deliver(slf, &events).map(|()| true))
        })
    }

    #[pyo3(signature = (wait_ns, now_ns))]
    fn move_to_open_for(slf: &Bound<'_, Self>, wait_ns: u64, now_ns: u64) -> PyResult<bool> {
        errors::guarded(slf.py(), || {
            let moved = slf.get().machine().transition_to_open_for(wait_ns, now_ns);
            moved.map_or(Ok(false), |events| deliver(slf, &events).map(|()| true))
        })
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.machine().state().as_str()
    }

    #[getter]
    fn next_deadline_ns(&self) -> Option<u64> {
        self.machine().next_deadline()
    }

    #[pyo3(signature = (now_ns))]
    fn retry_after_ns(&self, now_ns: u64) -> Option<u64> {
        self.machine().stats(Some(now_ns)).retry_after_ns
    }

    #[pyo3(signature = (now_ns))]
    fn stats_at<'py>(
        &self,
        py: Python<'py>,
        now_ns: Option<u64>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
        let stats = self.machine().stats(now_ns);
        stats_of(py, &stats)
    }
}

impl Breaker {
    fn machine(&self) -> MutexGuard<'_, core::Machine> {
        // A poisoned lock is harmless: no step of the machine can panic half-way and leave it wrong.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permit for one call of a breaker.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct BreakerPermit {
    breaker: Py<Breaker>,
    /// The core's permit, until it is recorded or released. Taken out before Python runs, because that code may use
    /// this permit.
    permit: Mutex<Option<core::Permit>>,
    #[pyo3(get)]
    acquired_ns: u64,
}

#[pymethods]
impl BreakerPermit {
    #[pyo3(signature = (now_ns, duration_ns, error=None))]
    fn record(
        &self,
        py: Python<'_>,
        now_ns: u64,
        duration_ns: u64,
        error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let Some(error) = error else {
            return self.settle(py, now_ns, duration_ns, Outcome::Success);
        };
        if self.is_settled() {
            return Err(given_back());
        }
        let verdict = self
            .breaker
            .bind(py)
            .call_method1(pyo3::intern!(py, "_classify"), (error,))?;
        let (verdict, retry_after_ns): (Bound<'_, PyAny>, Option<u64>) = verdict.extract()?;
        let outcome = match verdict.extract()? {
            "failure" => Outcome::Failure { retry_after_ns },
            "success" => Outcome::Success,
            "ignored" => Outcome::Ignored,
            _ => {
                self.release();
                return Ok(false);
            }
        };
        self.settle(py, now_ns, duration_ns, outcome)
    }

    #[pyo3(signature = (now_ns, duration_ns, retry_after_ns=None))]
    fn record_failure(
        &self,
        py: Python<'_>,
        now_ns: u64,
        duration_ns: u64,
        retry_after_ns: Option<u64>,
    ) -> PyResult<bool> {
        self.settle(py, now_ns, duration_ns, Outcome::Failure { retry_after_ns })
    }

    fn release(&self) {
        if let Some(permit) = self.permit().take() {
            self.breaker.get().machine().release(permit);
        }
    }

    #[getter]
    fn is_settled(&self) -> bool {
        self.permit().is_none()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.breaker)
    }
}

impl BreakerPermit {
    fn permit(&self) -> MutexGuard<'_, Option<core::Permit>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(
        &self,
        py: Python<'_>,
        now_ns: u64,
        duration_ns: u64,
        outcome: Outcome,
    ) -> PyResult<bool> {
        errors::guarded(py, || {
            let Some(permit) = self.permit().take() else {
                return Err(given_back());
            };
            let breaker = self.breaker.bind(py);
            let call = Call {
                duration_ns,
                outcome,
            };
            let (recorded, events) = breaker.get().machine().record(permit, now_ns, call);
            deliver(breaker, &events)?;
            Ok(recorded == Recorded::Counted)
        })
    }
}

#[cold]
fn given_back() -> PyErr {
    PyRuntimeError::new_err(
        "this permit was given back before: a call is recorded or released once; ask the breaker for another",
    )
}

impl Drop for BreakerPermit {
    /// A dropped permit can never report.
    fn drop(&mut self) {
        self.release();
    }
}

/// Hand events to the subclass, if there are any.
fn deliver(breaker: &Bound<'_, Breaker>, events: &[Event]) -> PyResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    deliver_some(breaker, events)
}

#[cold]
fn deliver_some(breaker: &Bound<'_, Breaker>, events: &[Event]) -> PyResult<()> {
    let py = breaker.py();
    let rows = events
        .iter()
        .map(|event| event_of(py, event))
        .collect::<PyResult<Vec<_>>>()?;
    breaker
        .call_method1(pyo3::intern!(py, "_deliver"), (PyTuple::new(py, rows)?,))
        .map(drop)
}

fn event_of<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("time_ns", event.time_ns)?;
    row.set_item("kind", event.kind.as_str())?;
    row.set_item("failure_rate", event.failure_rate)?;
    row.set_item("slow_call_rate", event.slow_call_rate)?;
    row.set_item("generation", event.generation)?;
    match event.kind {
        EventKind::Transition {
            from,
            to,
            reason,
            wait_ns,
        } => {
            row.set_item("from_state", from.as_str())?;
            row.set_item("to_state", to.as_str())?;
            row.set_item("reason", reason.as_str())?;
            row.set_item("wait_ns", wait_ns)?;
        }
        EventKind::LeasesExpired(count) => row.set_item("leases_expired", count)?,
        EventKind::Succeeded(duration_ns)
        | EventKind::Failed(duration_ns)
        | EventKind::Ignored(duration_ns) => {
            row.set_item("duration_ns", duration_ns)?;
        }
        EventKind::NotPermitted
        | EventKind::FailureRateExceeded
        | EventKind::SlowCallRateExceeded
        | EventKind::Reset => {}
    }
    Ok(row)
}

/// Return the state now, and the counts over life: keywords of the two Python classes.
fn stats_of<'py>(
    py: Python<'py>,
    stats: &Stats,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
    let now = PyDict::new(py);
    now.set_item("state", stats.state.as_str())?;
    now.set_item("since_ns", stats.since_ns)?;
    now.set_item("generation", stats.generation)?;
    now.set_item("calls", stats.window.calls)?;
    now.set_item("failed", stats.window.failed)?;
    now.set_item("slow", stats.window.slow)?;
    now.set_item("failure_rate", stats.failure_rate)?;
    now.set_item("slow_call_rate", stats.slow_call_rate)?;
    now.set_item("rejected", stats.rejected)?;
    now.set_item("attempt", stats.attempt)?;
    now.set_item("trial_places", stats.trial_places)?;
    now.set_item("retry_after_ns", stats.retry_after_ns)?;
    let totals = PyDict::new(py);
    totals.set_item("permitted", stats.totals.permitted)?;
    totals.set_item("rejected", stats.totals.rejected)?;
    totals.set_item("succeeded", stats.totals.succeeded)?;
    totals.set_item("failed", stats.totals.failed)?;
    totals.set_item("slow", stats.totals.slow)?;
    totals.set_item("ignored", stats.totals.ignored)?;
    totals.set_item("released", stats.totals.released)?;
    totals.set_item("unrecorded", stats.totals.unrecorded)?;
    totals.set_item("stale", stats.totals.stale)?;
    totals.set_item("leases_expired", stats.totals.leases_expired)?;
    totals.set_item("in_flight", stats.totals.in_flight)?;
    Ok((now, totals))
}
