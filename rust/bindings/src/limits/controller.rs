//! `LimitController` and its permits: the core's controller behind the interpreter's lock.
//!
//! A program's own algorithm is a Python object: it is given each sample after the controller's step and never in it, so
//! that no Python code runs while the state is touched. Tasks that wait for a permit are Python's, too: `_admit`, a method
//! of the Python subclass, is called when one may have become free.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use factflow_core::limits::{
    self as core, CallEnd, CallPermit, Controller, LimitBounds, Parameters, Sample, Snapshot,
};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{change_of, cycled, table};
use crate::errors;
use crate::gil_cell::GilCell;

/// A controller with an algorithm of the core's, or a Python object's limit.
#[pyclass(frozen, subclass, module = "factflow_engine._native")]
pub struct LimitController {
    controller: GilCell<Controller>,
    /// The program's own algorithm, if it is one.
    own: Option<OwnAlgorithm>,
    /// True while tasks wait for a permit.
    has_waiters: AtomicBool,
}

/// An algorithm that is a Python object.
struct OwnAlgorithm {
    /// None once the garbage collector has cleared it.
    object: GilCell<Option<Py<PyAny>>>,
    /// Time at which it wants to be asked, whatever calls there are. Algorithms of the core have none: each of them follows
    /// from calls alone.
    due_ns: GilCell<Option<u64>>,
}

impl OwnAlgorithm {
    fn new(object: Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            due_ns: GilCell::new(due_of(&object)?),
            object: GilCell::new(Some(object.unbind())),
        })
    }
}

#[pymethods]
impl LimitController {
    #[new]
    #[pyo3(signature = (algorithm, parameters, own, /, *, probe_jitter, seed, least, most, monitor_only, now_ns))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn new(
        py: Python<'_>,
        algorithm: &str,
        parameters: &Bound<'_, PyDict>,
        own: Option<Bound<'_, PyAny>>,
        probe_jitter: Option<Vec<f64>>,
        seed: u64,
        least: u32,
        most: u32,
        monitor_only: bool,
        now_ns: u64,
    ) -> PyResult<Self> {
        errors::guarded(py, || {
            let made = if let Some(own) = &own {
                core::own(own.getattr(intern!(py, "limit"))?.extract()?)
            } else {
                let jitter = probe_jitter.map(cycled);
                let parameters = Parameters::new(algorithm, table(parameters)?, jitter, seed);
                core::new_limit(algorithm, parameters)
                    .map_err(|error| PyValueError::new_err(error.to_string()))?
            };
            let bounds = LimitBounds {
                min: least,
                max: most,
            };
            Ok(Self {
                controller: GilCell::new(Controller::new(made, bounds, monitor_only, now_ns)),
                own: own.map(OwnAlgorithm::new).transpose()?,
                has_waiters: AtomicBool::new(false),
            })
        })
    }

    #[pyo3(signature = (now_ns))]
    fn try_acquire(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<Option<LimitPermit>> {
        errors::guarded(slf.py(), || {
            let state = slf.get();
            if state.is_due(slf.py(), now_ns)
                && let Err(error) = Self::do_due(slf, now_ns)
            {
                Self::note_fault(slf, error)?; // nothing that the call is to blame for
            }
            let permit = state.with(slf.py(), |controller| controller.try_acquire(now_ns));
            Ok(permit.map(|permit| LimitPermit {
                controller: slf.clone().unbind(),
                permit: GilCell::new(Some(permit)),
            }))
        })
    }

    #[pyo3(signature = (now_ns))]
    fn advance(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        errors::guarded(slf.py(), || {
            let state = slf.get();
            state.with(slf.py(), |controller| controller.advance(now_ns));
            let done = if state.is_due(slf.py(), now_ns) {
                Self::do_due(slf, now_ns)
            } else {
                Ok(())
            };
            Self::admit(slf)?;
            done
        })
    }

    /// Count a call that has to wait for a permit.
    #[pyo3(signature = (now_ns))]
    fn refuse(&self, py: Python<'_>, now_ns: u64) {
        self.with(py, |controller| controller.refuse(now_ns));
    }

    /// Tell the algorithm that a call still waits for a permit.
    #[pyo3(signature = (now_ns))]
    fn crowd(&self, py: Python<'_>, now_ns: u64) {
        self.with(py, |controller| controller.crowd(now_ns));
    }

    #[pyo3(signature = ())]
    fn freeze(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::step(slf, Controller::freeze)
    }

    #[pyo3(signature = (most, now_ns))]
    fn cap(slf: &Bound<'_, Self>, most: u32, now_ns: u64) -> PyResult<()> {
        Self::step(slf, |controller| controller.cap(most, now_ns))
    }

    #[pyo3(signature = (now_ns))]
    fn restart(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        Self::step(slf, |controller| controller.restart(now_ns))
    }

    #[pyo3(signature = (now_ns))]
    fn reset(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        Self::step(slf, |controller| controller.reset(now_ns))
    }

    /// Return the limit that was found, and the latency without a queue, if the algorithm knows it.
    fn learnt(&self, py: Python<'_>) -> (u32, Option<u64>) {
        let learnt = self.with(py, |controller| controller.snapshot());
        (learnt.limit, learnt.baseline_ns)
    }

    #[pyo3(signature = (limit, baseline_ns, now_ns))]
    fn relearn(
        slf: &Bound<'_, Self>,
        limit: u32,
        baseline_ns: Option<u64>,
        now_ns: u64,
    ) -> PyResult<()> {
        let learnt = Snapshot { limit, baseline_ns };
        Self::step(slf, |controller| controller.restore(learnt, now_ns))
    }

    #[getter]
    fn limit(&self, py: Python<'_>) -> u32 {
        self.with(py, |controller| controller.limit())
    }

    /// Calls that may start now.
    #[getter]
    fn free(&self, py: Python<'_>) -> u32 {
        self.with(py, |controller| controller.free())
    }

    #[getter]
    fn in_flight(&self, py: Python<'_>) -> u32 {
        self.with(py, |controller| controller.in_flight())
    }

    /// Time at which the program's own algorithm wants to be asked; None while it is frozen.
    #[getter]
    fn next_deadline_ns(&self, py: Python<'_>) -> Option<u64> {
        let own = self.own.as_ref()?;
        // SAFETY: a number is read.
        let due_ns = unsafe { own.due_ns.with(py, |due_ns| *due_ns) }?;
        (!self.with(py, |controller| controller.is_frozen())).then_some(due_ns)
    }

    #[getter]
    fn is_monitor_only(&self, py: Python<'_>) -> bool {
        self.with(py, |controller| controller.is_monitor_only())
    }

    #[getter]
    fn is_frozen(&self, py: Python<'_>) -> bool {
        self.with(py, |controller| controller.is_frozen())
    }

    #[getter]
    fn has_waiters(&self) -> bool {
        self.has_waiters.load(Relaxed)
    }

    #[setter]
    fn set_has_waiters(&self, has_waiters: bool) {
        self.has_waiters.store(has_waiters, Relaxed);
    }

    /// Return time, limits before and after, reason and statistics of the last change; None before the first.
    fn last_change(&self, py: Python<'_>) -> PyResult<Option<Py<PyTuple>>> {
        let change = self.with(py, |controller| controller.last_change());
        change.map(|change| change_of(py, &change)).transpose()
    }

    /// Return counts of calls, and the limit's past in brief, by name.
    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, history, now_ns) = self.with(py, |controller| {
            let history = controller.history().clone();
            (*controller.counts(), history, controller.now_ns())
        });
        let figures = PyDict::new(py);
        figures.set_item("acquired", counts.acquired)?;
        figures.set_item("refused", counts.refused)?;
        figures.set_item("answered", counts.answered)?;
        figures.set_item("dropped", counts.dropped)?;
        figures.set_item("released", counts.released)?;
        figures.set_item("stale", counts.stale)?;
        figures.set_item("least_limit", history.least())?;
        figures.set_item("median_limit", history.median(now_ns))?;
        figures.set_item("greatest_limit", history.greatest())?;
        let changes = PyDict::new(py);
        for (reason, count) in history.changes() {
            changes.set_item(reason, count)?;
        }
        figures.set_item("changes", changes)?;
        Ok(figures)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let own = self.own.as_ref();
        own.map_or(Ok(()), |own| own.object.traverse(&visit))
    }

    fn __clear__(&self, py: Python<'_>) {
        if let Some(own) = &self.own {
            drop(own.object.take(py));
        }
    }
}

impl LimitController {
    /// Call a function with the controller.
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, touch: impl FnOnce(&mut Controller) -> R) -> R {
        // SAFETY: the core runs no code of Python's: a function that draws numbers is refused, and a program's own
        // algorithm is asked in `learn`.
        unsafe { self.controller.with(py, touch) }
    }

    /// Change the controller, and let those who wait go on if there are permits now.
    fn step(slf: &Bound<'_, Self>, change: impl FnOnce(&mut Controller)) -> PyResult<()> {
        errors::guarded(slf.py(), || {
            slf.get().with(slf.py(), change);
            Self::admit(slf)
        })
    }

    /// Give the program's own algorithm a sample, and note its limit.
    #[cold]
    fn learn(&self, py: Python<'_>, own: &OwnAlgorithm, sample: &Sample) -> PyResult<()> {
        let Some(object) = own.object.get(py) else {
            return Ok(());
        };
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "start_ns"), sample.start_ns)?;
        keywords.set_item(intern!(py, "rtt_ns"), sample.rtt_ns)?;
        keywords.set_item(intern!(py, "in_flight"), sample.in_flight)?;
        keywords.set_item(intern!(py, "dropped"), sample.dropped)?;
        let object = object.bind(py);
        object.call_method(intern!(py, "on_sample"), (), Some(&keywords))?;
        self.read_own(own, object, sample.end_ns())
    }

    /// Note the limit of the program's own algorithm, and its next deadline.
    fn read_own(&self, own: &OwnAlgorithm, object: &Bound<'_, PyAny>, now_ns: u64) -> PyResult<()> {
        let py = object.py();
        let limit = object.getattr(intern!(py, "limit"))?.extract()?;
        let due_ns = due_of(object)?;
        self.with(py, |controller| controller.note_own(limit, now_ns));
        own.due_ns.replace(py, due_ns);
        Ok(())
    }

    /// True if the program's own algorithm has something to do by now.
    #[inline]
    fn is_due(&self, py: Python<'_>, now_ns: u64) -> bool {
        self.next_deadline_ns(py)
            .is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// Have the program's own algorithm do what is due.
    #[cold]
    fn do_due(slf: &Bound<'_, Self>, now_ns: u64) -> PyResult<()> {
        let (py, state) = (slf.py(), slf.get());
        let Some(own) = &state.own else {
            return Ok(());
        };
        own.due_ns.replace(py, None); // if it fails it is asked again after the next sample
        let Some(object) = own.object.get(py) else {
            return Ok(());
        };
        let object = object.bind(py);
        object.call_method1(intern!(py, "advance"), (now_ns,))?;
        state.read_own(own, object, now_ns)
    }

    /// Report an error of the program's own algorithm that no caller can handle; raise what is no `Exception`.
    #[cold]
    fn note_fault(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(slf.py()) {
            return Err(error);
        }
        slf.call_method1(intern!(slf.py(), "note_fault"), (error,))
            .map(drop)
    }

    /// Give a permit back.
    pub fn settle(
        slf: &Bound<'_, Self>,
        permit: CallPermit,
        now_ns: u64,
        outcome: CallEnd,
    ) -> PyResult<bool> {
        let (py, state) = (slf.py(), slf.get());
        let sample = state.with(py, |controller| controller.settle(permit, now_ns, outcome));
        let mut learnt = Ok(());
        if let (Some(own), Some(sample)) = (&state.own, &sample) {
            learnt = state.learn(py, own, sample);
        }
        Self::admit(slf)?; // the permit is back, whatever is wrong with the algorithm
        learnt.map(|()| sample.is_some())
    }

    /// Let tasks that wait go on if there are permits.
    fn admit(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().has_waiters() && slf.get().with(slf.py(), |controller| controller.free()) > 0 {
            slf.call_method0(intern!(slf.py(), "_admit"))?;
        }
        Ok(())
    }
}

/// Return the time at which a program's own algorithm wants to be asked, if it has one.
fn due_of(object: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    object
        .getattr(intern!(object.py(), "next_deadline_ns"))?
        .extract()
}

/// Right of one call to be in flight.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LimitPermit {
    controller: Py<LimitController>,
    /// The core's permit, until it is recorded or released.
    permit: GilCell<Option<CallPermit>>,
}

#[pymethods]
impl LimitPermit {
    #[pyo3(signature = (now_ns, dropped = false))]
    fn record(&self, py: Python<'_>, now_ns: u64, dropped: bool) -> PyResult<bool> {
        let outcome = if dropped {
            CallEnd::Dropped
        } else {
            CallEnd::Answered
        };
        self.settle(py, |_| now_ns, outcome)
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.settle(py, Controller::now_ns, CallEnd::Ignored)
            .map(drop)
    }

    #[getter]
    fn is_settled(&self, py: Python<'_>) -> bool {
        self.read(py, Option::is_none)
    }

    /// Time at which it was given; None once it was given back.
    #[getter]
    fn acquired_ns(&self, py: Python<'_>) -> Option<u64> {
        self.read(py, |permit| permit.as_ref().map(CallPermit::start_ns))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.controller)
    }
}

impl LimitPermit {
    fn read<R>(&self, py: Python<'_>, read: impl FnOnce(&Option<CallPermit>) -> R) -> R {
        // SAFETY: a permit is plain data.
        unsafe { self.permit.with(py, |permit| read(permit)) }
    }

    fn settle(
        &self,
        py: Python<'_>,
        now_ns: impl FnOnce(&Controller) -> u64,
        outcome: CallEnd,
    ) -> PyResult<bool> {
        errors::guarded(py, || {
            let Some(permit) = self.permit.replace(py, None) else {
                return Ok(false);
            };
            let controller = self.controller.bind(py);
            let now_ns = controller.get().with(py, |controller| now_ns(controller));
            LimitController::settle(controller, permit, now_ns, outcome)
        })
    }
}

impl Drop for LimitPermit {
    /// A dropped permit can never report.
    fn drop(&mut self) {
        Python::attach(|py| {
            if let Err(error) = self.release(py) {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// Return the names of an algorithm's parameters; None if there is no such algorithm.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub fn limit_parameters(py: Python<'_>, name: &str) -> PyResult<Option<Py<PyTuple>>> {
    core::parameter_names(name)
        .map(|names| Ok(PyTuple::new(py, names)?.unbind()))
        .transpose()
}
