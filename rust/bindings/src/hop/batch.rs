//! `Batch`: root messages made together, and moved to where they wait without a Python object each.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::channel::Channel;
use crate::codec;
use crate::errors;
use crate::frame::{Fields, hex, id_of};

/// Number of messages for which room is made before the first of them is seen.
const ROOM_AT_ONCE: usize = 4096;

/// Root messages with consecutive ids.
#[pyclass(module = "factflow_engine._native")]
pub struct Batch {
    frames: VecDeque<Fields>,
    first: u128,
    count: u128,
}

#[pymethods]
impl Batch {
    /// Encode all payloads.
    #[new]
    #[pyo3(signature = (payloads, /, *, first_id, time_ns))]
    fn new(
        payloads: &Bound<'_, PyAny>,
        first_id: &Bound<'_, PyBytes>,
        time_ns: i64,
    ) -> PyResult<Self> {
        let first = u128::from_be_bytes(id_of(first_id, "first_id")?);
        // A sequence may claim any length: reserve little, and grow with the payloads.
        let mut frames = VecDeque::with_capacity(payloads.len()?.min(ROOM_AT_ONCE));
        for payload in payloads.try_iter()? {
            let message_id = first.wrapping_add(frames.len() as u128).to_be_bytes();
            frames.push_back(Fields {
                message_id,
                correlation_id: message_id,
                parent_id: None,
                attempt: 1,
                time_ns,
                key: None,
                headers: None,
                payload: codec::pack(&payload?)?.unbind(),
            });
        }
        Ok(Self {
            first,
            count: frames.len() as u128,
            frames,
        })
    }

    /// Return the number of messages that have not been moved.
    #[getter]
    fn left(&self) -> usize {
        self.frames.len()
    }

    /// Return the ids of all messages.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let ids = (0..self.count).map(|place| hex(&self.first.wrapping_add(place).to_be_bytes()));
        PyTuple::new(py, ids.collect::<Vec<_>>())
    }

    /// Move the next messages, `limit` at most, to each of these channels, and tell the channels' consumers once.
    #[pyo3(signature = (channels, limit, /))]
    fn pour(batch: &Bound<'_, Self>, channels: &Bound<'_, PyList>, limit: usize) -> PyResult<()> {
        errors::guarded(batch.py(), || {
            let py = batch.py();
            let channels = channels
                .iter()
                .map(|channel| Ok(channel.cast_into::<Channel>()?))
                .collect::<PyResult<Vec<_>>>()?;
            {
                let mut batch = batch.try_borrow_mut()?;
                let count = limit.min(batch.frames.len());
                let frames = batch.frames.drain(..count);
                match &channels[..] {
                    [channel] => channel.get().extend(py, frames),
                    channels => {
                        for fields in frames {
                            for channel in channels {
                                channel.get().extend(py, [fields.clone_ref(py)]);
                            }
                        }
                    }
                }
            }
            for channel in &channels {
                Channel::tell_if_armed(channel)?;
            }
            Ok(())
        })
    }
}
