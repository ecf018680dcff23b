//! `Visit`: the time at which a message came to a stage, and what it had waited for.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Parties that a message waits for, by their code; the names are those of Python's `Holder`.
pub const HOLDERS: [&str; 6] = [
    "",
    "permit",
    "retry",
    "circuit_open",
    "dead_letter_queue",
    "stage_permit",
];

/// Add the names to the module.
pub fn add_holders(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LINEAGE_HOLDERS", PyTuple::new(module.py(), HOLDERS)?)
}

/// Code of a permit of the route.
pub const PERMIT: u8 = 1;
/// Code of a permit of the stage's own limit.
pub const STAGE_PERMIT: u8 = 5;

/// Bits of a code.
const CODE_BITS: u32 = 4;

/// Waiting before a stage, all in all, and the longest of its parts with what it waited for.
#[derive(Clone, Copy, Default)]
pub struct WaitSum {
    pub total_ns: i64,
    /// Nanoseconds of the longest wait, and the code of its party in the lowest bits.
    pub longest: i64,
}

impl WaitSum {
    /// Add a wait; one of no length changes nothing.
    pub fn add(&mut self, ns: i64, code: u8) {
        if ns <= 0 {
            return;
        }
        let ns = ns.min(i64::MAX >> CODE_BITS);
        self.total_ns = self.total_ns.saturating_add(ns);
        if ns > self.longest >> CODE_BITS {
            self.longest = ns << CODE_BITS | i64::from(code);
        }
    }

    /// Return the name of the party of the longest wait; empty if there was none.
    pub fn longest_for(self) -> &'static str {
        let code = self.longest & ((1 << CODE_BITS) - 1);
        usize::try_from(code)
            .ok()
            .and_then(|code| HOLDERS.get(code).copied())
            .unwrap_or("")
    }
}

/// A message's visit to a stage; all zero if nobody records it.
#[derive(Clone, Copy, Default)]
pub struct Visit {
    /// Time at which it came, by the loop's clock.
    pub since_ns: i64,
    pub waited: WaitSum,
    /// True if a row of the stage has these waits already: this visit is to the step behind it.
    pub is_recorded: bool,
}

impl Visit {
    /// Return a visit that nothing was waited for.
    pub fn since(since_ns: i64) -> Self {
        Self {
            since_ns,
            ..Self::default()
        }
    }
}
