//! `Puller`: puller of the children of one message, as far as no wait is needed.
//!
//! The rules are those of `factflow_engine.runtime.hop.fan_out`, which goes on wherever this stops, and where each of them
//! stands again in its plain form. A child past the last stage is published here and now, without an object of Python's; one
//! that stages come after is handed to other workers or carried, as far as its adapters do not wait.

use std::sync::atomic::Ordering::Relaxed;

use factflow_core::limits::CallEnd;
use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PySet;

use super::child::{Begun, Child};
use super::context::MessageContext;
use super::family::Family;
use super::loop_watch::EMITTED;
use super::outbounds::Leaving;
use super::pull::{Pull, Pulled, pull};
use super::siblings::Siblings;
use super::state::Carrier;
use super::step::Step;
use super::worker::Worker;
use crate::errors;
use crate::frame::Fields;
use crate::gil_cell::GilCell;

/// Reason why a puller stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The source has no more.
    Exhausted = 0,
    /// The worker's time is up.
    TurnOver = 1,
    /// Before an element: the route is paused or has no room, or another child is to be carried first, or in another context.
    Blocked = 2,
    /// After an element, whose child `left` is to be handed on or carried.
    Made = 3,
    /// Within `left`, a child, which is to be carried on from the step that `carried` returns.
    Carried = 4,
    /// After a child that has set context variables.
    Switch = 5,
    /// Within an element: `left` is the rest of its pull, to be awaited.
    Pulling = 6,
}

/// Puller of the children of one message, for the worker that drives it.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Puller {
    carrier: Py<Carrier>,
    worker: Py<Worker>,
    context: Py<MessageContext>,
    /// The message's place in Python, which counts the children that have not ended.
    parent: Py<Family>,
    siblings: Py<Siblings>,
    /// The workers that drive messages of this route; the owner of the set may change it.
    driving: Py<PySet>,
    /// Has a worker look at the route.
    attend: Py<PyAny>,
    /// The value that stands for the end of a source.
    exhausted: Py<PyAny>,
    /// The stage that children begin at.
    index: usize,
    /// See `Stop`.
    left: GilCell<Option<Py<PyAny>>>,
    step: GilCell<Option<PyResult<Step>>>,
}

impl Puller {
    /// Pull until something stops that.
    fn go(&self, py: Python<'_>, source: &Bound<'_, PyAny>) -> PyResult<Stop> {
        let carrier = self.carrier.get();
        let counters = carrier.counters.get();
        let worker = self.worker.get();
        let since_ns = worker.since_ns.get();
        let is_last = self.index >= carrier.stages.len();
        let asks_code = is_last && carrier.outbounds.run_code();
        let needs_own_variables = !is_last || asks_code;
        let watch = carrier.watch.get();
        let stage = stage_of(self.context.get(), py)?;
        let mut step_ns = watch.begin_ns(py);
        let mut may_have_set = needs_own_variables;
        loop {
            if self.must_wait(py)? || (may_have_set && worker.has_set(py)) {
                return Ok(Stop::Blocked);
            }
            carrier
                .pulling
                .store(carrier.pulling.load(Relaxed) + 1, Relaxed);
            let pulled = pull(source);
            carrier
                .pulling
                .store(carrier.pulling.load(Relaxed) - 1, Relaxed);
            if !matches!(pulled, Ok(Pulled::Element(_))) {
                watch.look(step_ns, stage, EMITTED);
            }
            let element = match pulled {
                Ok(Pulled::Element(element)) if !worker.strayed(py) => element,
                Ok(Pulled::Exhausted) if !worker.strayed(py) => return Ok(Stop::Exhausted),
                Err(error) if !worker.strayed(py) => return Err(error),
                pulled => {
                    self.leave(
                        Bound::new(
                            py,
                            Pull::rest(source, pulled, &self.exhausted, &carrier.watch, stage),
                        )?
                        .into_any(),
                    );
                    return Ok(Stop::Pulling);
                }
            };
            let fields = self.siblings.get().make(&element)?;
            drop(element); // before anything is looked at: what goes may run code
            let mut now = carrier.now.now_ns(py)?;
            watch.look_at(step_ns, now, stage, EMITTED);
            counters.received.add(1);
            let is_free = !needs_own_variables || !worker.has_set(py);
            if is_last && is_free && carrier.pauses.bind(py).is_empty() && carrier.room(py, 1)? > 0
            {
                if let Some(lineage) = &carrier.lineage {
                    lineage.get().begin(now);
                }
                let step = self.publish(py, &fields);
                if !matches!(step, Ok(Step::Ended)) {
                    let child = self.child(py, fields, now);
                    if !needs_own_variables
                        && matches!(step, Ok(Step::Stranded))
                        && worker.has_set(py)
                    {
                        // Nothing was published, and the variables are the source's: Python tries again in others and
                        // restores them, while ending the child here would lose them.
                        return self.stop_made(py, child);
                    }
                    self.hold(py, &child, now)?;
                    return self.stop_within(py, child, step);
                }
            } else {
                let child = self.child(py, fields, now);
                if !is_free || is_last {
                    return self.stop_made(py, child);
                }
                match self.place(py, child)? {
                    Placed::Here(child) => {
                        let step = self.carry(py, &child, now);
                        if !matches!(step, Ok(Step::Ended)) {
                            watch.leave(self.worker.bind(py));
                            return self.stop_within(py, child, step);
                        }
                        self.parent.get().end(); // it is not exhausted, and so not ended
                        drop(child);
                        let ended_ns = carrier.now.now_ns(py);
                        if let Ok(ended_ns) = ended_ns {
                            watch.leave_at(self.worker.bind(py), ended_ns);
                        }
                        worker.hold(py, Some(self.context.clone_ref(py)));
                        worker.since_ns.set(since_ns);
                        let ended_ns = ended_ns?;
                        carrier.end_permit_at(self.worker.bind(py), CallEnd::Answered, ended_ns)?;
                        if worker.has_set(py) {
                            return Ok(Stop::Switch);
                        }
                        now = ended_ns;
                    }
                    Placed::Elsewhere => {}
                    Placed::ForPython(child) => return self.stop_made(py, child),
                }
                may_have_set = false; // looked at since code of theirs has run
            }
            if worker.spend(now) {
                return Ok(Stop::TurnOver);
            }
            // What outbounds' conditions took is not the source's.
            step_ns = if asks_code { watch.begin_ns(py) } else { now };
        }
    }

    /// True if no element may be pulled now, or another child has to be carried before.
    fn must_wait(&self, py: Python<'_>) -> PyResult<bool> {
        let carrier = self.carrier.get();
        let retrying = carrier.counters.get().retrying.get();
        if !carrier.pauses.bind(py).is_empty()
            || (retrying > 0 && retrying >= carrier.inbound.get().capacity() as u64)
            || carrier.room(py, 1)? <= 0
            || (self.index < carrier.stages.len() && !carrier.permits(py))
        {
            return Ok(true);
        }
        let children = carrier.children.get().len(py).cast_signed();
        if children == 0 {
            return Ok(false);
        }
        let (busy, limit) = (carrier.busy.load(Relaxed), carrier.limit.load(Relaxed));
        let driving = self.driving.bind(py).len().cast_signed();
        let is_last = self.index >= carrier.stages.len(); // then they come first, for the order in which they were emitted
        Ok(is_last || driving >= limit || (retrying > 0 && busy + children >= 2 * limit - 1))
    }

    /// Count and return the child of these fields.
    fn child(&self, py: Python<'_>, fields: Fields, now: i64) -> Begun {
        self.parent.get().begin();
        Begun::new(fields, self.index, Some(self.parent.clone_ref(py)), now)
    }

    /// Hand a child that was just made to other workers, or return the one that this driver carries.
    fn place(&self, py: Python<'_>, mut child: Begun) -> PyResult<Placed> {
        let carrier = self.carrier.get();
        if !carrier.pauses.bind(py).is_empty() {
            return Ok(Placed::ForPython(child));
        }
        let children = carrier.children.get();
        let waiting = children.len(py);
        let (busy, limit) = (carrier.busy.load(Relaxed), carrier.limit.load(Relaxed));
        // Permits of those that carry children by themselves.
        let others = limit - self.driving.bind(py).len().cast_signed();
        let is_handed_over = others > 0 && busy + waiting.cast_signed() < 2 * limit - 1;
        if is_handed_over || carrier.room(py, 1)? <= 0 || !carrier.permits(py) {
            children.push(py, child);
            if is_handed_over {
                self.attend.bind(py).call0()?;
            }
            return Ok(Placed::Elsewhere);
        }
        if waiting == 0 {
            return Ok(Placed::Here(child));
        }
        Ok(if children.exchange(py, &mut child, &self.parent) {
            Placed::Here(child)
        } else {
            Placed::ForPython(child)
        })
    }

    /// Publish a child past the last stage. What panics is its error, as the errors of its stages are.
    fn publish(&self, py: Python<'_>, fields: &Fields) -> PyResult<Step> {
        let leaving = Leaving {
            fields,
            payload: None,
            headers: None,
        };
        errors::guarded(py, || self.carrier.get().publish(py, &leaving))
    }

    /// Carry a child as far as nobody has to wait. What panics is its error.
    fn carry(&self, py: Python<'_>, child: &Begun, now: i64) -> PyResult<Step> {
        let worker = self.worker.bind(py);
        worker.get().since_ns.set(now);
        worker.get().step_ns.set(now);
        errors::guarded(py, || {
            let carrier = self.carrier.get();
            carrier.begin_permit(worker)?;
            carrier.run(worker, carrier.moving(py, child, now))
        })
    }

    /// Make a child's state the worker's.
    fn hold(&self, py: Python<'_>, child: &Begun, now: i64) -> PyResult<()> {
        let worker = self.worker.bind(py);
        worker.get().since_ns.set(now);
        let carrier = self.carrier.get();
        carrier.hold(worker, carrier.moving(py, child, now))?;
        Ok(())
    }

    /// Set the reason of the stop.
    fn leave(&self, left: Bound<'_, PyAny>) {
        drop(self.left.replace(left.py(), Some(left.unbind())));
    }

    /// Note a child that Python hands on or carries.
    fn stop_made(&self, py: Python<'_>, child: Begun) -> PyResult<Stop> {
        self.leave(Bound::new(py, Child(child))?.into_any());
        Ok(Stop::Made)
    }

    /// Note a child that Python carries on, from this step.
    fn stop_within(&self, py: Python<'_>, child: Begun, step: PyResult<Step>) -> PyResult<Stop> {
        drop(self.step.replace(py, Some(step)));
        self.leave(Bound::new(py, Child(child))?.into_any());
        Ok(Stop::Carried)
    }
}

/// Destination of a new child.
enum Placed {
    /// A child that other workers carry.
    Elsewhere,
    /// A child that the driver carries itself.
    Here(Begun),
    /// A child about which Python decides.
    ForPython(Begun),
}

/// Return the stage that emits.
fn stage_of<'a, 'py>(
    context: &'a MessageContext,
    py: Python<'py>,
) -> PyResult<&'a Bound<'py, PyAny>> {
    let stage = context.stage_of(py);
    stage.ok_or_else(|| PyRuntimeError::new_err("a message past its last stage emits nothing"))
}

#[pymethods]
impl Puller {
    #[new]
    #[pyo3(signature = (carrier, worker, parent, siblings, driving, attend, exhausted, /))]
    fn new(
        carrier: Py<Carrier>,
        worker: Py<Worker>,
        parent: Py<Family>,
        siblings: &Bound<'_, Siblings>,
        driving: Py<PySet>,
        attend: Py<PyAny>,
        exhausted: Py<PyAny>,
    ) -> Self {
        let context = siblings.get().parent.clone_ref(siblings.py());
        let index = context.get().index + 1;
        Self {
            carrier,
            worker,
            context,
            parent,
            siblings: siblings.clone().unbind(),
            driving,
            attend,
            exhausted,
            index,
            left: GilCell::default(),
            step: GilCell::default(),
        }
    }

    /// Pull until Python is needed; return why.
    #[pyo3(signature = (source, /))]
    fn pull(&self, source: &Bound<'_, PyAny>) -> PyResult<u8> {
        let py = source.py();
        errors::guarded(py, || self.go(py, source).map(|stop| stop as u8))
    }

    /// Take the rest of the last stop.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let left = self.left.take(py);
        left.ok_or_else(|| PyRuntimeError::new_err("nothing was left"))
    }

    /// Return the step at which the child that was left is, or raise what its stage has raised.
    fn carried(&self, py: Python<'_>) -> PyResult<u8> {
        let step = self.step.replace(py, None);
        let step = step.ok_or_else(|| PyRuntimeError::new_err("no child was left"))?;
        step.map(|step| step as u8)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.carrier)?;
        visit.call(&self.worker)?;
        visit.call(&self.context)?;
        visit.call(&self.parent)?;
        visit.call(&self.siblings)?;
        visit.call(&self.driving)?;
        visit.call(&self.attend)?;
        visit.call(&self.exhausted)?;
        self.left.traverse(&visit)
    }
}

/// Add the stops' numbers to the module.
pub fn add_stops(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, stop) in [
        ("PULL_EXHAUSTED", Stop::Exhausted),
        ("PULL_TURN_OVER", Stop::TurnOver),
        ("PULL_BLOCKED", Stop::Blocked),
        ("PULL_MADE", Stop::Made),
        ("PULL_CARRIED", Stop::Carried),
        ("PULL_SWITCH", Stop::Switch),
        ("PULL_PULLING", Stop::Pulling),
    ] {
        module.add(name, stop as u8)?;
    }
    Ok(())
}
