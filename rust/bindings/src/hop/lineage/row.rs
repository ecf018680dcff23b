//! `LineageRow`: one thing that happened to a message, as the loop appends it: numbers and references, no text but errors.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::frame::Id;
use crate::hop::visit::WaitSum;

/// State of a visit to a stage, or the outcome of a message in its route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    Pending,
    Completed,
    Failed,
    Skipped,
    Cancelled,
    EndCompleted,
    EndFiltered,
    EndDeadLettered,
    EndFailed,
}

/// States of a visit, each at the place that is its number for Python.
const STATUSES: [RowKind; 5] = [
    RowKind::Pending,
    RowKind::Completed,
    RowKind::Failed,
    RowKind::Skipped,
    RowKind::Cancelled,
];

/// Outcomes, likewise.
const OUTCOMES: [RowKind; 4] = [
    RowKind::EndCompleted,
    RowKind::EndFiltered,
    RowKind::EndDeadLettered,
    RowKind::EndFailed,
];

/// Add the names of both to the module.
pub fn add_kinds(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let statuses = PyTuple::new(py, STATUSES.map(RowKind::name))?;
    module.add("LINEAGE_STATUSES", statuses)?;
    let outcomes = PyTuple::new(py, OUTCOMES.map(RowKind::name))?;
    module.add("LINEAGE_OUTCOMES", outcomes)
}

impl RowKind {
    /// Return the state of a visit with this number.
    pub fn of_status(number: usize) -> PyResult<Self> {
        numbered(&STATUSES, number)
    }

    /// Return the outcome with this number.
    pub fn of_outcome(number: usize) -> PyResult<Self> {
        numbered(&OUTCOMES, number)
    }

    /// Return its name in a row.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed | Self::EndCompleted => "completed",
            Self::Failed | Self::EndFailed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::EndFiltered => "filtered",
            Self::EndDeadLettered => "dead_lettered",
        }
    }

    /// True if it is an outcome.
    pub fn is_end(self) -> bool {
        OUTCOMES.contains(&self)
    }
}

fn numbered(kinds: &[RowKind], number: usize) -> PyResult<RowKind> {
    kinds.get(number).copied().ok_or_else(|| {
        let most = kinds.len();
        PyValueError::new_err(format!("expected a number below {most}, got {number}"))
    })
}

/// Detail beside the numbers.
pub enum RowDetail {
    Nothing,
    /// JSON.
    Text(Box<str>),
    /// The payload that a stage's condition did not hold for: the reason is found when the row is packed.
    Skip(Py<PyBytes>),
    /// No outbound took the message.
    Unrouted,
    /// The outbound that took it, by its place in the route.
    Place(u32),
    /// The outbounds that took it.
    Places(Box<[u32]>),
}

impl RowDetail {
    /// Return the detail that is this JSON, if there is any.
    pub fn of(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.into()))
    }
}

/// Payloads whose hashes a row has.
pub struct RowPayloads {
    pub before: Py<PyBytes>,
    pub after: Option<Py<PyBytes>>,
}

/// One row.
pub struct LineageRow {
    pub kind: RowKind,
    /// Place of the route among the execution's.
    pub route: u32,
    /// Place of the stage in the route; 0 for an outcome.
    pub position: u32,
    pub attempt: u32,
    pub message_id: Id,
    pub correlation_id: Id,
    pub parent_id: Option<Id>,
    /// Begin of the visit, or end of the message, by the loop's clock.
    pub time_ns: i64,
    /// Duration of the visit in nanoseconds, or number of messages that the message became.
    pub number: i64,
    pub waited: WaitSum,
    pub detail: RowDetail,
    pub payloads: Option<Box<RowPayloads>>,
    /// Bytes that the log counts for it.
    pub counted: usize,
}

impl LineageRow {
    /// Return the bytes that the row keeps from being freed: each payload once, and none that the row before it keeps.
    pub fn size(&self, py: Python<'_>, before: Option<&Self>) -> usize {
        let detail = match &self.detail {
            RowDetail::Text(text) => text.len(),
            RowDetail::Places(places) => size_of_val::<[u32]>(places),
            RowDetail::Nothing | RowDetail::Skip(_) | RowDetail::Unrouted | RowDetail::Place(_) => {
                0
            }
        };
        let own = size_of::<Self>() + detail;
        if !self.keeps_payloads() {
            return own;
        }
        let boxed = self
            .payloads
            .as_ref()
            .map_or(0, |_| size_of::<RowPayloads>());
        let others = before.map_or([None; 3], Self::kept);
        own + boxed + bytes_of(py, self.kept(), others)
    }

    /// True if it keeps any payload: most rows keep none.
    #[inline]
    fn keeps_payloads(&self) -> bool {
        self.payloads.is_some() || matches!(self.detail, RowDetail::Skip(_))
    }

    /// Return the bytes of payloads that packing the row reads.
    pub fn read(&self, py: Python<'_>) -> usize {
        if !self.keeps_payloads() {
            return 0;
        }
        let kept = self.kept().into_iter().flatten();
        kept.map(|payload| payload.as_bytes(py).len()).sum()
    }

    /// Return the payloads that it keeps.
    fn kept(&self) -> [Option<&Py<PyBytes>>; 3] {
        let skipped = match &self.detail {
            RowDetail::Skip(payload) => Some(payload),
            _ => None,
        };
        let payloads = self.payloads.as_ref();
        let after = payloads.and_then(|it| it.after.as_ref());
        [skipped, payloads.map(|it| &it.before), after]
    }
}

/// Return the bytes of payloads, each once, without these others.
fn bytes_of(
    py: Python<'_>,
    payloads: [Option<&Py<PyBytes>>; 3],
    others: [Option<&Py<PyBytes>>; 3],
) -> usize {
    let mut bytes = 0;
    for (place, payload) in payloads.iter().enumerate() {
        let Some(payload) = payload else { continue };
        let counted = payloads[..place].iter().chain(&others);
        if !counted.flatten().any(|other| other.is(payload)) {
            bytes += payload.as_bytes(py).len();
        }
    }
    bytes
}
