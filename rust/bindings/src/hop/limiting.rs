//! The adaptive limit of a route: a permit for each message from its start to the end of its adapters.
//!
//! Kept separate from `carrying`, which asks one question at each place if there is no such limit. A permit is held in
//! adapters only, and never while a message waits for room, for its children or for a retry: so no message waits for a
//! permit whose holder waits for it. Times are the loop's, which the carrier has read anyway.

use factflow_core::limits::CallEnd;
use pyo3::prelude::*;

use super::carrying::let_go;
use super::state::Carrier;
use super::worker::Worker;
use crate::limits::controller::LimitController;

/// Ends of an attempt, as Python names them.
const ENDS: [(&str, CallEnd); 3] = [
    ("ATTEMPT_ANSWERED", CallEnd::Answered),
    ("ATTEMPT_DROPPED", CallEnd::Dropped),
    ("ATTEMPT_IGNORED", CallEnd::Ignored),
];

/// Return the end of this number.
pub(super) fn end_of(number: u8) -> CallEnd {
    ENDS.get(usize::from(number))
        .map_or(CallEnd::Ignored, |(_, end)| *end)
}

/// Add the ends' numbers to the module.
pub fn add_ends(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (number, (name, _)) in ENDS.iter().enumerate() {
        module.add(*name, number)?;
    }
    Ok(())
}

impl Carrier {
    /// True if a message may begin by the adaptive limit.
    #[inline]
    pub(super) fn permits(&self, py: Python<'_>) -> bool {
        self.limiter
            .as_ref()
            .is_none_or(|limiter| limiter.get().with(py, |controller| controller.free() > 0))
    }

    /// Note that a message could begin but for the adaptive limit.
    pub(super) fn note_crowd(&self, py: Python<'_>) {
        if let Some(limiter) = &self.limiter {
            limiter
                .get()
                .with(py, |controller| controller.refuse(controller.now_ns()));
        }
    }

    /// Give the worker's message, which begins now, its permit. One is given beyond the limit if it has fallen since the
    /// worker asked.
    #[inline]
    pub(super) fn begin_permit(&self, worker: &Bound<'_, Worker>) -> PyResult<()> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let (py, state) = (worker.py(), worker.get());
        let since_ns = unsigned(state.since_ns.get());
        let permit = limiter
            .get()
            .with(py, |controller| match controller.try_acquire(since_ns) {
                Some(permit) => permit,
                None => controller.acquire_beyond(since_ns),
            });
        match state.set_permit(py, Some(permit)) {
            None => Ok(()),
            // None is left where a message ends; if one were, it would take a place for ever.
            Some(left) => {
                LimitController::settle(limiter.bind(py), left, since_ns, CallEnd::Ignored)
                    .map(drop)
            }
        }
    }

    /// Give the permit of the worker's message back, if it has one.
    #[inline]
    pub(super) fn end_permit(&self, worker: &Bound<'_, Worker>, end: CallEnd) -> PyResult<()> {
        if self.limiter.is_none() {
            return Ok(());
        }
        let now_ns = self.time(worker)?;
        self.end_permit_at(worker, end, now_ns)
    }

    /// Give the permit of the worker's message back, if it has one, at this time.
    #[inline]
    pub(super) fn end_permit_at(
        &self,
        worker: &Bound<'_, Worker>,
        end: CallEnd,
        now_ns: i64,
    ) -> PyResult<()> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let py = worker.py();
        let Some(permit) = worker.get().set_permit(py, None) else {
            return Ok(());
        };
        let limiter = limiter.bind(py);
        let before = limiter.get().with(py, |controller| controller.limit());
        LimitController::settle(limiter, permit, unsigned(now_ns), end)
            .and_then(|_| {
                // The worker goes on with its turn, and asks for nobody else.
                if limiter.get().with(py, |controller| controller.limit()) > before {
                    self.risen.bind(py).call0()?;
                }
                Ok(())
            })
            .inspect_err(|_| let_go(worker)) // the algorithm's own error, which no message has caused
    }
}

/// Return a time of the loop's clock, which is never negative, as the core has it.
fn unsigned(time_ns: i64) -> u64 {
    time_ns.max(0).cast_unsigned()
}
