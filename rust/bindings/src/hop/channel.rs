//! `Channel`: the frames that wait for a consumer, and the signals to its consumers and publishers.
//!
//! Python code that a channel calls may use the channel: it then finds the frames as they were before an operation,
//! or after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::store::Store;
use crate::frame::{Fields, Frame};
use crate::gil_cell::GilCell;

/// A first-in-first-out channel of frames with a soft bound; on request it hands out one frame of a key at a time.
/// Base of the memory queue's channels.
#[pyclass(frozen, subclass, module = "factflow_engine._native")]
pub struct Channel {
    frames: GilCell<Store>,
    #[pyo3(get)]
    owner: String,
    /// Number of frames that make it full.
    capacity: AtomicUsize,
    /// True if `tell` must be called after a frame was added.
    armed: AtomicBool,
    /// True if `tell_of_room` must be called after a frame was taken.
    awaited: AtomicBool,
    /// True if it has a consumer.
    is_read: AtomicBool,
    /// True if it has several consumers.
    shared: AtomicBool,
    /// Notifier of the only consumer, if it has one: called in place of `tell`.
    sole: GilCell<Option<Py<PyAny>>>,
}

impl Channel {
    /// Call a function with the frames.
    #[inline]
    fn with<R>(&self, py: Python<'_>, touch: impl FnOnce(&mut Store) -> R) -> R {
        // SAFETY: what is done here are methods of the store, and copies of references. They run no code of Python's, not
        // even where they drop a frame: it holds bytes and text of exactly these types.
        unsafe { self.frames.with(py, touch) }
    }

    pub fn is_read(&self) -> bool {
        self.is_read.load(Relaxed)
    }

    pub fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    fn is_armed(&self) -> bool {
        self.armed.load(Relaxed)
    }

    /// Add frames and tell nobody.
    pub fn extend(&self, py: Python<'_>, frames: impl IntoIterator<Item = Fields>) {
        for fields in frames {
            self.with(py, |store| store.push(py, fields));
        }
    }

    /// Return how many frames one consumer can take, one after the other as they end; 0 if there is none that it can
    /// take now.
    pub fn takable(&self, py: Python<'_>) -> usize {
        self.with(py, |store| match store.ready() {
            0 => 0,
            _ => store.len(),
        })
    }

    /// Return how many more frames fit; negative if more wait than should.
    pub fn room(&self, py: Python<'_>) -> isize {
        let capacity = isize::try_from(self.capacity()).unwrap_or(isize::MAX);
        capacity - self.waiting(py).cast_signed()
    }

    /// Take the oldest frame that can be taken, if there is one, and tell the publishers that wait for room.
    pub fn pop(channel: &Bound<'_, Self>) -> PyResult<Option<Fields>> {
        let state = channel.get();
        let Some(fields) = state.with(channel.py(), Store::pop) else {
            return Ok(None);
        };
        if state.awaited.load(Relaxed) {
            let told = channel.call_method0(intern!(channel.py(), "tell_of_room"));
            if let Err(error) = told {
                Self::give_back(channel, fields); // a failing listener must lose no message
                return Err(error);
            }
        }
        Ok(Some(fields))
    }

    /// Add a frame, whatever the capacity says, and tell the consumers.
    pub fn push(channel: &Bound<'_, Self>, fields: Fields) -> PyResult<()> {
        let (py, state) = (channel.py(), channel.get());
        if state.with(py, |store| store.push(py, fields)) && state.is_armed() {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    /// Put a frame that was taken before the others, and tell nobody.
    pub fn give_back(channel: &Bound<'_, Self>, fields: Fields) {
        let py = channel.py();
        channel.get().with(py, |store| store.give_back(py, fields));
    }

    /// Note that a frame that was taken has ended; true if the next of its key can be taken for it, and the consumers
    /// have to be told.
    pub fn end(channel: &Bound<'_, Self>, fields: &Fields) -> bool {
        let (py, state) = (channel.py(), channel.get());
        state.with(py, |store| store.end(py, fields)) && state.is_armed()
    }

    /// End a frame on behalf of the consumer that took it and will look again: tell only other consumers.
    pub fn end_of_own(channel: &Bound<'_, Self>, fields: &Fields) -> PyResult<()> {
        if Self::end(channel, fields) && channel.get().shared.load(Relaxed) {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    /// Tell the consumers, if they want to know, of what can be taken beside what one of them has just taken.
    pub fn tell_of_rest(channel: &Bound<'_, Self>) -> PyResult<()> {
        let state = channel.get();
        if state.is_armed() && state.ready_to_take(channel.py()) > 0 {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    /// Note that the consumer knows of its frames; but several consumers are always told.
    pub fn disarm(&self) {
        self.armed.store(self.shared.load(Relaxed), Relaxed);
    }

    /// Tell the consumers, if they want to know.
    pub fn tell_if_armed(channel: &Bound<'_, Self>) -> PyResult<()> {
        if channel.get().is_armed() {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    fn tell_consumers(channel: &Bound<'_, Self>) -> PyResult<()> {
        let py = channel.py();
        let told = match channel.get().sole.get(py) {
            Some(sole) => sole.bind(py).call0(),
            None => channel.call_method0(intern!(py, "tell")),
        };
        told.map(drop)
    }
}

#[pymethods]
impl Channel {
    #[new]
    fn new(owner: String, capacity: usize) -> Self {
        Self {
            frames: GilCell::new(Store::Plain(VecDeque::new())),
            owner,
            capacity: AtomicUsize::new(capacity),
            armed: AtomicBool::new(true),
            awaited: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            sole: GilCell::default(),
        }
    }

    #[getter]
    fn get_capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    #[setter]
    fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Relaxed);
    }

    #[getter]
    fn get_armed(&self) -> bool {
        self.armed.load(Relaxed)
    }

    #[setter]
    fn set_armed(&self, armed: bool) {
        self.armed.store(armed, Relaxed);
    }

    #[getter]
    fn get_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }

    #[setter]
    fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Relaxed);
    }

    #[getter]
    fn get_is_read(&self) -> bool {
        self.is_read.load(Relaxed)
    }

    #[setter]
    fn set_is_read(&self, is_read: bool) {
        self.is_read.store(is_read, Relaxed);
    }

    #[getter]
    fn get_shared(&self) -> bool {
        self.shared.load(Relaxed)
    }

    #[setter]
    fn set_shared(&self, shared: bool) {
        self.shared.store(shared, Relaxed);
    }

    #[getter]
    fn get_sole(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.sole.get(py)
    }

    #[setter]
    fn set_sole(&self, py: Python<'_>, listener: Option<Py<PyAny>>) {
        drop(self.sole.replace(py, listener)); // what goes may run code
    }

    #[getter]
    pub fn waiting(&self, py: Python<'_>) -> usize {
        self.with(py, |store| store.len())
    }

    #[getter(ready)]
    fn ready_to_take(&self, py: Python<'_>) -> usize {
        self.with(py, |store| store.ready())
    }

    #[getter]
    pub fn ordered(&self, py: Python<'_>) -> bool {
        self.with(py, |store| store.is_keyed())
    }

    fn order_by_key(&self, py: Python<'_>) {
        self.with(py, |store| store.order_by_key(py));
    }

    #[pyo3(name = "end", signature = (frame, /))]
    fn note_end(channel: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        if Self::end(channel, &frame.get().0) {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    #[getter]
    fn is_full(&self, py: Python<'_>) -> bool {
        self.room(py) <= 0
    }

    #[pyo3(signature = (frame, /))]
    fn append(channel: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        Self::push(channel, frame.get().0.clone_ref(channel.py()))
    }

    #[pyo3(signature = (frames, /))]
    fn append_all(channel: &Bound<'_, Self>, frames: Vec<Bound<'_, Frame>>) -> PyResult<()> {
        let (py, state) = (channel.py(), channel.get());
        let mut can_be_taken = false;
        for frame in frames {
            can_be_taken |= state.with(py, |store| store.push(py, frame.get().0.clone_ref(py)));
        }
        if can_be_taken && state.is_armed() {
            Self::tell_consumers(channel)?;
        }
        Ok(())
    }

    #[pyo3(signature = (frame, /))]
    fn put_first(channel: &Bound<'_, Self>, frame: &Bound<'_, Frame>) {
        Self::give_back(channel, frame.get().0.clone_ref(channel.py()));
    }

    fn take(channel: &Bound<'_, Self>) -> PyResult<Option<Frame>> {
        Ok(Self::pop(channel)?.map(Frame))
    }

    #[pyo3(signature = (most, /))]
    fn take_some<'py>(channel: &Bound<'py, Self>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let py = channel.py();
        let mut taken: Vec<Fields> = Vec::new();
        while taken.len() < most {
            match Self::pop(channel) {
                Ok(Some(fields)) => taken.push(fields),
                Ok(None) => break,
                Err(error) => {
                    for fields in taken.into_iter().rev() {
                        Self::give_back(channel, fields);
                    }
                    return Err(error);
                }
            }
        }
        let frames = taken
            .into_iter()
            .map(|fields| Bound::new(py, Frame(fields)));
        PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)
    }

    fn frames<'py>(channel: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = channel.py();
        let frames: Vec<Frame> = channel.get().with(py, |store| {
            let frames = store.frames().into_iter();
            frames.map(|fields| Frame(fields.clone_ref(py))).collect()
        });
        // Not before: making objects may run the collector, and with it code that comes back to this channel.
        let frames = frames.into_iter().map(|frame| Bound::new(py, frame));
        PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)
    }

    fn clear(&self, py: Python<'_>) {
        drop(self.with(py, Store::clear));
    }

    /// Tell the consumers; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell(&self) {}

    /// Tell the publishers that wait for room; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell_of_room(&self) {}

    /// Visit the held objects for the garbage collector; the consumer, an object of a route's, breaks cycles.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.sole.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.set_sole(py, None);
    }
}
