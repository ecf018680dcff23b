//! `Children`: the messages that have begun inside a route and wait for a worker.
//!
//! Kept separate from `child` because most of these messages never become an object of Python's: carriers and pullers
//! move them in and out as they are.

use std::collections::VecDeque;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList};

use super::child::{Begun, Child};
use super::family::Family;
use crate::gil_cell::GilCell;

/// Children in the order in which they go.
#[pyclass(frozen, module = "factflow_engine._native")]
#[derive(Default)]
pub struct Children(GilCell<VecDeque<Begun>>);

impl Children {
    /// Call a function with the children.
    #[inline]
    fn with<R>(&self, py: Python<'_>, touch: impl FnOnce(&mut VecDeque<Begun>) -> R) -> R {
        // SAFETY: what is done here moves children, reads their numbers and copies references; none is dropped.
        unsafe { self.0.with(py, touch) }
    }

    /// Return the number of children that wait.
    #[inline]
    pub fn len(&self, py: Python<'_>) -> usize {
        self.with(py, |waiting| waiting.len())
    }

    /// Add one behind the others.
    #[inline]
    pub fn push(&self, py: Python<'_>, child: Begun) {
        self.with(py, |waiting| waiting.push_back(child));
    }

    /// Take the first one.
    #[inline]
    pub fn pop(&self, py: Python<'_>) -> Option<Begun> {
        self.with(py, VecDeque::pop_front)
    }

    /// Exchange a child, which goes behind the others, for the first one, if that begins at the same stage and is of the
    /// same parent; else return false.
    #[inline]
    pub fn exchange(&self, py: Python<'_>, child: &mut Begun, parent: &Py<Family>) -> bool {
        self.with(py, |waiting| {
            let is_sibling = waiting.front().is_some_and(|first| {
                first.index == child.index
                    && first.result.is_none()
                    && first.parent.as_ref().is_some_and(|its| its.is(parent))
            });
            if is_sibling {
                // The first one goes to the end, and changes places with the child there.
                waiting.rotate_left(1);
                if let Some(first) = waiting.back_mut() {
                    core::mem::swap(first, child);
                }
            }
            is_sibling
        })
    }
}

#[pymethods]
impl Children {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Add one behind the others.
    #[pyo3(signature = (child, /))]
    fn append(&self, child: &Bound<'_, Child>) {
        let py = child.py();
        self.push(py, child.get().0.clone_ref(py));
    }

    /// Take the first one, if there is one.
    fn take(&self, py: Python<'_>) -> Option<Child> {
        self.pop(py).map(Child)
    }

    /// Take the first of the foremost `most` that begins at a later stage than this, if there is one.
    #[pyo3(signature = (index, most, /))]
    fn take_later(&self, py: Python<'_>, index: usize, most: usize) -> Option<Child> {
        let taken = self.with(py, |waiting| {
            let place = waiting
                .iter()
                .take(most)
                .position(|child| child.index > index)?;
            waiting.remove(place)
        });
        taken.map(Child)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.len(py)
    }

    /// Iterate over those that wait now.
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let children: Vec<Begun> = self.with(py, |waiting| {
            waiting.iter().map(|child| child.clone_ref(py)).collect()
        });
        // Not before: making objects may run the collector, and with it code that comes back.
        let children = children
            .into_iter()
            .map(|child| Bound::new(py, Child(child)));
        PyList::new(py, children.collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    /// Visit the held objects for the garbage collector; the parents, Python objects, break cycles.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0
            .visit(|waiting| waiting.iter().try_for_each(|child| child.traverse(&visit)))
    }
}
