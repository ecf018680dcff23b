//! `Channel`: the frames that wait for a consumer, and the signals to its consumers and publishers.
//!
//! No borrow of a channel outlives one operation: what it calls back into Python may come back to it.

use std::collections::VecDeque;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::store::Store;
use crate::frame::{Fields, Frame};

/// A first-in-first-out channel of frames, of one key one at a time if it is to be so, with a soft bound. Base of the
/// memory queue's channels.
#[expect(
    clippy::struct_excessive_bools,
    reason = "Python sets each by its name, whatever the others are"
)]
#[pyclass(subclass, module = "factflow_engine._native")]
pub struct Channel {
    frames: Store,
    #[pyo3(get)]
    owner: String,
    /// Number of frames that make it full.
    #[pyo3(get, set)]
    capacity: usize,
    /// True if `tell` must be called after a frame was added.
    #[pyo3(get, set)]
    armed: bool,
    /// True if `tell_of_room` must be called after a frame was taken.
    #[pyo3(get, set)]
    awaited: bool,
    /// True if somebody reads it.
    #[pyo3(get, set)]
    is_read: bool,
    /// True if several do.
    #[pyo3(get, set)]
    shared: bool,
}

impl Channel {
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Add frames and tell nobody.
    pub fn extend(&mut self, py: Python<'_>, frames: impl IntoIterator<Item = Fields>) {
        for fields in frames {
            self.frames.push(py, fields);
        }
    }

    /// Return how many frames one consumer can take, one after the other as they end; 0 if there is none that it can
    /// take now.
    pub fn takable(&self) -> usize {
        if self.frames.ready() > 0 {
            self.frames.len()
        } else {
            0
        }
    }

    /// Return how many more frames fit; negative if more wait than should.
    pub fn room(&self) -> isize {
        let capacity = isize::try_from(self.capacity).unwrap_or(isize::MAX);
        capacity - self.frames.len().cast_signed()
    }

    /// Take the oldest frame that can be taken, if there is one, and tell the publishers that wait for room.
    pub fn pop(channel: &Bound<'_, Self>) -> PyResult<Option<Fields>> {
        let (fields, awaited) = {
            let mut channel = channel.try_borrow_mut()?;
            (channel.frames.pop(), channel.awaited)
        };
        let Some(fields) = fields else {
            return Ok(None);
        };
        if awaited {
            let told = channel.call_method0(intern!(channel.py(), "tell_of_room"));
            if let Err(error) = told {
                Self::give_back(channel, fields)?; // a listener that fails costs no message
                return Err(error);
            }
        }
        Ok(Some(fields))
    }

    /// Add a frame, whatever the capacity says, and tell the consumers.
    pub fn push(channel: &Bound<'_, Self>, fields: Fields) -> PyResult<()> {
        let armed = {
            let py = channel.py();
            let mut channel = channel.try_borrow_mut()?;
            channel.frames.push(py, fields) && channel.armed
        };
        if armed {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    /// Put a frame that was taken before the others, and tell nobody.
    pub fn give_back(channel: &Bound<'_, Self>, fields: Fields) -> PyResult<()> {
        let py = channel.py();
        channel.try_borrow_mut()?.frames.give_back(py, fields);
        Ok(())
    }

    /// Note that a frame that was taken has ended; true if the next of its key can be taken for it, and the consumers
    /// have to be told.
    pub fn end(channel: &Bound<'_, Self>, fields: &Fields) -> PyResult<bool> {
        let py = channel.py();
        let mut channel = channel.try_borrow_mut()?;
        Ok(channel.frames.end(py, fields) && channel.armed)
    }

    /// Note the same on behalf of the consumer that took the frame and will look again: tell only if there are others.
    pub fn end_of_own(channel: &Bound<'_, Self>, fields: &Fields) -> PyResult<()> {
        if Self::end(channel, fields)? && channel.try_borrow()?.shared {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    /// Tell the consumers, if they want to know, of what can be taken beside what one of them has just taken.
    pub fn tell_of_rest(channel: &Bound<'_, Self>) -> PyResult<()> {
        let tells = {
            let channel = channel.try_borrow()?;
            channel.armed && channel.frames.ready() > 0
        };
        if tells {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    fn tell_consumers(channel: &Bound<'_, Self>) -> PyResult<()> {
        channel
            .call_method0(intern!(channel.py(), "tell"))
            .map(drop)
    }
}

#[pymethods]
impl Channel {
    #[new]
    fn new(owner: String, capacity: usize) -> Self {
        Self {
            frames: Store::Plain(VecDeque::new()),
            owner,
            capacity,
            armed: true,
            awaited: false,
            is_read: false,
            shared: false,
        }
    }

    #[getter]
    pub fn waiting(&self) -> usize {
        self.frames.len()
    }

    #[getter(ready)]
    fn ready_to_take(&self) -> usize {
        self.frames.ready()
    }

    #[getter]
    fn ordered(&self) -> bool {
        self.frames.is_keyed()
    }

    fn order_by_key(&mut self, py: Python<'_>) {
        self.frames.order_by_key(py);
    }

    #[pyo3(name = "end", signature = (frame, /))]
    fn note_end(channel: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        if Self::end(channel, &frame.get().0)? {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    #[getter]
    fn is_full(&self) -> bool {
        self.room() <= 0
    }

    #[pyo3(signature = (frame, /))]
    fn append(channel: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        Self::push(channel, frame.get().0.clone_ref(channel.py()))
    }

    #[pyo3(signature = (frame, /))]
    fn put_first(&mut self, frame: &Bound<'_, Frame>) {
        let py = frame.py();
        self.frames.give_back(py, frame.get().0.clone_ref(py));
    }

    fn take(channel: &Bound<'_, Self>) -> PyResult<Option<Frame>> {
        Ok(Self::pop(channel)?.map(Frame))
    }

    fn frames<'py>(channel: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = channel.py();
        let frames: Vec<Frame> = {
            let channel = channel.try_borrow()?;
            let frames = channel.frames.frames().into_iter();
            frames.map(|fields| Frame(fields.clone_ref(py))).collect()
        };
        // After the borrow: making objects may run the collector, and with it code that comes back to this channel.
        let frames = frames.into_iter().map(|frame| Bound::new(py, frame));
        PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)
    }

    fn clear(channel: &Bound<'_, Self>) -> PyResult<()> {
        let frames = channel.try_borrow_mut()?.frames.clear();
        drop(frames); // after the borrow: what goes may run code that comes back to this channel
        Ok(())
    }

    /// Tell the consumers; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell(&self) {}

    /// Tell the publishers that wait for room; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell_of_room(&self) {}
}
