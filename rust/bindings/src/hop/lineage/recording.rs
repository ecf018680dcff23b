//! `LineageRoute`: the log as a route's carrier and its Python side append to it.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::log::LineageLog;
use super::row::{LineageRow, RowDetail, RowKind, RowPayloads};
use crate::errors;
use crate::frame::{Fields, Frame};
use crate::hop::context::MessageContext;
use crate::hop::visit::{Visit, WaitSum};

/// Log of one route.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LineageRoute {
    log: Py<LineageLog>,
    /// Place of the route among the execution's.
    route: u32,
    /// For each stage of the carrier its place among the configured ones, and true if it is a step beside that one, of
    /// which only failures are recorded.
    places: Vec<(u32, bool)>,
}

impl LineageRoute {
    /// Return the place of a stage among the configured ones, and true if it is a step beside that one.
    fn place(&self, index: usize) -> (u32, bool) {
        let own = || (u32::try_from(index).unwrap_or(u32::MAX), false);
        self.places.get(index).copied().unwrap_or_else(own)
    }

    /// Note that a message begins, at a time that was read anyway.
    #[inline]
    pub fn begin(&self, since_ns: i64) -> Visit {
        self.log.get().last_ns.set(since_ns);
        Visit::since(since_ns)
    }

    /// Return the visit of the next stage, which begins as the last one has ended.
    #[inline]
    pub fn next(&self) -> Visit {
        Visit::since(self.log.get().last_ns.get())
    }

    /// Return the visit that follows one to the stage at this index. Of a step beside a stage only a failure is recorded,
    /// in place of the stage's row: so a step has the waits of its stage, whichever of the two comes first, and a message
    /// that begins at a step, as the children of a stage that stores do, brings its waits to the next stage.
    #[inline]
    pub fn after(&self, index: usize, last: Visit) -> Visit {
        let (place, is_step) = self.place(index);
        let carries = if is_step {
            !last.is_recorded
        } else {
            self.places.get(index + 1) == Some(&(place, true))
        };
        let next = self.next();
        if !carries {
            return next;
        }
        Visit {
            waited: last.waited,
            is_recorded: !is_step,
            ..next
        }
    }

    /// Record a stage whose condition does not hold.
    pub fn skipped(
        &self,
        py: Python<'_>,
        fields: &Fields,
        visit: Visit,
        index: usize,
        payload: &Py<PyBytes>,
    ) {
        let log = self.log.get();
        if !log.follows(&fields.correlation_id) {
            return;
        }
        let detail = RowDetail::Skip(payload.clone_ref(py));
        let position = self.place(index).0;
        let row = self.row(RowKind::Skipped, fields, position, visit.since_ns, detail);
        log.push(
            py,
            LineageRow {
                waited: visit.waited,
                payloads: log.hashes.then(|| {
                    Box::new(RowPayloads {
                        before: payload.clone_ref(py),
                        after: None,
                    })
                }),
                ..row
            },
        );
    }

    /// Record what came of the visit that the context is at, or that nothing has come of it yet; past the last stage,
    /// nothing.
    pub fn visited(
        &self,
        py: Python<'_>,
        context: &MessageContext,
        kind: RowKind,
        after: Option<&Py<PyBytes>>,
        detail: RowDetail,
    ) {
        let log = self.log.get();
        let fields = &context.fields;
        if !log.follows(&fields.correlation_id) || context.stage_of(py).is_none() {
            return;
        }
        let (position, is_step) = self.place(context.index);
        if is_step && matches!(kind, RowKind::Completed | RowKind::Pending) {
            log.step_ns(py);
            return;
        }
        let visit = context.visit(py);
        let duration_ns = if kind == RowKind::Pending {
            0
        } else {
            log.step_ns(py).saturating_sub(visit.since_ns).max(0)
        };
        let row = self.row(kind, fields, position, visit.since_ns, detail);
        log.push(
            py,
            LineageRow {
                number: duration_ns,
                waited: visit.waited,
                payloads: log.hashes.then(|| {
                    Box::new(RowPayloads {
                        before: context.bytes().clone_ref(py),
                        after: after.map(|after| after.clone_ref(py)),
                    })
                }),
                ..row
            },
        );
    }

    /// Record the end of a message, at the time of its last step.
    #[inline]
    pub fn ended(
        &self,
        py: Python<'_>,
        fields: &Fields,
        kind: RowKind,
        emitted: i64,
        detail: RowDetail,
    ) {
        let log = self.log.get();
        if !log.follows(&fields.correlation_id) {
            return;
        }
        let row = self.row(kind, fields, 0, log.last_ns.get(), detail);
        log.push(
            py,
            LineageRow {
                number: emitted,
                ..row
            },
        );
    }

    /// Record that outbounds have taken a message, which ends it.
    pub fn left(&self, py: Python<'_>, fields: &Fields, places: &[u32]) {
        let detail = match places {
            [] => RowDetail::Nothing,
            [place] => RowDetail::Place(*place),
            places => RowDetail::Places(places.into()),
        };
        let emitted = i64::try_from(places.len()).unwrap_or(i64::MAX);
        self.ended(py, fields, RowKind::EndCompleted, emitted, detail);
    }

    fn row(
        &self,
        kind: RowKind,
        fields: &Fields,
        position: u32,
        time_ns: i64,
        detail: RowDetail,
    ) -> LineageRow {
        LineageRow {
            kind,
            route: self.route,
            position,
            attempt: fields.attempt,
            message_id: fields.message_id,
            correlation_id: fields.correlation_id,
            parent_id: fields.parent_id,
            time_ns,
            number: 0,
            waited: WaitSum::default(),
            detail,
            payloads: None,
            counted: 0,
        }
    }
}

#[pymethods]
impl LineageRoute {
    #[new]
    #[pyo3(signature = (log, route, places, /))]
    fn new(log: Py<LineageLog>, route: u32, places: Vec<(u32, bool)>) -> Self {
        Self { log, route, places }
    }

    /// True if the message's family is recorded.
    #[pyo3(name = "follows", signature = (frame, /))]
    fn follows_frame(&self, frame: &Bound<'_, Frame>) -> bool {
        self.log.get().follows(&frame.get().0.correlation_id)
    }

    /// Record a visit, by the number of its state.
    #[pyo3(name = "visited", signature = (context, status, detail=None, /))]
    fn record_visit(
        &self,
        context: &Bound<'_, MessageContext>,
        status: usize,
        detail: Option<String>,
    ) -> PyResult<()> {
        let py = context.py();
        errors::guarded(py, || {
            let kind = RowKind::of_status(status)?;
            self.visited(py, context.get(), kind, None, RowDetail::of(detail));
            Ok(())
        })
    }

    /// Record the end of a message, by the number of its outcome.
    #[pyo3(name = "ended", signature = (frame, outcome, emitted, detail=None, /))]
    fn record_end(
        &self,
        frame: &Bound<'_, Frame>,
        outcome: usize,
        emitted: i64,
        detail: Option<String>,
    ) -> PyResult<()> {
        let py = frame.py();
        errors::guarded(py, || {
            let kind = RowKind::of_outcome(outcome)?;
            self.log.get().step_ns(py);
            self.ended(py, &frame.get().0, kind, emitted, RowDetail::of(detail));
            Ok(())
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.log)
    }
}
