//! `LineageLog`: the rows of one execution that wait for their writer, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use factflow_core::random::mixed;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use super::batch::LineageBatch;
use super::names::LineageNames;
use super::row::LineageRow;
use super::showing::ShownValues;
use crate::errors;
use crate::frame::Id;
use crate::gil_cell::GilCell;
use crate::hop::clock::Clock;
use crate::hop::loop_number::LoopNumber;

/// Rows of a chunk: a chunk is never moved when it grows, as one list of all rows would be.
const CHUNK_ROWS: usize = 1024;

/// Rows that were appended one after another.
#[derive(Default)]
struct Chunk {
    rows: Vec<LineageRow>,
    bytes: usize,
}

/// Rows in the order in which they were appended, and their numbers.
#[derive(Default)]
struct Rows {
    full: VecDeque<Chunk>,
    last: Chunk,
    /// Bytes of rows that wait.
    waiting: usize,
    recorded: u64,
    lost: u64,
    /// True if the writer was told that the log is half full.
    told: bool,
}

/// Rows of one execution.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LineageLog {
    rows: GilCell<Rows>,
    /// Bytes of rows that a writer has taken and that are not freed.
    taken: Arc<AtomicUsize>,
    pub names: Arc<LineageNames>,
    now: Clock,
    /// Time of the last step of the message at hand, by the loop's clock.
    pub last_ns: LoopNumber,
    /// Messages are followed whose mixed correlation id is at most this; None: all.
    threshold: Option<u64>,
    pub hashes: bool,
    most_bytes: usize,
    /// Told of the first row after all were taken (false), and when the log is half full (true).
    tell: Py<PyAny>,
}

impl LineageLog {
    /// True if the family of this root is recorded: a function of the id alone.
    #[inline]
    pub fn follows(&self, correlation_id: &Id) -> bool {
        self.threshold
            .is_none_or(|threshold| spread(correlation_id) <= threshold)
    }

    /// Read the clock; one that fails gives the last time again, and the hop, which reads it too, raises the error.
    #[inline]
    pub fn step_ns(&self, py: Python<'_>) -> i64 {
        let now_ns = self.now.now_ns(py).unwrap_or_else(|_| self.last_ns.get());
        self.last_ns.set(now_ns);
        now_ns
    }

    /// Append a row, or count it as lost.
    #[inline]
    pub fn push(&self, py: Python<'_>, mut row: LineageRow) {
        let (most, taken) = (self.most_bytes, self.taken.load(Relaxed));
        // SAFETY: a row is moved, and numbers are changed.
        let (refused, tells) = unsafe {
            self.rows.with(py, |rows| {
                let size = row.size(py, rows.last.rows.last());
                row.counted = size;
                if rows.waiting + taken + size > most {
                    rows.lost += 1;
                    return (Some(row), None);
                }
                let is_first = rows.waiting == 0;
                rows.waiting += size;
                rows.recorded += 1;
                if rows.last.rows.len() == rows.last.rows.capacity() {
                    let fresh = Chunk {
                        rows: Vec::with_capacity(CHUNK_ROWS),
                        bytes: 0,
                    };
                    let full = core::mem::replace(&mut rows.last, fresh);
                    if !full.rows.is_empty() {
                        rows.full.push_back(full);
                    }
                }
                rows.last.bytes += size;
                rows.last.rows.push(row);
                let is_urgent = !rows.told && rows.waiting > most / 2;
                rows.told |= is_urgent;
                (None, (is_first || is_urgent).then_some(is_urgent))
            })
        };
        drop(refused); // here: what it refers to may run code when it goes
        if let Some(is_urgent) = tells
            && let Err(error) = self.tell.bind(py).call1((is_urgent,))
        {
            error.write_unraisable(py, Some(self.tell.bind(py)));
        }
    }
}

#[pymethods]
impl LineageLog {
    #[new]
    #[pyo3(signature = (execution_id, routes, *, now, sample_rate, hashes, shows_values, secrets, most_bytes, tell))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn new(
        execution_id: String,
        routes: &Bound<'_, PyAny>,
        now: Bound<'_, PyAny>,
        sample_rate: f64,
        hashes: bool,
        shows_values: bool,
        secrets: Vec<(String, String)>,
        most_bytes: usize,
        tell: Py<PyAny>,
    ) -> PyResult<Self> {
        let shown = ShownValues::new(shows_values, secrets);
        let names = LineageNames::read(execution_id, routes, shown)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of all numbers, which saturates"
        )]
        let threshold = (sample_rate < 1.0).then_some((sample_rate * u64::MAX as f64) as u64);
        Ok(Self {
            rows: GilCell::default(),
            taken: Arc::default(),
            names: Arc::new(names),
            now: Clock::new(now)?,
            last_ns: LoopNumber::default(),
            threshold,
            hashes,
            most_bytes,
            tell,
        })
    }

    /// Take the oldest rows, whole chunks until there are `most` or more; None if there are none.
    #[pyo3(signature = (most, wall_offset_ns, /))]
    fn take(
        slf: &Bound<'_, Self>,
        most: usize,
        wall_offset_ns: i64,
    ) -> PyResult<Option<LineageBatch>> {
        let py = slf.py();
        errors::guarded(py, || {
            let log = slf.get();
            // SAFETY: rows are moved and their bytes counted.
            let (chunks, bytes) = unsafe {
                log.rows.with(py, |rows| {
                    let mut chunks = Vec::new();
                    let (mut count, mut bytes) = (0, 0);
                    while count < most {
                        let chunk = match rows.full.pop_front() {
                            Some(chunk) => chunk,
                            None if rows.last.rows.is_empty() => break,
                            None => core::mem::take(&mut rows.last),
                        };
                        count += chunk.rows.len();
                        bytes += chunk.bytes;
                        chunks.push(chunk.rows);
                    }
                    rows.waiting -= bytes;
                    rows.told &= rows.waiting > log.most_bytes / 2;
                    (chunks, bytes)
                })
            };
            if chunks.is_empty() {
                return Ok(None);
            }
            let (names, taken) = (log.names.clone(), log.taken.clone());
            let batch = LineageBatch::new(names, chunks, wall_offset_ns, taken, bytes);
            Ok(Some(batch))
        })
    }

    /// Return the number of rows that were taken up so far.
    #[getter]
    fn recorded(&self, py: Python<'_>) -> u64 {
        // SAFETY: a number is read.
        unsafe { self.rows.with(py, |rows| rows.recorded) }
    }

    /// Return the number of rows that did not fit.
    #[getter]
    fn lost(&self, py: Python<'_>) -> u64 {
        // SAFETY: a number is read.
        unsafe { self.rows.with(py, |rows| rows.lost) }
    }

    /// Return the number of rows that wait.
    fn __len__(&self, py: Python<'_>) -> usize {
        // SAFETY: numbers are read.
        unsafe {
            self.rows.with(py, |rows| {
                let chunks = rows.full.iter().chain([&rows.last]);
                chunks.map(|chunk| chunk.rows.len()).sum()
            })
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.tell)?;
        self.now.traverse(&visit)
    }
}

/// Return the id as a number, each bit of which depends on every bit of it: ids count up, and their beginnings are times.
#[inline]
fn spread(id: &Id) -> u64 {
    let number = u128::from_le_bytes(*id);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let word = (number as u64) ^ ((number >> 64) as u64).rotate_left(32);
    mixed(word)
}
