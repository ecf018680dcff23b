//! Algorithms that are compared: a built-in one by name, or a Python function that makes one of the program's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use factflow_core::limits::simulation::{Scenario, contender};
use factflow_core::limits::{Change, Limit, Sample, Snapshot, Value};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::limits::table;

/// An algorithm that is compared with others.
pub(super) enum Contender {
    Native(Native),
    /// A function that makes one for a route.
    Foreign(Py<PyAny>),
}

impl Contender {
    /// Take a pair of name and parameters, or a function.
    pub(super) fn from_python(given: Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_callable() {
            return Ok(Self::Foreign(given.unbind()));
        }
        let (name, parameters): (String, Bound<'_, PyDict>) = given.extract()?;
        let parameters = table(&parameters)?;
        Ok(Self::Native(Native { name, parameters }))
    }
}

/// A built-in algorithm with its own parameters.
pub(super) struct Native {
    name: String,
    parameters: BTreeMap<String, Value>,
}

impl Native {
    /// Refuse a name or a parameter that cannot be.
    pub(super) fn check(&self, scenario: &Scenario) -> PyResult<()> {
        contender(&self.name, &self.parameters, scenario, 0)
            .map(drop)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Return what makes one for each route; it was checked.
    pub(super) fn maker(&self, scenario: &Scenario) -> impl FnMut() -> Box<dyn Limit> {
        let mut joined = 0;
        move || {
            joined += 1;
            contender(&self.name, &self.parameters, scenario, joined)
                .unwrap_or_else(|_| Box::new(StoppedLimit))
        }
    }
}

/// First error of a program's own algorithm.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<PyErr>>>);

impl Failure {
    pub(super) fn has_one(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Keep an error if it is the first; return true if there was one.
    pub(super) fn note<T>(&self, result: PyResult<T>) -> bool {
        let Err(error) = result else {
            return false;
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        true
    }

    pub(super) fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A program's own algorithm; after its first error it says what it last said.
pub(super) struct Foreign {
    algorithm: Py<PyAny>,
    limit: u32,
    failure: Failure,
}

impl Foreign {
    /// Make one for a route; an error is kept, and ends the run.
    pub(super) fn boxed(py: Python<'_>, factory: &Py<PyAny>, failure: &Failure) -> Box<dyn Limit> {
        let made = || -> PyResult<Self> {
            let algorithm = factory.call0(py)?;
            let limit = algorithm.getattr(py, intern!(py, "limit"))?.extract(py)?;
            Ok(Self {
                algorithm,
                limit,
                failure: failure.clone(),
            })
        };
        match made() {
            Ok(foreign) => Box::new(foreign),
            Err(error) => {
                failure.note::<()>(Err(error));
                Box::new(StoppedLimit)
            }
        }
    }

    fn learn(&self, py: Python<'_>, sample: &Sample) -> PyResult<u32> {
        let arguments = PyDict::new(py);
        arguments.set_item(intern!(py, "start_ns"), sample.start_ns)?;
        arguments.set_item(intern!(py, "rtt_ns"), sample.rtt_ns)?;
        arguments.set_item(intern!(py, "in_flight"), sample.in_flight)?;
        arguments.set_item(intern!(py, "dropped"), sample.dropped)?;
        let algorithm = self.algorithm.bind(py);
        algorithm.call_method(intern!(py, "on_sample"), (), Some(&arguments))?;
        algorithm.getattr(intern!(py, "limit"))?.extract()
    }
}

impl Limit for Foreign {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn last_change(&self) -> Option<&Change> {
        None
    }

    fn restore(&mut self, _snapshot: Snapshot, _now_ns: u64) {}

    fn sampled(&mut self, sample: &Sample) {
        if self.failure.has_one() {
            return;
        }
        match Python::attach(|py| self.learn(py, sample)) {
            Ok(limit) => self.limit = limit,
            Err(error) => {
                self.failure.note::<()>(Err(error));
            }
        }
    }
}

/// The limit in place of one that could not be made: the run is stopped.
pub(super) struct StoppedLimit;

impl Limit for StoppedLimit {
    fn limit(&self) -> u32 {
        1
    }

    fn last_change(&self) -> Option<&Change> {
        None
    }

    fn restore(&mut self, _snapshot: Snapshot, _now_ns: u64) {}

    fn sampled(&mut self, _sample: &Sample) {}
}
