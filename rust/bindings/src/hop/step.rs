//! `Step`: the point at which Python takes over from the carrier; kept separate because every module that carries names
//! it.

use pyo3::prelude::*;

/// State of a message when a function of the carrier returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// End of the message, which was counted; or end of the turn.
    Ended = 0,
    /// Wait of the adapter's coroutine `worker.pending` for `worker.value`.
    Suspended = 1,
    /// Awaitable that is no coroutine, given by the adapter: `worker.pending`.
    Awaitable = 2,
    /// Result of the adapter that Python must judge: `worker.value`.
    Returned = 3,
    /// End of the stages with no outbound that can take the message.
    Stranded = 4,
    /// Return of the adapter with a cancel scope or a nursery left open in the worker's task.
    LeftOpen = 5,
    /// End of the message, a child, and with it of the last child of `worker.value`, which Python is to end.
    LastChild = 6,
}

/// Add the steps' numbers to the module.
pub fn add_steps(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, step) in [
        ("STEP_ENDED", Step::Ended),
        ("STEP_SUSPENDED", Step::Suspended),
        ("STEP_AWAITABLE", Step::Awaitable),
        ("STEP_RETURNED", Step::Returned),
        ("STEP_STRANDED", Step::Stranded),
        ("STEP_LEFT_OPEN", Step::LeftOpen),
        ("STEP_LAST_CHILD", Step::LastChild),
    ] {
        module.add(name, step as u8)?;
    }
    Ok(())
}
