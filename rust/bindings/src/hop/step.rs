//! `Step`: the point at which Python takes over from the carrier; kept separate because every module that carries names
//! it.

use pyo3::prelude::*;

/// State of a message when a function of the carrier returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The message has ended and was counted; or the turn is over.
    Ended = 0,
    /// Its adapter's coroutine `worker.pending` waits for `worker.value`.
    Suspended = 1,
    /// Its adapter gave something that is no coroutine, `worker.pending`.
    Awaitable = 2,
    /// Its adapter returned `worker.value`, which is for Python to judge.
    Returned = 3,
    /// The message has passed all stages and no outbound can take it.
    Stranded = 4,
    /// Its adapter returned and left a cancel scope or a nursery open in the worker's task.
    LeftOpen = 5,
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
    ] {
        module.add(name, step as u8)?;
    }
    Ok(())
}
