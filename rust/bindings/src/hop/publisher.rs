//! `Publisher`: messages that are given to routes from outside, one at a time.
//!
//! Kept separate from `batch` because here each message has an id, a time and perhaps a key of its own, and because the
//! program that publishes pays for each.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::channel::Channel;
use super::clock::Clock;
use crate::codec;
use crate::errors;
use crate::frame::{self, Fields, Id};
use crate::ids::TimeOrderedIds;

/// The source of ids: the engine's own, which is asked natively, or another.
enum Ids {
    Own(Py<TimeOrderedIds>),
    Other(Py<PyAny>),
}

impl Ids {
    fn new(ids: Bound<'_, PyAny>) -> Self {
        match ids.cast_into::<TimeOrderedIds>() {
            Ok(own) => Self::Own(own.unbind()),
            Err(other) => Self::Other(other.into_inner().unbind()),
        }
    }

    fn next(&self, py: Python<'_>, wall_ns: i64) -> PyResult<Id> {
        match self {
            Self::Own(ids) => ids.get().take(py, wall_ns, 1),
            Self::Other(ids) => {
                let id = ids.bind(py).call_method1(intern!(py, "new"), (wall_ns,))?;
                frame::id_of(id.cast::<PyBytes>()?, "message_id")
            }
        }
    }
}

/// Appends root messages to the channels of routes, as long as there is nothing to wait for and nothing to refuse.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Publisher {
    /// Lists of the channels that a route's messages go to, by route id; the owner of a list may change it.
    channels: Py<PyDict>,
    wall: Clock,
    ids: Ids,
    is_open: AtomicBool,
}

impl Publisher {
    /// Return the channels of a route, if all that are read have room and messages are taken at all.
    fn with_room<'py>(&self, route: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = route.py();
        if !self.is_open.load(Relaxed) {
            return Ok(None);
        }
        let Some(channels) = self.channels.bind(py).get_item(route)? else {
            return Ok(None);
        };
        let channels = channels.cast_into::<PyList>()?;
        for channel in channels.iter() {
            let channel = channel.cast::<Channel>()?.get();
            if channel.is_read() && channel.room(py) <= 0 {
                return Ok(None);
            }
        }
        Ok(Some(channels))
    }
}

#[pymethods]
impl Publisher {
    #[new]
    #[pyo3(signature = (channels, *, wall_ns, ids))]
    fn new(
        channels: Py<PyDict>,
        wall_ns: Bound<'_, PyAny>,
        ids: Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            channels,
            wall: Clock::wall(wall_ns)?,
            ids: Ids::new(ids),
            is_open: AtomicBool::new(true),
        })
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    fn close(&self) {
        self.is_open.store(false, Relaxed);
    }

    #[pyo3(signature = (route, payload, headers, key, /))]
    fn offer<'py>(
        &self,
        route: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        headers: Option<&Bound<'py, PyAny>>,
        key: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let py = route.py();
        errors::guarded(py, || {
            if self.with_room(route)?.is_none() {
                return Ok(None); // before the work that would be done again
            }
            let Ok(key) = key.map(Bound::cast_into::<PyString>).transpose() else {
                return Ok(None);
            };
            let payload = codec::pack(payload)?.unbind();
            let key = key.map(frame::key_of).transpose()?;
            let headers = headers.map_or(Ok(None), frame::bounded_headers_of)?;
            // Packing may run code of the message's classes, and that may close or fill what it likes.
            let Some(channels) = self.with_room(route)? else {
                return Ok(None);
            };
            let time_ns = self.wall.now_ns(py)?;
            let message_id = self.ids.next(py, time_ns)?;
            let fields = Fields {
                message_id,
                correlation_id: message_id,
                parent_id: None,
                attempt: 1,
                time_ns,
                key,
                headers,
                payload,
            };
            if let Ok(mut channel) = channels.get_item(0) {
                // In their order, in which their routes are then served.
                for place in 1..channels.len() {
                    Channel::push(channel.cast::<Channel>()?, fields.clone_ref(py))?;
                    channel = channels.get_item(place)?;
                }
                Channel::push(channel.cast::<Channel>()?, fields)?;
            }
            Ok(Some(PyString::new(py, &frame::hex(&message_id))))
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.channels)?;
        if let Ids::Other(ids) = &self.ids {
            visit.call(ids)?;
        }
        self.wall.traverse(&visit)
    }
}
