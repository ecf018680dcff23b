//! `ConcurrencyLimit`: an algorithm of the core behind the interpreter's lock. `controller` gives permits by one.
//!
//! An injected source of randomness is a Python function: it is called before the algorithm's step and never in it, so
//! that no Python code runs while the state is touched.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use factflow_core::limits::{self as core, Change, Jitter, Limit, Parameters, Sample, Value};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::errors;
use crate::gil_cell::GilCell;

pub mod controller;

/// Numbers that were drawn for an algorithm, and not taken yet.
type Drawn = Arc<Mutex<VecDeque<f64>>>;

/// Draws that a new algorithm may take; a step takes one at most.
const FIRST_DRAWS: usize = 2;

/// A concurrency limit by one of the algorithms.
#[pyclass(frozen, subclass, module = "factflow_engine._native")]
pub struct ConcurrencyLimit {
    algorithm: GilCell<Box<dyn Limit>>,
    name: String,
    draw: Option<(GilCell<Option<Py<PyAny>>>, Drawn)>,
}

#[pymethods]
impl ConcurrencyLimit {
    #[new]
    #[pyo3(signature = (name, parameters, probe_jitter, seed, /))]
    fn new(
        py: Python<'_>,
        name: &str,
        parameters: &Bound<'_, PyDict>,
        probe_jitter: Option<Bound<'_, PyAny>>,
        seed: u64,
    ) -> PyResult<Self> {
        let mut draw = None;
        let jitter = match probe_jitter {
            None => None,
            Some(jitter) if jitter.is_callable() => {
                let drawn = Drawn::default();
                draw_up_to(&jitter, &drawn, FIRST_DRAWS)?;
                draw = Some((GilCell::new(Some(jitter.unbind())), Arc::clone(&drawn)));
                Some(Jitter::Call(Box::new(move || {
                    locked(&drawn).pop_front().unwrap_or(1.0)
                })))
            }
            Some(jitter) => Some(cycled(jitter.extract()?)),
        };
        let parameters = Parameters::new(name, table(parameters)?, jitter, seed);
        let algorithm = errors::guarded(py, || {
            core::new_limit(name, parameters)
                .map_err(|error| PyValueError::new_err(error.to_string()))
        })?;
        Ok(Self {
            algorithm: GilCell::new(algorithm),
            name: name.to_owned(),
            draw,
        })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    #[getter]
    fn limit(&self, py: Python<'_>) -> u32 {
        // SAFETY: an algorithm runs no code of Python's.
        unsafe { self.algorithm.with(py, |algorithm| algorithm.limit()) }
    }

    #[pyo3(signature = (*, start_ns, rtt_ns, in_flight, dropped = false))]
    fn on_sample(
        &self,
        py: Python<'_>,
        start_ns: u64,
        rtt_ns: u64,
        in_flight: u32,
        dropped: bool,
    ) -> PyResult<()> {
        let sample = Sample {
            start_ns,
            rtt_ns,
            in_flight,
            dropped,
        };
        let mut is_accepted = true;
        self.step(py, |algorithm| {
            if algorithm.counts_starts() {
                return Err("counts the calls itself: use on_start() and on_finish()");
            }
            is_accepted = algorithm.accepts(&sample);
            if is_accepted {
                algorithm.sampled(&sample);
            }
            Ok(())
        })?;
        if !is_accepted {
            let text = format!(
                "{}, rtt_ns: expected a number above 0, got {rtt_ns}",
                self.name
            );
            return Err(PyValueError::new_err(text));
        }
        Ok(())
    }

    #[pyo3(signature = (now_ns))]
    fn on_start(&self, py: Python<'_>, now_ns: u64) -> PyResult<()> {
        self.step(py, |algorithm| {
            if !algorithm.counts_starts() {
                return Err("takes samples: use on_sample()");
            }
            algorithm.started(now_ns);
            Ok(())
        })
    }

    #[pyo3(signature = (now_ns))]
    fn on_blocked(&self, py: Python<'_>, now_ns: u64) -> PyResult<()> {
        self.step(py, |algorithm| {
            algorithm.blocked(now_ns);
            Ok(())
        })
    }

    #[pyo3(signature = (now_ns, start_ns, outcome = "success"))]
    fn on_finish(&self, py: Python<'_>, now_ns: u64, start_ns: u64, outcome: &str) -> PyResult<()> {
        let dropped = match outcome {
            "success" => Some(false),
            "dropped" => Some(true),
            "ignored" => None,
            other => {
                let text =
                    format!("outcome: expected `success`, `dropped` or `ignored`, got {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        self.step(py, |algorithm| {
            if !algorithm.counts_starts() {
                return Err("takes samples: use on_sample()");
            }
            match dropped {
                Some(dropped) => algorithm.sampled(&Sample {
                    start_ns,
                    rtt_ns: now_ns.saturating_sub(start_ns),
                    in_flight: 0,
                    dropped,
                }),
                None => algorithm.ignored(now_ns),
            }
            Ok(())
        })
    }

    /// Return time, limits before and after, reason and statistics of the last change; None before the first.
    fn last_change(&self, py: Python<'_>) -> PyResult<Option<Py<PyTuple>>> {
        // SAFETY: an algorithm runs no code of Python's, and a change is plain data.
        let change = unsafe {
            self.algorithm
                .with(py, |algorithm| algorithm.last_change().copied())
        };
        change.map(|change| change_of(py, &change)).transpose()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.draw {
            Some((function, _)) => function.traverse(&visit),
            None => Ok(()),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        if let Some((function, _)) = &self.draw {
            drop(function.take(py));
        }
    }
}

impl ConcurrencyLimit {
    /// Do a step of the algorithm; an error says what the algorithm does not do.
    fn step(
        &self,
        py: Python<'_>,
        step: impl FnOnce(&mut dyn Limit) -> Result<(), &'static str>,
    ) -> PyResult<()> {
        if let Some((function, drawn)) = &self.draw
            && let Some(function) = function.get(py)
        {
            draw_up_to(function.bind(py), drawn, 1)?;
        }
        errors::guarded(py, || {
            // SAFETY: an algorithm runs no code of Python's: its numbers were drawn above.
            let done = unsafe { self.algorithm.with(py, |algorithm| step(&mut **algorithm)) };
            done.map_err(|problem| PyTypeError::new_err(format!("{}: it {problem}", self.name)))
        })
    }
}

fn locked(drawn: &Drawn) -> MutexGuard<'_, VecDeque<f64>> {
    drawn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Call the function until so many numbers are there; no lock is held meanwhile.
fn draw_up_to(function: &Bound<'_, PyAny>, drawn: &Drawn, count: usize) -> PyResult<()> {
    while locked(drawn).len() < count {
        let number: f64 = function.call0()?.extract()?;
        if !(0.0..=1.0).contains(&number) {
            let text = format!("probe_jitter: expected a number from 0 to 1, got {number}");
            return Err(PyValueError::new_err(text));
        }
        locked(drawn).push_back(number);
    }
    Ok(())
}

/// Return a change as Python's class takes it.
fn change_of(py: Python<'_>, change: &Change) -> PyResult<Py<PyTuple>> {
    let statistics = PyDict::new(py);
    for (name, number) in change.statistics() {
        statistics.set_item(name, number)?;
    }
    let parts = (
        change.at_ns,
        change.from,
        change.to,
        change.reason,
        statistics,
    );
    Ok(parts.into_pyobject(py)?.unbind())
}

/// Return numbers that are taken in turn.
fn cycled(numbers: Vec<f64>) -> Jitter {
    Jitter::Cycle(numbers, 0)
}

/// Return parameters as the core takes them: numbers, and mappings of numbers.
pub fn table(parameters: &Bound<'_, PyDict>) -> PyResult<BTreeMap<String, Value>> {
    parameters
        .iter()
        .map(|(name, value)| {
            let name: String = name.extract()?;
            let value = if let Ok(part) = value.cast::<PyDict>() {
                Value::Table(table(part)?)
            } else {
                Value::Number(value.extract().map_err(|_| {
                    let text = format!("{name}: expected a number, got {value:?}");
                    PyTypeError::new_err(text)
                })?)
            };
            Ok((name, value))
        })
        .collect()
}

/// Add the names of the algorithms to the module.
pub fn add_names(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LIMIT_ALGORITHMS", PyTuple::new(module.py(), core::NAMES)?)
}
