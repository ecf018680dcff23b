//! `LoopNumber`: a number of the event loop's thread.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// A number that only the thread of the event loop changes, so that a plain load and store is enough.
#[derive(Default)]
pub struct LoopNumber(AtomicI64);

impl LoopNumber {
    pub fn of(number: i64) -> Self {
        Self(AtomicI64::new(number))
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    pub fn set(&self, number: i64) {
        self.0.store(number, Relaxed);
    }
}
