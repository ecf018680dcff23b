//! `Worker`: state of one worker of the loop, for the loop and for reports on what each worker holds.

use factflow_core::limits::CallPermit;
use pyo3::PyTraverseError;
use pyo3::basic::CompareOp;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PySet};

use super::child::{Begun, Child};
use super::context::MessageContext;
use super::loop_number::LoopNumber;
use crate::gil_cell::GilCell;

/// One worker's state.
#[pyclass(frozen, module = "factflow_engine._native")]
#[derive(Default)]
pub struct Worker {
    /// The route that it serves.
    route: GilCell<Option<Py<PyAny>>>,
    /// The message that it carries, at the stage that has it.
    context: GilCell<Option<Py<MessageContext>>>,
    /// That message as a child, if its carrier has taken it from the children that waited.
    child: GilCell<Option<Begun>>,
    /// Permit of that message within the route's adaptive limit, if it has one, until its adapters have ended.
    permit: GilCell<Option<CallPermit>>,
    /// The awaitable that it waits for: an adapter's coroutine that was started, or another awaitable that was not.
    pending: GilCell<Option<Py<PyAny>>>,
    /// The value that the coroutine gave to be waited for, or that the adapter returned.
    value: GilCell<Option<Py<PyAny>>>,
    /// Time at which its message began, by the loop's clock.
    pub since_ns: LoopNumber,
    /// Time at which the present step of its message began, for `LoopWatch`.
    pub step_ns: LoopNumber,
    /// Calls of adapters since its message has its permit, as `limiting` numbers them.
    pub called: LoopNumber,
    /// Time at which it yields to the program's other tasks.
    pub until_ns: LoopNumber,
    /// Messages that the route may still give it in this turn.
    pub left: LoopNumber,
    /// Messages that it may still take before it yields even if the clock stands still.
    turns: LoopNumber,
    /// The context variables of its task, and those that each message begins with; None: nobody asks.
    now: GilCell<Option<Py<PyAny>>>,
    first: GilCell<Option<Py<PyAny>>>,
    /// Time and messages that it gets each time that trio has given everybody else a turn.
    quantum_ns: i64,
    quantum_turns: i64,
    /// Trio's own collections: the tasks whose innermost cancel scope is the worker's own, its task alone while no
    /// adapter has entered another; and the nurseries that the task has open, none but those of an adapter. None:
    /// unknown.
    tasks: GilCell<Option<Py<PySet>>>,
    nurseries: GilCell<Option<Py<PyList>>>,
}

impl Worker {
    /// Set the awaitable of the worker and its value.
    pub fn wait(
        &self,
        py: Python<'_>,
        pending: Option<Bound<'_, PyAny>>,
        value: Option<Bound<'_, PyAny>>,
    ) {
        let pending = self.pending.replace(py, pending.map(Bound::unbind));
        let value = self.value.replace(py, value.map(Bound::unbind));
        drop((pending, value)); // after both: what goes may run code
    }

    /// Take what it waits for.
    pub fn take_pending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        drop(self.value.take(py));
        self.pending.take(py)
    }

    /// Take what its coroutine gave to be waited for.
    pub fn take_value(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.value.take(py)
    }

    /// Return what it waits for.
    pub fn pending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.pending.get(py)
    }

    /// Return the message that it carries.
    pub fn context(&self, py: Python<'_>) -> Option<Py<MessageContext>> {
        self.context.get(py)
    }

    /// Set the message that it carries.
    pub fn hold(&self, py: Python<'_>, context: Option<Py<MessageContext>>) {
        drop(self.context.replace(py, context)); // what the last one holds may run code when it goes
    }

    /// Set the message that it carries as a child.
    pub fn hold_child(&self, py: Python<'_>, child: Begun) {
        drop(self.child.replace(py, Some(child)));
    }

    /// Take that child, if it carries one.
    #[inline]
    pub fn take_begun(&self, py: Python<'_>) -> Option<Begun> {
        self.child.replace(py, None)
    }

    /// Set the permit of its message; return the one before.
    pub fn set_permit(&self, py: Python<'_>, permit: Option<CallPermit>) -> Option<CallPermit> {
        self.permit.replace(py, permit)
    }

    /// Begin the attempt at its message later by this time, for the permit that it has.
    pub fn postpone(&self, py: Python<'_>, by_ns: u64) {
        // SAFETY: a permit is plain data.
        unsafe {
            self.permit.with(py, |permit| {
                if let Some(permit) = permit {
                    permit.postpone(by_ns);
                }
            });
        }
    }

    /// True if its task has entered a cancel scope or a nursery, or left one, since it was told where it stands.
    pub fn strayed(&self, py: Python<'_>) -> bool {
        // SAFETY: the lengths of a set and of a list are read.
        let (tasks, nurseries) = unsafe {
            (
                self.tasks
                    .with(py, |it| it.as_ref().map(|it| it.bind(py).is_empty())),
                self.nurseries
                    .with(py, |it| it.as_ref().map(|it| it.bind(py).is_empty())),
            )
        };
        tasks == Some(true) || nurseries == Some(false)
    }

    /// True if a context variable was set since the task has this context.
    pub fn has_set(&self, py: Python<'_>) -> bool {
        let (Some(now), Some(first)) = (self.now.get(py), self.first.get(py)) else {
            return false;
        };
        // Contexts share the tree of their variables until one is set, and are equal then without a look into it: some
        // ten nanoseconds. If one was set, values are compared where both have the variable, which is the values' code.
        let equal = now.bind(py).rich_compare(first.bind(py), CompareOp::Eq);
        !equal.is_ok_and(|equal| equal.is(&*PyBool::new(py, true))) // what cannot be compared is another value
    }

    /// Count a message that it has taken; true if the others of the program are to get their turn.
    pub fn spend(&self, now_ns: i64) -> bool {
        self.turns.set(self.turns.get() - 1);
        self.turns.get() <= 0 || now_ns > self.until_ns.get()
    }

    /// Begin another quantum.
    pub fn renew(&self, now_ns: i64) {
        self.until_ns.set(now_ns.saturating_add(self.quantum_ns));
        self.turns.set(self.quantum_turns);
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
    fn enter(&self, py: Python<'_>, now_ns: i64) {
        self.renew(now_ns);
        if self.context.get(py).is_none() {
            self.since_ns.set(now_ns);
        }
    }

    /// Note where its task is in trio's tree of cancel scopes while no adapter runs.
    #[pyo3(signature = (tasks, nurseries, /))]
    fn stand(&self, py: Python<'_>, tasks: Py<PySet>, nurseries: Py<PyList>) {
        let tasks = self.tasks.replace(py, Some(tasks));
        let nurseries = self.nurseries.replace(py, Some(nurseries));
        drop((tasks, nurseries));
    }

    #[getter]
    fn is_astray(&self, py: Python<'_>) -> bool {
        self.strayed(py)
    }

    /// Note the context of its task, which is a copy of the second one in that nothing was set so far.
    #[pyo3(signature = (now, first, /))]
    fn begin_in(&self, py: Python<'_>, now: Py<PyAny>, first: Py<PyAny>) {
        let now = self.now.replace(py, Some(now));
        let first = self.first.replace(py, Some(first));
        drop((now, first)); // after both: what goes may run code
    }

    /// True if a context variable was set since `begin_in`.
    #[getter(has_set)]
    fn has_set_any(&self, py: Python<'_>) -> bool {
        self.has_set(py)
    }

    /// Take the child that it carries, unless its message came from the inbound queue or it carries none.
    fn take_child(&self, py: Python<'_>) -> Option<Child> {
        self.take_begun(py).map(Child)
    }

    #[getter]
    fn get_route(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.route.get(py)
    }

    #[setter]
    fn set_route(&self, py: Python<'_>, route: Option<Py<PyAny>>) {
        drop(self.route.replace(py, route));
    }

    #[getter]
    fn get_context(&self, py: Python<'_>) -> Option<Py<MessageContext>> {
        self.context.get(py)
    }

    #[setter]
    fn set_context(&self, py: Python<'_>, context: Option<Py<MessageContext>>) {
        self.hold(py, context);
    }

    #[getter]
    fn get_pending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.pending.get(py)
    }

    #[setter]
    fn set_pending(&self, py: Python<'_>, pending: Option<Py<PyAny>>) {
        drop(self.pending.replace(py, pending));
    }

    #[getter]
    fn get_value(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.value.get(py)
    }

    #[setter]
    fn set_value(&self, py: Python<'_>, value: Option<Py<PyAny>>) {
        drop(self.value.replace(py, value));
    }

    #[getter]
    fn get_since_ns(&self) -> i64 {
        self.since_ns.get()
    }

    #[setter]
    fn set_since_ns(&self, since_ns: i64) {
        self.since_ns.set(since_ns);
    }

    #[getter]
    fn get_until_ns(&self) -> i64 {
        self.until_ns.get()
    }

    #[setter]
    fn set_until_ns(&self, until_ns: i64) {
        self.until_ns.set(until_ns);
    }

    #[getter]
    fn get_left(&self) -> i64 {
        self.left.get()
    }

    #[setter]
    fn set_left(&self, left: i64) {
        self.left.set(left);
    }

    #[getter]
    fn get_turns(&self) -> i64 {
        self.turns.get()
    }

    #[setter]
    fn set_turns(&self, turns: i64) {
        self.turns.set(turns);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.route.traverse(&visit)?;
        self.context.traverse(&visit)?;
        self.child.visit(|child| {
            child
                .as_ref()
                .map_or(Ok(()), |child| child.traverse(&visit))
        })?;
        self.pending.traverse(&visit)?;
        self.value.traverse(&visit)?;
        self.tasks.traverse(&visit)?;
        self.nurseries.traverse(&visit)?;
        self.now.traverse(&visit)?;
        self.first.traverse(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let (py, worker) = (slf.py(), slf.get());
        worker.hold(py, None);
        drop(worker.take_begun(py));
        worker.wait(py, None, None);
        worker.set_route(py, None);
        drop((worker.tasks.take(py), worker.nurseries.take(py)));
        drop((worker.now.take(py), worker.first.take(py)));
    }
}
