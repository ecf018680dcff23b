//! `LineageBatch`: rows that a writer has taken, and their packing as msgpack.
//!
//! A row is freed with the payloads that it keeps once it is packed: while a store takes its time, only its bytes wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::vec;

use factflow_core::value::{quote, write_array_len, write_bin, write_int, write_nil, write_str};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use super::names::{LineageNames, NamedRoute};
use super::row::{LineageRow, RowDetail};
use crate::errors;
use crate::gil_cell::GilCell;

/// Bytes of a hash that a row has.
const HASH_BYTES: usize = 16;
/// Fields of an entry, and of an outcome.
const ENTRY_FIELDS: u32 = 16;
const OUTCOME_FIELDS: u32 = 10;

/// Rows of one execution, taken from its log.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LineageBatch {
    names: Arc<LineageNames>,
    /// Rows that are not packed, by chunks that are not empty.
    rows: GilCell<VecDeque<vec::IntoIter<LineageRow>>>,
    /// Number of all its rows.
    count: usize,
    wall_offset_ns: i64,
    /// Bytes of its rows that are not packed, and of what it has packed; counted among those taken from its log.
    bytes: AtomicUsize,
    taken: Arc<AtomicUsize>,
}

/// A row with the bytes that it refers to, which need no interpreter.
struct Shown<'a> {
    row: &'a LineageRow,
    skipped: Option<&'a [u8]>,
    before: Option<&'a [u8]>,
    after: Option<&'a [u8]>,
}

impl<'a> Shown<'a> {
    fn of(py: Python<'a>, row: &'a LineageRow) -> Self {
        let payloads = row.payloads.as_ref();
        let after = payloads.and_then(|it| it.after.as_ref());
        Self {
            row,
            skipped: match &row.detail {
                RowDetail::Skip(payload) => Some(payload.as_bytes(py)),
                _ => None,
            },
            before: payloads.map(|it| it.before.as_bytes(py)),
            after: after.map(|after| after.as_bytes(py)),
        }
    }
}

/// The last payload that was hashed: what one stage returns the next one gets, and many return what they got.
#[derive(Default)]
struct LastHash<'a>(Option<(&'a [u8], [u8; HASH_BYTES])>);

impl<'a> LastHash<'a> {
    fn write(&mut self, out: &mut Vec<u8>, payload: Option<&'a [u8]>) {
        let Some(payload) = payload else {
            write_nil(out);
            return;
        };
        let hash = match self.0 {
            Some((last, hash)) if core::ptr::eq(last, payload) => hash,
            _ => {
                let mut hash = [0; HASH_BYTES];
                hash.copy_from_slice(&Sha256::digest(payload)[..HASH_BYTES]);
                hash
            }
        };
        self.0 = Some((payload, hash));
        write_bin(out, &hash);
    }
}

impl LineageBatch {
    /// Make a batch of rows of so many bytes, which it adds to those taken from its log.
    pub fn new(
        names: Arc<LineageNames>,
        rows: Vec<Vec<LineageRow>>,
        wall_offset_ns: i64,
        taken: Arc<AtomicUsize>,
        bytes: usize,
    ) -> Self {
        taken.fetch_add(bytes, Relaxed);
        Self {
            names,
            count: rows.iter().map(Vec::len).sum(),
            rows: GilCell::new(rows.into_iter().map(Vec::into_iter).collect()),
            wall_offset_ns,
            bytes: AtomicUsize::new(bytes),
            taken,
        }
    }

    /// Take the next chunk of rows that are not packed.
    fn take_chunk(&self, py: Python<'_>) -> Option<vec::IntoIter<LineageRow>> {
        // SAFETY: a chunk is moved.
        unsafe { self.rows.with(py, VecDeque::pop_front) }
    }

    /// Put back what is left of a chunk.
    fn put_back(&self, py: Python<'_>, chunk: vec::IntoIter<LineageRow>) {
        // SAFETY: a chunk is moved.
        unsafe { self.rows.with(py, |rows| rows.push_front(chunk)) };
    }

    /// Count bytes that it keeps from now on, and those that it lets go.
    fn count_bytes(&self, more: usize, less: usize) {
        for counter in [&self.bytes, &*self.taken] {
            counter.fetch_add(more, Relaxed);
            counter.fetch_sub(less, Relaxed);
        }
    }

    fn pack_shown(&self, shown: &[Shown<'_>]) -> Vec<u8> {
        let ends = shown.iter().filter(|it| it.row.kind.is_end()).count();
        let mut out = Vec::with_capacity(shown.len() * 256);
        write_array_len(&mut out, 2);
        write_array_len(&mut out, length(shown.len() - ends));
        let mut hashes = LastHash::default();
        for one in shown.iter().filter(|it| !it.row.kind.is_end()) {
            self.write_entry(&mut out, one, &mut hashes);
        }
        write_array_len(&mut out, length(ends));
        for one in shown.iter().filter(|it| it.row.kind.is_end()) {
            self.write_outcome(&mut out, one);
        }
        out
    }

    fn pack_shown_in_order(&self, shown: &[Shown<'_>]) -> Vec<u8> {
        let mut out = Vec::with_capacity(shown.len() * 256);
        write_array_len(&mut out, length(shown.len()));
        let mut hashes = LastHash::default();
        for one in shown {
            if one.row.kind.is_end() {
                self.write_outcome(&mut out, one);
            } else {
                self.write_entry(&mut out, one, &mut hashes);
            }
        }
        out
    }

    /// Take the next rows and write them with the interpreter's lock free, but not the thread.
    fn packed<'py>(
        &self,
        py: Python<'py>,
        most_rows: usize,
        most_bytes: usize,
        write: impl FnOnce(&[Shown<'_>]) -> Vec<u8> + Send,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        errors::guarded(py, || {
            let Some(mut chunk) = self.take_chunk(py) else {
                return Ok(None);
            };
            let rows = chunk.as_slice();
            let rows = &rows[..fitting(py, rows, most_rows, most_bytes)];
            let shown: Vec<Shown<'_>> = rows.iter().map(|row| Shown::of(py, row)).collect();
            let packed = py.detach(|| write(&shown));
            self.count_bytes(packed.len(), rows.iter().map(|row| row.counted).sum());
            let count = rows.len();
            drop(chunk.nth(count - 1)); // and all before it
            if !chunk.as_slice().is_empty() {
                self.put_back(py, chunk);
            }
            Ok(Some(PyBytes::new(py, &packed)))
        })
    }

    fn write_entry<'a>(&self, out: &mut Vec<u8>, shown: &Shown<'a>, hashes: &mut LastHash<'a>) {
        let row = shown.row;
        let route = self.names.routes.get(row.route as usize);
        let stage = route.and_then(|route| route.stages.get(row.position as usize));
        write_array_len(out, ENTRY_FIELDS);
        write_str(out, &self.names.execution_id);
        write_str(out, route.map_or("", |route| &route.id));
        write_str(out, stage.map_or("", |stage| &stage.name));
        write_int(out, i64::from(row.position));
        write_ids(out, row);
        write_int(out, i64::from(row.attempt));
        write_str(out, row.kind.name());
        write_int(out, row.time_ns.saturating_add(self.wall_offset_ns));
        write_int(out, row.number);
        write_int(out, row.waited.total_ns);
        match row.waited.longest_for() {
            "" => write_nil(out),
            name => write_str(out, name),
        }
        hashes.write(out, shown.before);
        hashes.write(out, shown.after);
        let reason = shown.skipped.and_then(|payload| {
            let cause = stage.and_then(|stage| stage.cause.as_ref());
            cause.and_then(|cause| cause.explain(payload, &self.names.shown))
        });
        match (reason, &row.detail) {
            (Some(text), _) => write_str(out, &text),
            (None, detail) => write_detail(out, detail, route),
        }
    }

    fn write_outcome(&self, out: &mut Vec<u8>, shown: &Shown<'_>) {
        let row = shown.row;
        let route = self.names.routes.get(row.route as usize);
        write_array_len(out, OUTCOME_FIELDS);
        write_str(out, &self.names.execution_id);
        write_str(out, route.map_or("", |route| &route.id));
        write_ids(out, row);
        write_str(out, row.kind.name());
        write_int(out, row.time_ns.saturating_add(self.wall_offset_ns));
        write_int(out, i64::from(row.attempt));
        write_int(out, row.number);
        write_detail(out, &row.detail, route);
    }
}

#[pymethods]
impl LineageBatch {
    /// Return the next rows as msgpack: a list of entries and a list of outcomes, each a list of its fields; None after the
    /// last ones. The interpreter's lock is free meanwhile, but not the thread, so both the rows and the bytes of payloads
    /// that are read are bounded, up to one row.
    #[pyo3(signature = (most_rows, most_bytes, /))]
    fn pack<'py>(
        &self,
        py: Python<'py>,
        most_rows: usize,
        most_bytes: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.packed(py, most_rows, most_bytes, |shown| self.pack_shown(shown))
    }

    /// Return the next rows as `pack` does, but as one list, in the order in which they were appended.
    #[pyo3(signature = (most_rows, most_bytes, /))]
    fn pack_in_order<'py>(
        &self,
        py: Python<'py>,
        most_rows: usize,
        most_bytes: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.packed(py, most_rows, most_bytes, |shown| {
            self.pack_shown_in_order(shown)
        })
    }

    fn __len__(&self) -> usize {
        self.count
    }
}

impl Drop for LineageBatch {
    fn drop(&mut self) {
        self.count_bytes(0, self.bytes.load(Relaxed));
    }
}

/// Return the number of the first rows that are packed together: so many at most, and none after one with which they read so
/// many bytes; one at least.
fn fitting(py: Python<'_>, rows: &[LineageRow], most_rows: usize, most_bytes: usize) -> usize {
    let mut bytes = 0;
    let more = rows.iter().take_while(|row| {
        bytes += row.read(py);
        bytes < most_bytes
    });
    (more.count() + 1).min(most_rows).clamp(1, rows.len())
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn write_ids(out: &mut Vec<u8>, row: &LineageRow) {
    write_bin(out, &row.message_id);
    match &row.parent_id {
        Some(id) => write_bin(out, id),
        None => write_nil(out),
    }
    write_bin(out, &row.correlation_id);
}

fn write_detail(out: &mut Vec<u8>, detail: &RowDetail, route: Option<&NamedRoute>) {
    let outbounds = route.map_or(&[][..], |route| &route.outbounds);
    match detail {
        RowDetail::Nothing | RowDetail::Skip(_) => write_nil(out),
        RowDetail::Text(text) => write_str(out, text),
        RowDetail::Unrouted => write_str(out, "{\"reason\":\"unrouted\"}"),
        RowDetail::Place(place) => write_str(out, &outbounds_text(outbounds, &[*place])),
        RowDetail::Places(places) => write_str(out, &outbounds_text(outbounds, places)),
    }
}

fn outbounds_text(names: &[String], places: &[u32]) -> String {
    let mut text = String::from("{\"outbounds\":[");
    for (number, &place) in places.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        let name = names.get(place as usize).map_or("", |name| name);
        quote(name, usize::MAX, &mut text);
    }
    text.push_str("]}");
    text
}
