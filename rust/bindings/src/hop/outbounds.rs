//! `Outbounds`: the targets of a route, and the choice among them for each message.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use smallvec::{SmallVec, smallvec};

use super::channel::Channel;
use crate::conditions::Condition;
use crate::frame::{Fields, Headers};
use crate::routing::RouteTable;

/// One outbound.
#[derive(FromPyObject)]
struct Outbound {
    #[pyo3(attribute)]
    condition: Option<Py<Condition>>,
    #[pyo3(attribute)]
    label: u64,
    /// Channels of the target; those of a topic come and go.
    #[pyo3(attribute)]
    channels: Py<PyList>,
}

/// Places of outbounds; few, as a rule.
pub type Places = SmallVec<[u32; 8]>;

/// A message that leaves its route: its frame, and its changes.
pub struct Leaving<'a> {
    pub fields: &'a Fields,
    pub payload: Option<&'a Py<PyBytes>>,
    pub headers: Option<&'a Headers>,
}

/// Result of publishing a message.
pub enum Left {
    /// To the outbounds at these places; none, if there are none.
    To(Places),
    /// Nowhere: no outbound's condition holds.
    Unrouted,
    /// Nowhere: an outbound is full and nobody reads it.
    Full,
}

/// All outbounds of one route.
pub struct Outbounds {
    all: Vec<Outbound>,
    /// Table of the outbounds' conditions, if there are several outbounds.
    table: Option<Py<RouteTable>>,
    first_only: bool,
}

impl Outbounds {
    pub fn new(
        outbounds: &Bound<'_, PyTuple>,
        table: Option<Py<RouteTable>>,
        first_only: bool,
    ) -> PyResult<Self> {
        Ok(Self {
            all: outbounds
                .iter()
                .map(|outbound| outbound.extract())
                .collect::<PyResult<_>>()?,
            table,
            first_only,
        })
    }

    /// True if choosing between them may run a user's code.
    pub fn run_code(&self) -> bool {
        let conditions = self
            .all
            .iter()
            .filter_map(|outbound| outbound.condition.as_ref());
        conditions
            .into_iter()
            .any(|condition| condition.get().runs_code())
    }

    /// Add the message to every outbound that takes it: all of them, or none.
    pub fn publish(&self, py: Python<'_>, message: &Leaving<'_>) -> PyResult<Left> {
        match &self.all[..] {
            [] => Ok(Left::To(Places::new())),
            [outbound] if outbound.condition.is_none() => {
                if !outbound.can_take(py)? {
                    return Ok(Left::Full);
                }
                outbound.take(py, message)?;
                Ok(Left::To(smallvec![0]))
            }
            outbounds => {
                let payload = message.payload.unwrap_or(&message.fields.payload);
                let taken = self.taken_by(payload.bind(py))?;
                for &place in &taken {
                    if !outbounds[place as usize].can_take(py)? {
                        return Ok(Left::Full);
                    }
                }
                for &place in &taken {
                    outbounds[place as usize].take(py, message)?;
                }
                Ok(if taken.is_empty() {
                    Left::Unrouted
                } else {
                    Left::To(taken)
                })
            }
        }
    }

    /// Return how many more messages every outbound that is read can take, `reserved` ones being on their way.
    pub fn room(&self, py: Python<'_>, reserved: isize) -> PyResult<isize> {
        let mut room = isize::MAX;
        for outbound in &self.all {
            for channel in outbound.channels.bind(py) {
                let channel = channel.cast::<Channel>()?.get();
                if channel.is_read() {
                    room = room.min(channel.room(py).saturating_sub(reserved));
                }
            }
        }
        Ok(room)
    }

    /// Visit the held objects for the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for outbound in &self.all {
            visit.call(&outbound.condition)?;
            visit.call(&outbound.channels)?;
        }
        visit.call(&self.table)
    }

    /// Return the places of the outbounds that a message goes to, in order.
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
        for (place, outbound) in (0..).zip(&self.all) {
            let takes = match &outbound.condition {
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

impl Outbound {
    /// True if a message may be added: a full channel is no hindrance if somebody reads it, for room was waited for.
    fn can_take(&self, py: Python<'_>) -> PyResult<bool> {
        for channel in self.channels.bind(py) {
            let channel = channel.cast::<Channel>()?.get();
            if !channel.is_read() && channel.room(py) <= 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&self, py: Python<'_>, message: &Leaving<'_>) -> PyResult<()> {
        let channels = self.channels.bind(py);
        let Ok(mut channel) = channels.get_item(0) else {
            return Ok(()); // a topic that nobody reads
        };
        let child = message
            .fields
            .child(py, self.label, 0, message.payload, message.headers);
        for place in 1..channels.len() {
            Channel::push(channel.cast::<Channel>()?, child.clone_ref(py))?;
            channel = channels.get_item(place)?;
        }
        Channel::push(channel.cast::<Channel>()?, child)
    }
}
