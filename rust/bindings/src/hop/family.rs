//! `Family`: the number of children of one message that have not ended, and whether more will come.
//!
//! Kept separate from `child` because carriers count children without Python, and leave the parent's end to it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::prelude::*;

use super::loop_number::LoopNumber;

/// A message with children; base of Python's `Parent`.
#[pyclass(frozen, subclass, module = "factflow_engine._native")]
#[derive(Default)]
pub struct Family {
    open: LoopNumber,
    exhausted: AtomicBool,
}

impl Family {
    /// Count a child that has begun.
    pub fn begin(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// Count the end of a child; true if nothing is left, so that Python ends the message.
    ///
    /// The parent of messages that have none counts nothing, and never ends.
    pub fn end(&self) -> bool {
        let open = self.open.get();
        if open == 0 {
            return false;
        }
        self.open.set(open - 1);
        open == 1 && self.exhausted.load(Relaxed)
    }
}

#[pymethods]
impl Family {
    /// Subclasses take arguments of their own.
    #[new]
    #[pyo3(signature = (*_arguments))]
    fn new(_arguments: &Bound<'_, pyo3::types::PyTuple>) -> Self {
        Self::default()
    }

    #[getter]
    fn get_open(&self) -> i64 {
        self.open.get()
    }

    #[setter]
    fn set_open(&self, open: i64) {
        self.open.set(open);
    }

    #[getter]
    fn get_exhausted(&self) -> bool {
        self.exhausted.load(Relaxed)
    }

    #[setter]
    fn set_exhausted(&self, exhausted: bool) {
        self.exhausted.store(exhausted, Relaxed);
    }
}
