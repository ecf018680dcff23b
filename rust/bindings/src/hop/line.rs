//! `Line`: the frames that wait for a consumer, and who must be told of what.
//!
//! No borrow of a line outlives one operation: what it calls back into Python may come back to it.

use std::collections::VecDeque;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::frame::{Fields, Frame};

/// A first-in-first-out line of frames, with a soft bound. Base of the memory queue's channels.
#[pyclass(subclass, module = "factflow_engine._native")]
pub struct Line {
    frames: VecDeque<Fields>,
    #[pyo3(get)]
    owner: String,
    /// How many frames make it full.
    #[pyo3(get, set)]
    capacity: usize,
    /// Whether `tell` must be called after a frame was added.
    #[pyo3(get, set)]
    armed: bool,
    /// Whether `tell_of_room` must be called after a frame was taken.
    #[pyo3(get, set)]
    awaited: bool,
    /// Whether somebody reads it.
    #[pyo3(get, set)]
    is_read: bool,
}

impl Line {
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Adds frames and tells nobody.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = Fields>) {
        self.frames.extend(frames);
    }

    /// How many more frames fit; negative if more wait than should.
    pub fn room(&self) -> isize {
        let capacity = isize::try_from(self.capacity).unwrap_or(isize::MAX);
        capacity - self.frames.len().cast_signed()
    }

    /// Takes the oldest frame, if there is one, and tells those who wait for room.
    pub fn pop(line: &Bound<'_, Self>) -> PyResult<Option<Fields>> {
        let (fields, awaited) = {
            let mut line = line.try_borrow_mut()?;
            (line.frames.pop_front(), line.awaited)
        };
        let Some(fields) = fields else {
            return Ok(None);
        };
        if awaited {
            let told = line.call_method0(intern!(line.py(), "tell_of_room"));
            if let Err(error) = told {
                line.try_borrow_mut()?.frames.push_front(fields); // whoever fails to listen costs no message
                return Err(error);
            }
        }
        Ok(Some(fields))
    }

    /// Adds a frame, whatever the capacity says, and tells the consumers.
    pub fn push(line: &Bound<'_, Self>, fields: Fields) -> PyResult<()> {
        let armed = {
            let mut line = line.try_borrow_mut()?;
            line.frames.push_back(fields);
            line.armed
        };
        if armed {
            line.call_method0(intern!(line.py(), "tell"))?;
        }
        Ok(())
    }
}

#[pymethods]
impl Line {
    #[new]
    fn new(owner: String, capacity: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            owner,
            capacity,
            armed: true,
            awaited: false,
            is_read: false,
        }
    }

    #[getter]
    pub fn waiting(&self) -> usize {
        self.frames.len()
    }

    #[getter]
    fn is_full(&self) -> bool {
        self.room() <= 0
    }

    #[pyo3(signature = (frame, /))]
    fn append(line: &Bound<'_, Self>, frame: &Bound<'_, Frame>) -> PyResult<()> {
        Self::push(line, frame.get().0.clone_ref(line.py()))
    }

    #[pyo3(signature = (frame, /))]
    fn put_first(&mut self, frame: &Bound<'_, Frame>) {
        self.frames.push_front(frame.get().0.clone_ref(frame.py()));
    }

    fn take(line: &Bound<'_, Self>) -> PyResult<Option<Frame>> {
        Ok(Self::pop(line)?.map(Frame))
    }

    fn frames<'py>(line: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = line.py();
        let frames: Vec<Frame> = {
            let line = line.try_borrow()?;
            let frames = line.frames.iter();
            frames.map(|fields| Frame(fields.clone_ref(py))).collect()
        };
        // After the borrow: making objects may run the collector, and with it code that comes back to this line.
        let frames = frames.into_iter().map(|frame| Bound::new(py, frame));
        PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)
    }

    fn clear(line: &Bound<'_, Self>) -> PyResult<()> {
        let frames = core::mem::take(&mut line.try_borrow_mut()?.frames);
        drop(frames); // after the borrow: what goes may run code that comes back to this line
        Ok(())
    }

    /// Tells the consumers; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell(&self) {}

    /// Tells those who wait for room; for subclasses.
    #[expect(clippy::unused_self, reason = "to be overridden")]
    fn tell_of_room(&self) {}
}
