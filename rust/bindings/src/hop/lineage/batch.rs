//! `LineageBatch`: rows that a writer has taken, and their packing as msgpack.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use factflow_core::value::{quote, write_array_len, write_bin, write_int, write_nil, write_str};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use super::names::{LineageNames, NamedRoute};
use super::row::{LineageRow, RowDetail};
use crate::errors;

/// Bytes of a hash that a row has.
const HASH_BYTES: usize = 16;
/// Fields of an entry, and of an outcome.
const ENTRY_FIELDS: u32 = 16;
const OUTCOME_FIELDS: u32 = 10;

/// Rows of one execution, taken from its log.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LineageBatch {
    names: Arc<LineageNames>,
    rows: Vec<Vec<LineageRow>>,
    count: usize,
    wall_offset_ns: i64,
    /// Bytes that it counts among those taken from its log, until it is done.
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

impl LineageBatch {
    pub fn new(names: Arc<LineageNames>, rows: Vec<Vec<LineageRow>>, wall_offset_ns: i64) -> Self {
        Self {
            names,
            count: rows.iter().map(Vec::len).sum(),
            rows,
            wall_offset_ns,
            bytes: AtomicUsize::new(0),
            taken: Arc::default(),
        }
    }

    /// Count its bytes among those taken from a log, to which they were added.
    pub fn counted(mut self, taken: Arc<AtomicUsize>, bytes: usize) -> Self {
        self.taken = taken;
        self.bytes = AtomicUsize::new(bytes);
        self
    }

    fn pack_shown(&self, shown: &[Shown<'_>]) -> Vec<u8> {
        let ends = shown.iter().filter(|it| it.row.kind.is_end()).count();
        let mut out = Vec::with_capacity(shown.len() * 256);
        write_array_len(&mut out, 2);
        write_array_len(&mut out, length(shown.len() - ends));
        for one in shown.iter().filter(|it| !it.row.kind.is_end()) {
            self.write_entry(&mut out, one);
        }
        write_array_len(&mut out, length(ends));
        for one in shown.iter().filter(|it| it.row.kind.is_end()) {
            self.write_outcome(&mut out, one);
        }
        out
    }

    fn write_entry(&self, out: &mut Vec<u8>, shown: &Shown<'_>) {
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
        write_hash(out, shown.before);
        write_hash(out, shown.after);
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
    /// Return rows from this place on as msgpack: a list of entries and a list of outcomes, each a list of its fields. The
    /// interpreter's lock is free meanwhile.
    #[pyo3(signature = (start, count, /))]
    fn pack<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        count: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        errors::guarded(py, || {
            let rows = self.rows.iter().flatten().skip(start).take(count);
            let shown: Vec<Shown<'_>> = rows
                .map(|row| {
                    let payloads = row.payloads.as_ref();
                    Shown {
                        row,
                        skipped: match &row.detail {
                            RowDetail::Skip(payload) => Some(payload.as_bytes(py)),
                            _ => None,
                        },
                        before: payloads.map(|it| it.before.as_bytes(py)),
                        after: payloads
                            .and_then(|it| it.after.as_ref())
                            .map(|after| after.as_bytes(py)),
                    }
                })
                .collect();
            let packed = py.detach(|| self.pack_shown(&shown));
            Ok(PyBytes::new(py, &packed))
        })
    }

    fn __len__(&self) -> usize {
        self.count
    }

    /// Let go of the rows: others may take their place.
    fn done(&self) {
        self.taken.fetch_sub(self.bytes.swap(0, Relaxed), Relaxed);
    }
}

impl Drop for LineageBatch {
    fn drop(&mut self) {
        self.done();
    }
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

fn write_hash(out: &mut Vec<u8>, payload: Option<&[u8]>) {
    match payload {
        Some(payload) => write_bin(out, &Sha256::digest(payload)[..HASH_BYTES]),
        None => write_nil(out),
    }
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
