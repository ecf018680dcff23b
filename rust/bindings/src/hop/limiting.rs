//! The adaptive limit of a route: a permit for each message from its start to the end of its adapters.
//!
//! Kept separate from `carrying`, which asks one question at each place if there is no such limit. A permit is held in
//! adapters only, and never while a message waits for room, for its children or for a retry: so no message waits for a
//! permit whose holder waits for it. Times are the loop's, which the carrier has read anyway.

use std::sync::atomic::Ordering::Relaxed;

use factflow_core::limits::CallEnd;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

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
    ///
    /// A message is counted once, however often it is looked at before it begins.
    pub(super) fn note_crowd(&self, py: Python<'_>) {
        if let Some(limiter) = &self.limiter {
            let is_counted = self.crowded.swap(true, Relaxed);
            limiter.get().with(py, |controller| {
                let now_ns = controller.now_ns();
                if is_counted {
                    controller.crowd(now_ns);
                } else {
                    controller.refuse(now_ns);
                }
            });
        }
    }

    /// Give the worker's message, which begins now, its permit; return true if no other message may begin. A permit is given
    /// beyond the limit if that has fallen since the worker asked, or if it gates nothing.
    #[inline]
    pub(super) fn begin_permit(&self, worker: &Bound<'_, Worker>) -> PyResult<bool> {
        let Some(limiter) = &self.limiter else {
            return Ok(false);
        };
        let (py, state) = (worker.py(), worker.get());
        let since_ns = unsigned(state.since_ns.get());
        self.crowded.store(false, Relaxed);
        state.called.set(0);
        let (permit, is_last) = limiter.get().with(py, |controller| {
            (controller.acquire_beyond(since_ns), controller.free() == 0)
        });
        if let Some(left) = state.set_permit(py, Some(permit)) {
            // None is left where a message ends; if one were, it would take a place for ever.
            LimitController::settle(limiter.bind(py), left, since_ns, CallEnd::Ignored)?;
        }
        Ok(is_last)
    }

    /// Give the permit of the worker's message back, if it has one; the message has ended.
    #[inline]
    pub(super) fn end_permit(&self, worker: &Bound<'_, Worker>, end: CallEnd) -> PyResult<()> {
        if self.limiter.is_none() {
            return Ok(());
        }
        let now_ns = self.time(worker)?;
        self.end_permit_at(worker, end, now_ns)
    }

    /// Give the permit of the worker's message back, if it has one, at this time; the message has ended.
    #[inline]
    pub(super) fn end_permit_at(
        &self,
        worker: &Bound<'_, Worker>,
        end: CallEnd,
        now_ns: i64,
    ) -> PyResult<()> {
        self.return_permit(worker, end, now_ns)
            .inspect_err(|_| let_go(worker)) // no message has caused it
    }

    /// Give the permit of the worker's message back, if it has one, at this time. An error is none of the message's, which is
    /// still the worker's: it is the algorithm's own, and the permit is back; or trio could not say whether the task is being
    /// cancelled, and the permit is still the worker's.
    #[inline]
    pub(super) fn return_permit(
        &self,
        worker: &Bound<'_, Worker>,
        end: CallEnd,
        now_ns: i64,
    ) -> PyResult<()> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let (py, state) = (worker.py(), worker.get());
        // Asked before the permit is taken: whoever handles the error of asking gives it back.
        let end = match state.called.get() {
            NOT_CALLED => CallEnd::Ignored,
            // Its adapter has swallowed a cancellation.
            FAILED if end != CallEnd::Ignored && is_cancelled(py)? => CallEnd::Ignored,
            _ => end,
        };
        let Some(permit) = state.set_permit(py, None) else {
            return Ok(());
        };
        let limiter = limiter.bind(py);
        let before = limiter.get().with(py, |controller| controller.limit());
        LimitController::settle(limiter, permit, unsigned(now_ns), end)?;
        // The worker goes on with its turn, and asks for nobody else.
        if limiter.get().with(py, |controller| controller.limit()) > before {
            self.risen.bind(py).call0()?;
        }
        Ok(())
    }

    /// Note that an adapter is called with the worker's message.
    #[inline]
    pub(super) fn note_call(&self, worker: &Bound<'_, Worker>) {
        if self.limiter.is_some() {
            let called = &worker.get().called;
            called.set(called.get().max(CALLED));
        }
    }

    /// Note trio's answer to what the worker's adapter waits for, which may be a cancellation.
    #[inline]
    pub(super) fn note_answer(
        &self,
        worker: &Bound<'_, Worker>,
        answer: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.limiter.is_some() {
            let error = ERROR.import(answer.py(), "outcome", "Error")?;
            if answer.get_type().is(error) {
                note_error(worker);
            }
        }
        Ok(())
    }
}

/// Note that an exception may be raised where the worker's adapter waits.
pub(super) fn note_error(worker: &Bound<'_, Worker>) {
    worker.get().called.set(FAILED);
}

/// Calls of adapters with a message since it has its permit: none, some, and some of which one got an exception for what it
/// waited for.
const NOT_CALLED: i64 = 0;
const CALLED: i64 = 1;
const FAILED: i64 = 2;

/// The class in which trio hands an exception to what waits.
static ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
/// Trio's deadline of the running task.
static DEADLINE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// True if the running task is being cancelled.
#[cold]
fn is_cancelled(py: Python<'_>) -> PyResult<bool> {
    let deadline = DEADLINE.import(py, "trio", "current_effective_deadline")?;
    Ok(deadline.call0()?.extract::<f64>()? == f64::NEG_INFINITY)
}

/// Return a time of the loop's clock, which is never negative, as the core has it.
fn unsigned(time_ns: i64) -> u64 {
    time_ns.max(0).cast_unsigned()
}
