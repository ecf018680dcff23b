//! `Store`: the frames of a channel, in the order in which they are to be taken.
//!
//! Kept separate from `Channel` because whether frames of one key wait for each other is decided here, and nowhere
//! else.

use std::borrow::Cow;
use std::collections::VecDeque;

use factflow_core::ordering::{Identified, KeyedQueue};
use pyo3::prelude::*;

use crate::frame::{Fields, Id};

impl Identified for Fields {
    fn id(&self) -> Id {
        self.message_id
    }
}

/// The frames that wait in a channel.
pub enum Store {
    /// First in, first out.
    Plain(VecDeque<Fields>),
    /// One frame of a key at a time.
    Keyed(Box<KeyedQueue<Fields>>),
}

/// Return a frame's key as a text; one that is no valid text is like others of its kind.
fn key_of<'a>(py: Python<'a>, fields: &'a Fields) -> Option<Cow<'a, str>> {
    let key = fields.key.as_ref()?;
    Some(key.bind(py).to_string_lossy())
}

impl Store {
    /// Return the number of frames that wait.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(frames) => frames.len(),
            Self::Keyed(frames) => frames.len(),
        }
    }

    /// Return how many of them can be taken now.
    pub fn ready(&self) -> usize {
        match self {
            Self::Plain(frames) => frames.len(),
            Self::Keyed(frames) => frames.ready(),
        }
    }

    /// Add a frame; true if it can be taken.
    #[inline]
    pub fn push(&mut self, py: Python<'_>, fields: Fields) -> bool {
        match self {
            Self::Plain(frames) => {
                frames.push_back(fields);
                true
            }
            Self::Keyed(frames) => {
                let before = frames.ready();
                let key = fields.key.as_ref().map(|key| key.clone_ref(py));
                let key = key.as_ref().map(|key| key.bind(py).to_string_lossy());
                frames.push(key.as_deref(), fields);
                frames.ready() > before
            }
        }
    }

    /// Take the first frame that can be taken.
    pub fn pop(&mut self) -> Option<Fields> {
        match self {
            Self::Plain(frames) => frames.pop_front(),
            Self::Keyed(frames) => frames.take(),
        }
    }

    /// Put a frame that was taken before the others.
    pub fn give_back(&mut self, py: Python<'_>, fields: Fields) {
        match self {
            Self::Plain(frames) => frames.push_front(fields),
            Self::Keyed(frames) => {
                let key = fields.key.as_ref().map(|key| key.clone_ref(py));
                let key = key.as_ref().map(|key| key.bind(py).to_string_lossy());
                frames.give_back(key.as_deref(), fields);
            }
        }
    }

    /// End a frame that was taken; return true if another one can be taken for it.
    pub fn end(&mut self, py: Python<'_>, fields: &Fields) -> bool {
        match (self, key_of(py, fields)) {
            (Self::Keyed(frames), Some(key)) => frames.end(&key, &fields.message_id),
            _ => false,
        }
    }

    /// True if frames of one key wait for each other.
    pub fn is_keyed(&self) -> bool {
        matches!(self, Self::Keyed(_))
    }

    /// Have frames of one key wait for each other from now on.
    pub fn order_by_key(&mut self, py: Python<'_>) {
        if let Self::Plain(frames) = self {
            let frames = core::mem::take(frames);
            *self = Self::Keyed(Box::default());
            for fields in frames {
                self.push(py, fields);
            }
        }
    }

    /// Remove and return all frames that wait: dropping one may run code, which nobody's borrow should outlast.
    pub fn clear(&mut self) -> Vec<Fields> {
        match self {
            Self::Plain(frames) => core::mem::take(frames).into(),
            Self::Keyed(frames) => frames.clear(),
        }
    }

    /// Return all frames that wait, in the order in which they came.
    pub fn frames(&self) -> Vec<&Fields> {
        match self {
            Self::Plain(frames) => frames.iter().collect(),
            Self::Keyed(frames) => frames.items(),
        }
    }
}
