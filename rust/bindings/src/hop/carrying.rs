//! The way of one message through its route, and of many through a turn.
//!
//! Every function here goes on until a message has ended, or answers with the step at which Python must take over.
//! Whatever the answer, and also when an exception is raised, the worker's context is then the message's state.

use std::sync::atomic::Ordering::Relaxed;

use factflow_core::limits::CallEnd;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::channel::Channel;
use super::child::Begun;
use super::context::{Changes, MessageContext};
use super::journal::Journal;
use super::lineage::row::{RowDetail, RowKind};
use super::outbounds::{Leaving, Left};
use super::start::{Started, start};
use super::state::Carrier;
use super::step::Step;
use super::visit::Visit;
use super::worker::Worker;
use crate::codec;
use crate::frame::Fields;

/// A message between stages.
pub(super) struct Moving {
    pub fields: Fields,
    pub changes: Changes,
    pub index: usize,
    pub visit: Visit,
}

impl Carrier {
    /// Return a message that begins inside the route before its first stage.
    pub(super) fn moving(&self, py: Python<'_>, child: &Begun, now_ns: i64) -> Moving {
        let visit = match &self.lineage {
            Some(lineage) => {
                lineage.get().begin(now_ns);
                child.visit(now_ns)
            }
            None => Visit::default(),
        };
        Moving {
            fields: child.fields.clone_ref(py),
            changes: Changes::since(now_ns),
            index: child.index,
            visit,
        }
    }

    /// Return a message on its way to the next stage.
    pub(super) fn next(
        &self,
        py: Python<'_>,
        state: &MessageContext,
        payload: Option<Py<PyBytes>>,
    ) -> Moving {
        let mut changes = state.changes.clone_ref(py);
        changes.payload = payload.or(changes.payload);
        let lineage = self.lineage.as_ref();
        Moving {
            fields: state.fields.clone_ref(py),
            changes,
            index: state.index + 1,
            visit: lineage.map_or_else(Visit::default, |lineage| {
                lineage.get().after(state.index, state.visit(py))
            }),
        }
    }

    /// Record that the stage of the worker's message has returned; None: the message as it came.
    pub(super) fn completed(
        &self,
        worker: &Bound<'_, Worker>,
        payload: Option<&Py<PyBytes>>,
    ) -> PyResult<()> {
        if let Some(lineage) = &self.lineage {
            let context = state_of(worker)?;
            let context = context.get();
            let after = payload.unwrap_or_else(|| context.bytes());
            lineage.get().visited(
                worker.py(),
                context,
                RowKind::Completed,
                Some(after),
                RowDetail::Nothing,
            );
        }
        Ok(())
    }

    /// Make the message's state the worker's, so that a report finds it.
    pub(super) fn hold<'py>(
        &self,
        worker: &Bound<'py, Worker>,
        moving: Moving,
    ) -> PyResult<Bound<'py, MessageContext>> {
        let py = worker.py();
        let Moving {
            fields,
            changes,
            index,
            visit,
        } = moving;
        let stage = self.stages.get(index).map(|(_, stage)| stage.clone_ref(py));
        let context = Bound::new(
            py,
            MessageContext::new(fields, changes, index, stage, visit),
        )?;
        worker.get().hold(py, Some(context.clone().unbind()));
        Ok(context)
    }

    /// Have each step looked at of what carries a message that the turn has not taken.
    pub(super) fn watched(
        &self,
        worker: &Bound<'_, Worker>,
        go: impl FnOnce(&Bound<'_, Worker>) -> PyResult<Step>,
    ) -> PyResult<Step> {
        let watch = self.watch.get();
        watch.enter(worker);
        let step = go(worker);
        watch.leave(worker);
        if matches!(step, Ok(Step::Ended | Step::LastChild)) {
            self.end_permit(worker, CallEnd::Answered)?;
        }
        step
    }

    /// Carry a message from its stage on.
    pub(super) fn run(&self, worker: &Bound<'_, Worker>, mut moving: Moving) -> PyResult<Step> {
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
                        self.counters.get().skipped.add(1);
                        if let Some(lineage) = &self.lineage {
                            let (visit, index) = (moving.visit, moving.index);
                            lineage
                                .get()
                                .skipped(py, &moving.fields, visit, index, payload);
                            moving.visit = lineage.get().next();
                        }
                        moving.index = self.after_skipped(moving.index);
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
            self.note_call(worker);
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
                let step = self.publish(
                    py,
                    &Leaving {
                        fields: &state.fields,
                        payload: changed.as_ref().or(state.changes.payload.as_ref()),
                        headers: state.changes.headers.as_ref(),
                    },
                );
                if !matches!(step, Ok(Step::Ended)) {
                    self.watch.get().leave(worker);
                    self.hold(worker, self.next(py, state, changed))?;
                }
                return step;
            }
            self.watch.get().leave(worker);
            moving = self.next(py, state, changed);
        }
        let step = self.publish(
            py,
            &Leaving {
                fields: &moving.fields,
                payload: moving.changes.payload.as_ref(),
                headers: moving.changes.headers.as_ref(),
            },
        );
        if !matches!(step, Ok(Step::Ended)) {
            self.hold(worker, moving)?;
        }
        step
    }

    /// Return the place after a stage that a message skips, and after the steps that belong to it.
    fn after_skipped(&self, skipped: usize) -> usize {
        let later = self.stages.iter().skip(skipped + 1);
        skipped + 1 + later.take_while(|(stage, _)| stage.follows).count()
    }

    /// Return the message that an adapter has made, None if it made none; or the step at which Python takes over.
    fn judge(
        &self,
        worker: &Bound<'_, Worker>,
        result: Bound<'_, PyAny>,
    ) -> PyResult<Result<Option<Py<PyBytes>>, Step>> {
        let py = worker.py();
        if worker.get().strayed(py) {
            return Ok(Err(Step::LeftOpen));
        }
        if result.is(&self.forward) {
            self.completed(worker, None)?;
            return Ok(Ok(None));
        }
        if result.is_none() {
            self.counters.get().filtered.add(1);
            if let Some(lineage) = &self.lineage {
                let (context, lineage) = (state_of(worker)?, lineage.get());
                let context = context.get();
                let nothing = || RowDetail::Nothing;
                lineage.visited(py, context, RowKind::Completed, None, nothing());
                lineage.ended(py, &context.fields, RowKind::EndFiltered, 0, nothing());
            }
            if self.journal.is_some() || self.inbound.get().ordered(py) {
                self.note(py, &state_of(worker)?.get().fields)?;
            }
            return Ok(Err(Step::Ended));
        }
        if !result.get_type().is(&self.result)
            || !result.getattr(intern!(py, "emitted"))?.is_none()
            || !result.getattr(intern!(py, "headers"))?.is_none()
        {
            worker.get().wait(py, None, Some(result));
            return Ok(Err(Step::Returned));
        }
        let message = result.getattr(intern!(py, "message"))?;
        let payload = codec::pack(&message)?.unbind();
        self.completed(worker, Some(&payload))?;
        Ok(Ok(Some(payload)))
    }

    /// Go on with the worker's message, given its adapter's result.
    pub(super) fn go_on(
        &self,
        worker: &Bound<'_, Worker>,
        result: Bound<'_, PyAny>,
    ) -> PyResult<Step> {
        match self.judge(worker, result)? {
            Ok(changed) => {
                let moving = self.next(worker.py(), state_of(worker)?.get(), changed);
                self.run(worker, moving)
            }
            Err(step) => Ok(step),
        }
    }

    /// Take and carry messages until the turn is over or one needs Python. `waited`: since the turn began.
    pub(super) fn turn(&self, worker: &Bound<'_, Worker>, mut waited: bool) -> PyResult<Step> {
        let py = worker.py();
        let inbound = self.inbound.bind(py);
        let children = self.children.get();
        let state = worker.get();
        let (until, mut left) = (state.until_ns.get(), state.left.get());
        while left > 0 {
            // The turn was given when there was room; while a worker waits others may take it.
            if waited && !self.may_begin(py)? {
                break;
            }
            if !self.permits(py) {
                if children.len(py) > 0 || self.inbound.get().takable(py) > 0 {
                    self.note_crowd(py);
                }
                break;
            }
            let child = children.pop(py);
            let fields = if child.is_some() {
                waited = true; // the turn was given for children alone
                None
            } else if waited && !self.takes() {
                break;
            } else {
                let Some(fields) = Channel::pop(inbound).inspect_err(|_| let_go(worker))? else {
                    break;
                };
                if self.inbound.get().ordered(py) {
                    // What has become ready since the turn began is for others, while this message may have to wait.
                    if let Err(error) = Channel::tell_of_rest(inbound) {
                        Channel::give_back(inbound, fields);
                        let_go(worker);
                        return Err(error);
                    }
                }
                self.counters.get().received.add(1);
                Some(fields)
            };
            left -= 1;
            state.left.set(left);
            let since_ns = state.since_ns.get();
            state.step_ns.set(since_ns);
            if self.begin_permit(worker)?
                && self.inbound.get().takable(py) > 0
                && self.room(py, 0)? > 0
            {
                self.note_crowd(py);
            }
            let step = if let Some(child) = child {
                self.carry_child(worker, child)
            } else if let Some(fields) = fields {
                let moving = Moving {
                    fields,
                    changes: Changes::since(since_ns),
                    index: 0,
                    visit: match &self.lineage {
                        Some(lineage) => lineage.get().begin(since_ns),
                        None => Visit::default(),
                    },
                };
                self.run(worker, moving)
            } else {
                break;
            };
            if !matches!(step, Ok(Step::Ended)) {
                self.watch.get().leave(worker);
                if matches!(step, Ok(Step::LastChild)) {
                    self.end_permit(worker, CallEnd::Answered)?;
                }
                return step;
            }
            let now = self.time(worker)?;
            self.watch.get().leave_at(worker, now);
            state.since_ns.set(now);
            self.end_permit_at(worker, CallEnd::Answered, now)?;
            if now > until || !self.pauses.bind(py).is_empty() {
                break;
            }
            if left > 0 && state.has_set(py) {
                return Ok(Step::Ended); // the next message begins in another context, which is Python's to make
            }
        }
        state.left.set(0);
        Ok(Step::Ended)
    }

    /// Carry a child that has waited for a worker, and end it with its parent's count.
    fn carry_child(&self, worker: &Bound<'_, Worker>, child: Begun) -> PyResult<Step> {
        let py = worker.py();
        let moving = self.moving(py, &child, worker.get().since_ns.get());
        let result = child.result.as_ref().map(|result| result.clone_ref(py));
        worker.get().hold_child(py, child);
        let step = match result {
            None => self.run(worker, moving),
            Some(result) => {
                self.hold(worker, moving)?;
                self.go_on(worker, result.into_bound(py))
            }
        };
        Ok(end_child(worker, step?))
    }

    /// True if the inbound queue is open: not while as many messages wait to be tried again as may wait in the inbound
    /// queue itself, nor while a circuit breaker would refuse each of them.
    pub(super) fn takes(&self) -> bool {
        let retrying = self.counters.get().retrying.get();
        !self.intake_closed.load(Relaxed)
            && !self.circuit_open.load(Relaxed)
            && (retrying == 0 || retrying < self.inbound.get().capacity() as u64)
    }

    /// True if a worker that already holds a permit may begin another message.
    fn may_begin(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.pauses.bind(py).is_empty()
            && self.outbounds.room(py, self.on_its_way(py)? - 1)? > 0)
    }

    /// Return the number of messages that are in adapters and will need room; drivers ask for it themselves.
    pub(super) fn on_its_way(&self, py: Python<'_>) -> PyResult<isize> {
        let drivers = self.drivers.bind(py).len()?.cast_signed();
        Ok(self.busy.load(Relaxed) - self.pulling.load(Relaxed) - drivers)
    }

    pub(super) fn resume(
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

    /// Begin another quantum, for trio has given everybody else a turn, and the next message.
    pub(super) fn renew(&self, worker: &Bound<'_, Worker>) -> PyResult<()> {
        let now = self.time(worker)?;
        self.watch.get().leave_at(worker, now);
        worker.get().since_ns.set(now);
        worker.get().renew(now);
        self.end_permit_at(worker, CallEnd::Answered, now)
    }

    pub(super) fn time(&self, worker: &Bound<'_, Worker>) -> PyResult<i64> {
        self.now.now_ns(worker.py()).inspect_err(|_| let_go(worker))
    }

    /// Add the message to every outbound that takes it, and count how it ended.
    pub(super) fn publish(&self, py: Python<'_>, message: &Leaving<'_>) -> PyResult<Step> {
        let counters = self.counters.get();
        match self.outbounds.publish(py, message)? {
            Left::To(places) => {
                counters.emitted.add(places.len() as u64);
                counters.completed.add(1);
                if let Some(lineage) = &self.lineage {
                    lineage.get().left(py, message.fields, &places);
                }
            }
            Left::Unrouted if !self.unrouted_fails => {
                counters.filtered.add(1);
                if let Some(lineage) = &self.lineage {
                    let (fields, kind) = (message.fields, RowKind::EndFiltered);
                    lineage
                        .get()
                        .ended(py, fields, kind, 0, RowDetail::Unrouted);
                }
            }
            Left::Unrouted | Left::Full => return Ok(Step::Stranded),
        }
        self.note(py, message.fields)?;
        Ok(Step::Ended)
    }

    /// Note that a message has ended, if somebody wants to know.
    fn note(&self, py: Python<'_>, fields: &Fields) -> PyResult<()> {
        if let Some(journal) = &self.journal {
            Journal::add(journal.bind(py), fields.message_id)?;
        }
        if self.inbound.get().ordered(py) {
            Channel::end_of_own(self.inbound.bind(py), fields)?;
        }
        Ok(())
    }
}

/// End the child that the worker carries, if it does and this step ends it.
pub(super) fn end_child(worker: &Bound<'_, Worker>, step: Step) -> Step {
    let py = worker.py();
    if step != Step::Ended {
        return step;
    }
    let parent = worker.get().take_begun(py).and_then(|child| child.parent);
    match parent {
        Some(parent) if parent.get().end() => {
            worker
                .get()
                .wait(py, None, Some(parent.into_bound(py).into_any()));
            Step::LastChild
        }
        _ => Step::Ended,
    }
}

/// Set the awaitable of the worker.
fn wait(worker: &Bound<'_, Worker>, pending: Bound<'_, PyAny>, waits: Started<'_>) -> Step {
    let (step, value) = match waits {
        Started::Suspended(value) => (Step::Suspended, Some(value)),
        Started::Returned(_) | Started::Unknown => (Step::Awaitable, None),
    };
    worker.get().wait(worker.py(), Some(pending), value);
    step
}

/// Take the awaitable from the worker.
pub(super) fn pending_of<'py>(worker: &Bound<'py, Worker>) -> PyResult<Bound<'py, PyAny>> {
    let pending = worker.get().take_pending(worker.py());
    pending
        .map(|pending| pending.into_bound(worker.py()))
        .ok_or_else(|| PyRuntimeError::new_err("this worker waits for nothing"))
}

/// Take the worker's last message from it, so that no later error is attributed to that message.
pub(super) fn let_go(worker: &Bound<'_, Worker>) {
    worker.get().hold(worker.py(), None);
}

/// Return the message that the worker carries.
pub(super) fn state_of<'py>(worker: &Bound<'py, Worker>) -> PyResult<Bound<'py, MessageContext>> {
    let context = worker.get().context(worker.py());
    context
        .map(|context| context.into_bound(worker.py()))
        .ok_or_else(|| PyRuntimeError::new_err("this worker carries no message"))
}
