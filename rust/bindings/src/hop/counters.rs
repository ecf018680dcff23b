//! `Counters`: the numbers of a route's messages that have begun, and that have ended, by outcome.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;

/// A number that only the thread of the event loop changes, so that a plain load and store is enough; others may read.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, number: u64) {
        self.set(self.get() + number);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }
}

macro_rules! counters {
    ($($name:ident, $set:ident;)*) => {
        /// Messages of one route, counted here and nowhere else.
        #[pyclass(frozen, module = "factflow_engine._native")]
        #[derive(Default)]
        pub struct Counters {
            $(pub $name: Count,)*
        }

        #[pymethods]
        impl Counters {
            #[new]
            fn new() -> Self {
                Self::default()
            }

            $(
                #[getter]
                fn $name(&self) -> u64 {
                    self.$name.get()
                }

                #[setter($name)]
                fn $set(&self, number: u64) {
                    self.$name.set(number);
                }
            )*

            /// Return messages begun, not ended and not waiting; derived, so that the counters always balance.
            #[getter]
            fn in_flight(&self) -> i64 {
                let others =
                    [&self.completed, &self.filtered, &self.dead_lettered, &self.failed, &self.retrying];
                let others: u64 = others.iter().map(|count| count.get()).sum();
                self.received.get().cast_signed() - others.cast_signed()
            }
        }
    };
}

counters! {
    received, set_received;
    emitted, set_emitted;
    skipped, set_skipped;
    completed, set_completed;
    filtered, set_filtered;
    dead_lettered, set_dead_lettered;
    failed, set_failed;
    retrying, set_retrying;
}
