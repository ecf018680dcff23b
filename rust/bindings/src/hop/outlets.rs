//! `Outlets`: where a route's messages go, and which of them.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use smallvec::SmallVec;

use super::line::Line;
use crate::conditions::Condition;
use crate::frame::{Fields, Headers};
use crate::routing::RouteTable;

/// One outbound.
#[derive(FromPyObject)]
struct Outlet {
    #[pyo3(attribute)]
    condition: Option<Py<Condition>>,
    #[pyo3(attribute)]
    label: u64,
    /// The lines that it leads to; for a topic they come and go.
    #[pyo3(attribute)]
    channels: Py<PyList>,
}

/// Places of outlets; few, as a rule.
type Places = SmallVec<[u32; 8]>;

/// A message that leaves: what it came as, and what the route has made of it.
pub struct Leaving<'a> {
    pub fields: &'a Fields,
    pub payload: Option<&'a Py<PyBytes>>,
    pub headers: Option<&'a Headers>,
}

/// Where a message went.
pub enum Left {
    /// To so many outlets; none, if there are none.
    To(u64),
    /// Nowhere: no outlet's condition holds.
    Unrouted,
    /// Nowhere: an outlet is full and nobody reads it.
    Full,
}

/// All outbounds of one route.
pub struct Outlets {
    all: Vec<Outlet>,
    /// They, filed by their conditions, if there are several.
    table: Option<Py<RouteTable>>,
    first_only: bool,
}

impl Outlets {
    pub fn new(
        outlets: &Bound<'_, PyTuple>,
        table: Option<Py<RouteTable>>,
        first_only: bool,
    ) -> PyResult<Self> {
        Ok(Self {
            all: outlets
                .iter()
                .map(|outlet| outlet.extract())
                .collect::<PyResult<_>>()?,
            table,
            first_only,
        })
    }

    /// Add the message to every outlet that takes it: all of them, or none.
    pub fn publish(&self, py: Python<'_>, message: &Leaving<'_>) -> PyResult<Left> {
        match &self.all[..] {
            [] => Ok(Left::To(0)),
            [outlet] if outlet.condition.is_none() => {
                if !outlet.can_take(py)? {
                    return Ok(Left::Full);
                }
                outlet.take(py, message)?;
                Ok(Left::To(1))
            }
            outlets => {
                let payload = message.payload.unwrap_or(&message.fields.payload);
                let taken = self.taken_by(payload.bind(py))?;
                for &place in &taken {
                    if !outlets[place as usize].can_take(py)? {
                        return Ok(Left::Full);
                    }
                }
                for &place in &taken {
                    outlets[place as usize].take(py, message)?;
                }
                Ok(match taken.len() {
                    0 => Left::Unrouted,
                    number => Left::To(number as u64),
                })
            }
        }
    }

    /// Return how many more messages every outlet that is read can take, `reserved` ones being on their way.
    pub fn room(&self, py: Python<'_>, reserved: isize) -> PyResult<isize> {
        let mut room = isize::MAX;
        for outlet in &self.all {
            for line in outlet.channels.bind(py) {
                let line = line.cast::<Line>()?.try_borrow()?;
                if line.is_read() {
                    room = room.min(line.room().saturating_sub(reserved));
                }
            }
        }
        Ok(room)
    }

    /// Show the garbage collector what is held.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for outlet in &self.all {
            visit.call(&outlet.condition)?;
            visit.call(&outlet.channels)?;
        }
        visit.call(&self.table)
    }

    /// Return the places of the outlets that a message goes to, in order.
    fn taken_by(&self, payload: &Bound<'_, PyBytes>) -> PyResult<Places> {
        let mut places = Places::new();
        if let Some(table) = &self.table {
            if self.first_only {
                places.extend(table.get().first(payload)?);
            } else {
                table.get().all(payload, |_, rules| {
                    places.extend_from_slice(rules);
                    Ok(())
                })?;
            }
            return Ok(places);
        }
        for (place, outlet) in (0..).zip(&self.all) {
            let takes = match &outlet.condition {
                Some(condition) => condition.get().matches(payload)?,
                None => true,
            };
            if takes {
                places.push(place);
                if self.first_only {
                    break;
                }
            }
        }
        Ok(places)
    }
}

impl Outlet {
    /// True if a message may be added: a full line is no hindrance if somebody reads it, for room was waited for.
    fn can_take(&self, py: Python<'_>) -> PyResult<bool> {
        for line in self.channels.bind(py) {
            let line = line.cast::<Line>()?.try_borrow()?;
            if !line.is_read() && line.room() <= 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&self, py: Python<'_>, message: &Leaving<'_>) -> PyResult<()> {
        let lines = self.channels.bind(py);
        let Ok(mut line) = lines.get_item(0) else {
            return Ok(()); // a topic that nobody reads
        };
        let child = message
            .fields
            .child(py, self.label, 0, message.payload, message.headers);
        for place in 1..lines.len() {
            Line::push(line.cast::<Line>()?, child.clone_ref(py))?;
            line = lines.get_item(place)?;
        }
        Line::push(line.cast::<Line>()?, child)
    }
}
