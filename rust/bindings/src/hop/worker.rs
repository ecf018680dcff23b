//! `Worker`: the work of one worker of the loop, for the loop and for reports of which worker holds what.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyList, PySet};

use super::context::MessageContext;

/// One worker's state.
#[pyclass(module = "factflow_engine._native")]
#[derive(Default)]
pub struct Worker {
    /// The route it serves.
    #[pyo3(get)]
    route: Option<Py<PyAny>>,
    /// The message it carries, at the stage that has it.
    #[pyo3(get)]
    pub context: Option<Py<MessageContext>>,
    /// The awaitable that it waits for: an adapter's coroutine that was started, or another awaitable that was not.
    #[pyo3(get)]
    pub pending: Option<Py<PyAny>>,
    /// The value that the coroutine gave to be waited for, or that the adapter returned.
    #[pyo3(get)]
    pub value: Option<Py<PyAny>>,
    /// When its message began, in the loop's time.
    #[pyo3(get, set)]
    pub since_ns: i64,
    /// When the others of the program get their turn.
    #[pyo3(get, set)]
    pub until_ns: i64,
    /// Messages that the route may still give it in this turn.
    #[pyo3(get, set)]
    pub left: i64,
    /// Messages that it may still take before it yields even if the clock stands still.
    #[pyo3(get, set)]
    turns: i64,
    /// The context variables of its task, and those that each message begins with; None: nobody asks.
    variables: Option<(Py<PyAny>, Py<PyAny>)>,
    /// Time and messages that it gets each time that trio has given everybody else a turn.
    quantum_ns: i64,
    quantum_turns: i64,
    /// The means to tell that its adapter has left a cancel scope or a nursery open; None if it is not told.
    footing: Option<Footing>,
}

/// A worker's own cancel scope, as trio keeps it.
struct Footing {
    /// The tasks whose innermost scope it is: the worker's alone, while no adapter has entered another.
    tasks: Py<PySet>,
    /// The nurseries that the worker's task has open: none but those of an adapter.
    nurseries: Py<PyList>,
}

impl Worker {
    /// Note what it waits for, or what came back.
    pub fn wait(
        worker: &Bound<'_, Self>,
        pending: Option<Bound<'_, PyAny>>,
        value: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let previous = {
            let mut worker = worker.try_borrow_mut()?;
            (
                core::mem::replace(&mut worker.pending, pending.map(Bound::unbind)),
                core::mem::replace(&mut worker.value, value.map(Bound::unbind)),
            )
        };
        drop(previous); // after the borrow: what goes may run code
        Ok(())
    }

    /// True if its task has entered a cancel scope or a nursery, or left one, since it was told where it stands.
    pub fn strayed(&self, py: Python<'_>) -> bool {
        self.footing.as_ref().is_some_and(|footing| {
            footing.tasks.bind(py).is_empty() || !footing.nurseries.bind(py).is_empty()
        })
    }

    /// True if a context variable was set since the task has this context.
    pub fn has_set(worker: &Bound<'_, Self>) -> PyResult<bool> {
        let py = worker.py();
        let lent = worker.try_borrow()?;
        let Some((now, first)) = &lent.variables else {
            return Ok(false);
        };
        // Contexts share the tree of their variables until one is set, and are equal then without a look into it: some
        // ten nanoseconds. If one was set, values are compared where both have the variable, which is the values' code.
        let (now, first) = (now.clone_ref(py), first.clone_ref(py));
        drop(lent);
        Ok(!now.bind(py).eq(first.bind(py)).unwrap_or(false)) // what cannot be compared is another value
    }

    /// Begin another quantum.
    pub fn renew(&mut self, now_ns: i64) {
        self.until_ns = now_ns.saturating_add(self.quantum_ns);
        self.turns = self.quantum_turns;
    }
}

#[pymethods]
impl Worker {
    #[new]
    #[pyo3(signature = (*, quantum_ns, quantum_turns))]
    fn new(quantum_ns: i64, quantum_turns: i64) -> Self {
        Self {
            quantum_ns,
            quantum_turns,
            ..Self::default()
        }
    }

    /// Begin another quantum, and a message if none has begun.
    #[pyo3(signature = (now_ns, /))]
    fn enter(&mut self, now_ns: i64) {
        self.renew(now_ns);
        if self.context.is_none() {
            self.since_ns = now_ns;
        }
    }

    /// Note where its task is in trio's tree of cancel scopes while no adapter runs.
    #[pyo3(signature = (tasks, nurseries, /))]
    fn stand(worker: &Bound<'_, Self>, tasks: Py<PySet>, nurseries: Py<PyList>) -> PyResult<()> {
        let previous = worker
            .try_borrow_mut()?
            .footing
            .replace(Footing { tasks, nurseries });
        drop(previous);
        Ok(())
    }

    #[getter]
    fn is_astray(&self, py: Python<'_>) -> bool {
        self.strayed(py)
    }

    /// Note the context of its task, which is a copy of the second one in that nothing was set so far.
    #[pyo3(signature = (now, first, /))]
    fn begin_in(worker: &Bound<'_, Self>, now: Py<PyAny>, first: Py<PyAny>) -> PyResult<()> {
        let previous = worker.try_borrow_mut()?.variables.replace((now, first));
        drop(previous);
        Ok(())
    }

    /// True if a context variable was set since `begin_in`.
    #[getter(has_set)]
    fn has_set_any(worker: &Bound<'_, Self>) -> PyResult<bool> {
        Self::has_set(worker)
    }

    // What a setter replaces goes after the borrow, for it may run code that asks this worker something.

    #[setter]
    fn set_route(worker: &Bound<'_, Self>, route: Option<Py<PyAny>>) -> PyResult<()> {
        let previous = core::mem::replace(&mut worker.try_borrow_mut()?.route, route);
        drop(previous);
        Ok(())
    }

    #[setter]
    fn set_context(worker: &Bound<'_, Self>, context: Option<Py<MessageContext>>) -> PyResult<()> {
        let previous = core::mem::replace(&mut worker.try_borrow_mut()?.context, context);
        drop(previous);
        Ok(())
    }

    #[setter]
    fn set_pending(worker: &Bound<'_, Self>, pending: Option<Py<PyAny>>) -> PyResult<()> {
        let previous = core::mem::replace(&mut worker.try_borrow_mut()?.pending, pending);
        drop(previous);
        Ok(())
    }

    #[setter]
    fn set_value(worker: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<()> {
        let previous = core::mem::replace(&mut worker.try_borrow_mut()?.value, value);
        drop(previous);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.route)?;
        visit.call(&self.context)?;
        visit.call(&self.pending)?;
        if let Some(footing) = &self.footing {
            visit.call(&footing.tasks)?;
            visit.call(&footing.nurseries)?;
        }
        if let Some((now, first)) = &self.variables {
            visit.call(now)?;
            visit.call(first)?;
        }
        visit.call(&self.value)
    }

    fn __clear__(&mut self) {
        self.route = None;
        self.context = None;
        self.pending = None;
        self.value = None;
        self.footing = None;
        self.variables = None;
    }
}
