//! `Carrier`: one route's way of carrying messages.
//!
//! Every function here goes on until a message has ended, or answers with the step at which Python must take over:
//! an adapter waits, returned something unusual, or the message cannot leave. Whatever the answer, and also when an
//! exception is raised, the worker's context is then the message's state, from which `go_on` continues.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySet, PyType};

use super::books::Books;
use super::context::{Changes, MessageContext};
use super::line::Line;
use super::start::{Started, send, start, throw};
use super::worker::Worker;
use crate::codec;
use crate::conditions::Condition;
use crate::frame::{Fields, Frame, Headers};
use crate::routing::RouteTable;

/// Where a message is when a function of the carrier returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It has ended and was counted; or the turn is over.
    Ended = 0,
    /// Its adapter's coroutine `worker.pending` waits for `worker.value`.
    Suspended = 1,
    /// Its adapter gave something that is no coroutine, `worker.pending`.
    Awaitable = 2,
    /// Its adapter returned `worker.value`, which is for Python to judge.
    Returned = 3,
    /// It has passed all stages and no outbound can take it.
    Stranded = 4,
}

/// Adds the steps' numbers to the module.
pub fn add_steps(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, step) in [
        ("STEP_ENDED", Step::Ended),
        ("STEP_SUSPENDED", Step::Suspended),
        ("STEP_AWAITABLE", Step::Awaitable),
        ("STEP_RETURNED", Step::Returned),
        ("STEP_STRANDED", Step::Stranded),
    ] {
        module.add(name, step as u8)?;
    }
    Ok(())
}

/// One adapter's place in the route.
#[derive(FromPyObject)]
struct Stage {
    #[pyo3(attribute)]
    call: Py<PyAny>,
    #[pyo3(attribute)]
    condition: Option<Py<Condition>>,
    /// Whether it must be told that a message came: it has something to finish then.
    #[pyo3(attribute)]
    is_stateful: bool,
}

/// One outbound.
#[derive(FromPyObject)]
struct Outlet {
    #[pyo3(attribute)]
    condition: Option<Py<Condition>>,
    #[pyo3(attribute)]
    label: u64,
    /// The lines that it leads to; for a topic they come and go.
    #[pyo3(attribute)]
    channels: Py<PyList>,
}

/// Carries the messages of one route of one execution.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Carrier {
    inbox: Py<Line>,
    stages: Vec<(Stage, Py<PyAny>)>,
    outlets: Vec<Outlet>,
    /// The outlets filed by their conditions, if there are several.
    table: Option<Py<RouteTable>>,
    first_only: bool,
    unrouted_fails: bool,
    /// Reasons not to take messages; whose set it is may change it.
    pauses: Py<PySet>,
    /// Tasks that wait for room with a permit each; whose list it is may change it.
    drivers: Py<PyAny>,
    /// Messages begun inside the route that wait for a worker; whose list it is may change it.
    children: Py<PyAny>,
    /// How many permits there are, and how many are in use.
    limit: AtomicIsize,
    busy: AtomicIsize,
    /// Whether nothing more is taken from the inbox.
    intake_closed: AtomicBool,
    /// The loop's clock, in nanoseconds.
    now: Py<PyAny>,
    /// The class of adapters' results, and the one that says "as it came".
    result: Py<PyType>,
    forward: Py<PyAny>,
    books: Py<Books>,
}

/// A message between stages.
struct Moving {
    fields: Fields,
    changes: Changes,
    index: usize,
}

impl Carrier {
    /// Makes the message's state the worker's, so that whoever looks at it finds it.
    fn hold<'py>(
        &self,
        worker: &Bound<'py, Worker>,
        moving: Moving,
    ) -> PyResult<Bound<'py, MessageContext>> {
        let py = worker.py();
        let Moving {
            fields,
            changes,
            index,
        } = moving;
        let stage = self.stages.get(index).map(|(_, stage)| stage.clone_ref(py));
        let context = Bound::new(py, MessageContext::new(fields, changes, index, stage))?;
        let previous = worker
            .borrow_mut()
            .context
            .replace(context.clone().unbind());
        drop(previous); // after the borrow: what it holds may run code when it goes
        Ok(context)
    }

    /// Carries a message from its stage on.
    fn run(&self, worker: &Bound<'_, Worker>, mut moving: Moving) -> PyResult<Step> {
        let py = worker.py();
        while let Some((stage, object)) = self.stages.get(moving.index) {
            if let Some(condition) = &stage.condition {
                let payload = moving
                    .changes
                    .payload
                    .as_ref()
                    .unwrap_or(&moving.fields.payload);
                match condition.get().matches(payload.bind(py)) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.books.get().skipped.add(1);
                        moving.index += 1;
                        continue;
                    }
                    Err(error) => {
                        self.hold(worker, moving)?;
                        return Err(error);
                    }
                }
            }
            let context = self.hold(worker, moving)?;
            if stage.is_stateful {
                object.bind(py).setattr(intern!(py, "touched"), true)?;
            }
            let pending = stage.call.bind(py).call1((&context,))?;
            let result = match start(&pending)? {
                Started::Returned(result) => result,
                waits => return Ok(wait(worker, pending, waits)),
            };
            let changed = match self.judge(worker, result)? {
                Ok(changed) => changed,
                Err(step) => return Ok(step),
            };
            let state = context.get();
            if state.index + 1 == self.stages.len() {
                let payload = changed.as_ref().or(state.changes.payload.as_ref());
                let headers = state.changes.headers.as_ref();
                let step = self.publish(py, &state.fields, payload, headers);
                if !matches!(step, Ok(Step::Ended)) {
                    self.hold(worker, next(py, state, changed))?;
                }
                return step;
            }
            moving = next(py, state, changed);
        }
        let Changes { payload, headers } = &moving.changes;
        let step = self.publish(py, &moving.fields, payload.as_ref(), headers.as_ref());
        if !matches!(step, Ok(Step::Ended)) {
            self.hold(worker, moving)?;
        }
        step
    }

    /// What an adapter made of its message, None if nothing; or where the message is instead.
    fn judge(
        &self,
        worker: &Bound<'_, Worker>,
        result: Bound<'_, PyAny>,
    ) -> PyResult<Result<Option<Py<PyBytes>>, Step>> {
        let py = worker.py();
        if result.is(&self.forward) {
            return Ok(Ok(None));
        }
        if result.is_none() {
            self.books.get().filtered.add(1);
            return Ok(Err(Step::Ended));
        }
        if !result.get_type().is(&self.result)
            || !result.getattr(intern!(py, "emitted"))?.is_none()
            || !result.getattr(intern!(py, "headers"))?.is_none()
        {
            worker.borrow_mut().value = Some(result.unbind());
            return Ok(Err(Step::Returned));
        }
        let message = result.getattr(intern!(py, "message"))?;
        Ok(Ok(Some(codec::pack(&message)?.unbind())))
    }

    /// Goes on with the worker's message, for which its adapter has said this.
    fn go_on(&self, worker: &Bound<'_, Worker>, result: Bound<'_, PyAny>) -> PyResult<Step> {
        match self.judge(worker, result)? {
            Ok(changed) => {
                let moving = next(worker.py(), state_of(worker)?.get(), changed);
                self.run(worker, moving)
            }
            Err(step) => Ok(step),
        }
    }

    /// Takes and carries messages until the turn is over or one needs Python. `waited`: since the turn began.
    fn turn(&self, worker: &Bound<'_, Worker>, waited: bool) -> PyResult<Step> {
        let py = worker.py();
        let inbox = self.inbox.bind(py);
        let (until, mut left) = {
            let worker = worker.borrow();
            (worker.until_ns, worker.left)
        };
        while left > 0 {
            // The turn was given when there was room; while a worker waits others may take it.
            if waited && !self.may_take(py)? {
                break;
            }
            let Some(fields) = Line::pop(inbox).inspect_err(|_| let_go(worker))? else {
                break;
            };
            left -= 1;
            worker.borrow_mut().left = left;
            self.books.get().received.add(1);
            let moving = Moving {
                fields,
                changes: Changes::default(),
                index: 0,
            };
            let step = self.run(worker, moving)?;
            if step != Step::Ended {
                return Ok(step);
            }
            let now = self.time(worker)?;
            worker.borrow_mut().since_ns = now;
            if now > until || !self.pauses.bind(py).is_empty() {
                break;
            }
        }
        worker.borrow_mut().left = 0;
        Ok(Step::Ended)
    }

    /// Whether a worker that already holds a permit may take another message.
    fn may_take(&self, py: Python<'_>) -> PyResult<bool> {
        if self.intake_closed.load(Relaxed) || !self.pauses.bind(py).is_empty() {
            return Ok(false);
        }
        let drivers = self.drivers.bind(py).len()?.cast_signed();
        Ok(self.room(py, self.busy.load(Relaxed) - drivers - 1)? > 0)
    }

    fn resume(
        &self,
        worker: &Bound<'_, Worker>,
        coroutine: Bound<'_, PyAny>,
        started: Started<'_>,
    ) -> PyResult<Step> {
        match started {
            Started::Returned(result) => self.go_on(worker, result),
            waits => Ok(wait(worker, coroutine, waits)),
        }
    }

    fn time(&self, worker: &Bound<'_, Worker>) -> PyResult<i64> {
        let now = self.now.bind(worker.py()).call0();
        now.and_then(|now| now.extract())
            .inspect_err(|_| let_go(worker))
    }

    /// Adds the message to every outlet that takes it: all of them, or none.
    fn publish(
        &self,
        py: Python<'_>,
        fields: &Fields,
        payload: Option<&Py<PyBytes>>,
        headers: Option<&Headers>,
    ) -> PyResult<Step> {
        match &self.outlets[..] {
            [] => {}
            [outlet] if outlet.condition.is_none() => {
                if !outlet.can_take(py)? {
                    return Ok(Step::Stranded);
                }
                self.emit(py, outlet, fields, payload, headers)?;
            }
            outlets => {
                let bytes = payload.unwrap_or(&fields.payload).bind(py);
                let taken = self.taken_by(bytes)?;
                if taken.is_empty() {
                    if self.unrouted_fails {
                        return Ok(Step::Stranded);
                    }
                    self.books.get().filtered.add(1);
                    return Ok(Step::Ended);
                }
                for &place in &taken {
                    if !outlets[place as usize].can_take(py)? {
                        return Ok(Step::Stranded);
                    }
                }
                for &place in &taken {
                    self.emit(py, &outlets[place as usize], fields, payload, headers)?;
                }
            }
        }
        self.books.get().completed.add(1);
        Ok(Step::Ended)
    }

    fn emit(
        &self,
        py: Python<'_>,
        outlet: &Outlet,
        fields: &Fields,
        payload: Option<&Py<PyBytes>>,
        headers: Option<&Headers>,
    ) -> PyResult<()> {
        self.books.get().emitted.add(1);
        let lines = outlet.channels.bind(py);
        let Ok(mut line) = lines.get_item(0) else {
            return Ok(()); // a topic that nobody reads
        };
        let child = fields.child(py, outlet.label, 0, payload, headers);
        for place in 1..lines.len() {
            Line::push(line.cast::<Line>()?, child.clone_ref(py))?;
            line = lines.get_item(place)?;
        }
        Line::push(line.cast::<Line>()?, child)
    }

    /// The places of the outlets that a message goes to, in order.
    fn taken_by(&self, payload: &Bound<'_, PyBytes>) -> PyResult<Places> {
        let mut places = Places::new();
        if let Some(table) = &self.table {
            if self.first_only {
                places.extend(table.get().first(payload)?);
            } else {
                table.get().all(payload, |_, rules| {
                    places.extend_from_slice(rules);
                    Ok(())
                })?;
            }
            return Ok(places);
        }
        for (place, outlet) in (0..).zip(&self.outlets) {
            if match &outlet.condition {
                Some(condition) => condition.get().matches(payload)?,
                None => true,
            } {
                places.push(place);
                if self.first_only {
                    break;
                }
            }
        }
        Ok(places)
    }
}

/// Places of outlets; few, as a rule.
type Places = smallvec::SmallVec<[u32; 8]>;

impl Outlet {
    /// Whether a message may be added: a full line is no hindrance if somebody reads it, for room was waited for.
    fn can_take(&self, py: Python<'_>) -> PyResult<bool> {
        for line in self.channels.bind(py) {
            let line = line.cast::<Line>()?.borrow();
            if !line.is_read() && line.room() <= 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A message on its way to the next stage.
fn next(py: Python<'_>, state: &MessageContext, payload: Option<Py<PyBytes>>) -> Moving {
    let mut changes = state.changes.clone_ref(py);
    changes.payload = payload.or(changes.payload);
    Moving {
        fields: state.fields.clone_ref(py),
        changes,
        index: state.index + 1,
    }
}

#[pymethods]
impl Carrier {
    #[new]
    #[pyo3(signature = (*, books, inbox, stages, outlets, table, first_only, unrouted_fails, pauses, drivers, children, limit, now, forward))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn new(
        books: Py<Books>,
        inbox: Py<Line>,
        stages: Vec<Bound<'_, PyAny>>,
        outlets: Vec<Bound<'_, PyAny>>,
        table: Option<Py<RouteTable>>,
        first_only: bool,
        unrouted_fails: bool,
        pauses: Py<PySet>,
        drivers: Py<PyAny>,
        children: Py<PyAny>,
        limit: isize,
        now: Py<PyAny>,
        forward: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            inbox,
            stages: stages
                .into_iter()
                .map(|stage| Ok((stage.extract()?, stage.unbind())))
                .collect::<PyResult<_>>()?,
            outlets: outlets
                .iter()
                .map(|outlet| outlet.extract())
                .collect::<PyResult<_>>()?,
            table,
            first_only,
            unrouted_fails,
            pauses,
            drivers,
            children,
            limit: AtomicIsize::new(limit),
            busy: AtomicIsize::new(0),
            intake_closed: AtomicBool::new(false),
            now,
            // `forward` is the one instance of a subclass of the class that all others are of.
            result: forward.get_type().getattr("__base__")?.cast_into()?.unbind(),
            forward: forward.clone().unbind(),
            books,
        })
    }

    /// Takes and carries messages from the inbox until `worker.left` of them have ended, nothing waits, the lane is
    /// paused or the worker's time is up; or until one needs Python.
    #[pyo3(signature = (worker, waited, /))]
    fn carry(&self, worker: &Bound<'_, Worker>, waited: bool) -> PyResult<u8> {
        Ok(self.turn(worker, waited)? as u8)
    }

    /// Gives the worker's coroutine what it waited for, and goes on with its message; unless `alone`, then with the
    /// turn.
    #[pyo3(signature = (worker, value, alone, /))]
    fn send(
        &self,
        worker: &Bound<'_, Worker>,
        value: &Bound<'_, PyAny>,
        alone: bool,
    ) -> PyResult<u8> {
        let coroutine = pending_of(worker)?;
        let started = send(&coroutine, value)?;
        let step = self.resume(worker, coroutine, started)?;
        if step != Step::Ended || alone {
            return Ok(step as u8);
        }
        let now = self.time(worker)?;
        {
            let mut worker = worker.borrow_mut();
            worker.since_ns = now;
            worker.renew(now);
        }
        Ok(self.turn(worker, true)? as u8)
    }

    /// Raises an exception where the worker's coroutine waits, and goes on with its message if it returns all the same.
    #[pyo3(signature = (worker, error, /))]
    fn throw(&self, worker: &Bound<'_, Worker>, error: &Bound<'_, PyAny>) -> PyResult<u8> {
        let coroutine = pending_of(worker)?;
        let started = throw(&coroutine, error)?;
        Ok(self.resume(worker, coroutine, started)? as u8)
    }

    /// Carries a message that begins inside the route.
    #[pyo3(signature = (worker, frame, index, /))]
    fn begin(
        &self,
        worker: &Bound<'_, Worker>,
        frame: &Bound<'_, Frame>,
        index: usize,
    ) -> PyResult<u8> {
        let moving = Moving {
            fields: frame.get().0.clone_ref(worker.py()),
            changes: Changes::default(),
            index,
        };
        Ok(self.run(worker, moving)? as u8)
    }

    /// Carries a message that begins inside the route, with what the stage there has said already.
    #[pyo3(signature = (worker, frame, index, result, /))]
    fn answer(
        &self,
        worker: &Bound<'_, Worker>,
        frame: &Bound<'_, Frame>,
        index: usize,
        result: Bound<'_, PyAny>,
    ) -> PyResult<u8> {
        let moving = Moving {
            fields: frame.get().0.clone_ref(worker.py()),
            changes: Changes::default(),
            index,
        };
        self.hold(worker, moving)?;
        Ok(self.go_on(worker, result)? as u8)
    }

    /// Goes on with the worker's message, whose adapter has returned this.
    #[pyo3(signature = (worker, result, /))]
    fn proceed(&self, worker: &Bound<'_, Worker>, result: Bound<'_, PyAny>) -> PyResult<u8> {
        Ok(self.go_on(worker, result)? as u8)
    }

    /// Goes on with the worker's message at its next stage, changed so; None leaves as it is.
    #[pyo3(signature = (worker, payload, headers, /))]
    fn change(
        &self,
        worker: &Bound<'_, Worker>,
        payload: Option<Py<PyBytes>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u8> {
        let headers = headers.map(Headers::of).transpose()?;
        let mut moving = next(worker.py(), state_of(worker)?.get(), payload);
        moving.changes.headers = headers.or(moving.changes.headers);
        Ok(self.run(worker, moving)? as u8)
    }

    /// How many messages one turn may take now, `turn` at most: 0 without work or a permit, or while paused; -1 if
    /// only room is missing.
    #[pyo3(signature = (turn, /))]
    fn takable(&self, py: Python<'_>, turn: isize) -> PyResult<isize> {
        let children = self.children.bind(py).is_truthy()?;
        let work = if self.intake_closed.load(Relaxed) {
            0
        } else {
            self.inbox.bind(py).borrow().waiting().cast_signed()
        };
        let busy = self.busy.load(Relaxed);
        if busy >= self.limit.load(Relaxed)
            || (work == 0 && !children)
            || !self.pauses.bind(py).is_empty()
        {
            return Ok(0);
        }
        let drivers = self.drivers.bind(py).len()?.cast_signed();
        let room = self.room(py, busy - drivers)?;
        Ok(if room <= 0 {
            -1
        } else if children {
            1
        } else {
            work.min(room).min(turn)
        })
    }

    /// How many more messages every outlet that is read can take, `reserved` ones being on their way.
    #[pyo3(signature = (reserved, /))]
    fn room(&self, py: Python<'_>, reserved: isize) -> PyResult<isize> {
        let mut room = isize::MAX;
        for outlet in &self.outlets {
            for line in outlet.channels.bind(py) {
                let line = line.cast::<Line>()?.borrow();
                if line.is_read() {
                    room = room.min(line.room().saturating_sub(reserved));
                }
            }
        }
        Ok(room)
    }

    #[getter]
    fn limit(&self) -> isize {
        self.limit.load(Relaxed)
    }

    #[setter]
    fn set_limit(&self, limit: isize) {
        self.limit.store(limit, Relaxed);
    }

    #[getter]
    fn busy(&self) -> isize {
        self.busy.load(Relaxed)
    }

    #[setter]
    fn set_busy(&self, busy: isize) {
        self.busy.store(busy, Relaxed);
    }

    #[getter]
    fn intake_closed(&self) -> bool {
        self.intake_closed.load(Relaxed)
    }

    #[setter]
    fn set_intake_closed(&self, closed: bool) {
        self.intake_closed.store(closed, Relaxed);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.inbox)?;
        for (stage, object) in &self.stages {
            visit.call(&stage.call)?;
            visit.call(&stage.condition)?;
            visit.call(object)?;
        }
        for outlet in &self.outlets {
            visit.call(&outlet.condition)?;
            visit.call(&outlet.channels)?;
        }
        visit.call(&self.table)?;
        visit.call(&self.pauses)?;
        visit.call(&self.drivers)?;
        visit.call(&self.children)?;
        visit.call(&self.now)
    }
}

/// Notes what the worker has to wait for.
fn wait(worker: &Bound<'_, Worker>, pending: Bound<'_, PyAny>, waits: Started<'_>) -> Step {
    let mut worker = worker.borrow_mut();
    worker.pending = Some(pending.unbind());
    match waits {
        Started::Suspended(value) => {
            worker.value = Some(value.unbind());
            Step::Suspended
        }
        Started::Returned(_) | Started::Unknown => Step::Awaitable,
    }
}

fn pending_of<'py>(worker: &Bound<'py, Worker>) -> PyResult<Bound<'py, PyAny>> {
    let pending = worker.borrow_mut().pending.take();
    pending
        .map(|pending| pending.into_bound(worker.py()))
        .ok_or_else(|| PyRuntimeError::new_err("this worker waits for nothing"))
}

/// Takes the worker's last message from it: what fails now is not that one.
fn let_go(worker: &Bound<'_, Worker>) {
    let last = worker.borrow_mut().context.take();
    drop(last);
}

fn state_of<'py>(worker: &Bound<'py, Worker>) -> PyResult<Bound<'py, MessageContext>> {
    worker
        .borrow()
        .context
        .as_ref()
        .map(|context| context.bind(worker.py()).clone())
        .ok_or_else(|| PyRuntimeError::new_err("this worker carries no message"))
}
