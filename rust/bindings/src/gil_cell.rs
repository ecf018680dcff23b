//! `GilCell`: a field of a frozen class, guarded by the interpreter's lock alone.
//!
//! Kept separate from the classes that use it because it is where their safety is argued. `PyO3` counts the borrows of a
//! class that is not frozen with locked instructions, some six nanoseconds each; fields of workers and channels are touched
//! a dozen times a message.

use core::cell::UnsafeCell;
use core::mem;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

/// A value that only threads attached to the interpreter touch.
#[derive(Default)]
pub struct GilCell<T>(UnsafeCell<T>);

// SAFETY: each method is called by a thread that is attached to the interpreter (it shows the token, or runs for its
// garbage collector), which is one at a time: the module asks for the GIL (`gil_used`). None runs code of Python's, or a
// destructor, while it touches the value (for `with` the caller promises it), so that no other thread and no other method
// comes between.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Call a function with the value.
    ///
    /// # Safety
    ///
    /// `touch` must run no code of Python's, which could come back to the value meanwhile, and drop nothing that does.
    #[inline]
    pub unsafe fn with<R>(&self, _py: Python<'_>, touch: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: see above, and what the caller promises.
        touch(unsafe { &mut *self.0.get() })
    }

    /// Replace the value and return the old one, whose destructor may run code: the caller decides when.
    pub fn replace(&self, _py: Python<'_>, value: T) -> T {
        // SAFETY: see above; two values are moved.
        mem::replace(unsafe { &mut *self.0.get() }, value)
    }
}

impl<T> GilCell<T> {
    /// Visit what the value holds for the garbage collector.
    pub fn visit<R>(&self, visit: impl FnOnce(&T) -> R) -> R {
        // SAFETY: see above; the collector's visitors run no code.
        visit(unsafe { &*self.0.get() })
    }
}

impl<T> GilCell<Option<Py<T>>> {
    /// Take the object out of the cell.
    pub fn take(&self, py: Python<'_>) -> Option<Py<T>> {
        self.replace(py, None)
    }

    /// Return another reference to the object.
    pub fn get(&self, py: Python<'_>) -> Option<Py<T>> {
        // SAFETY: see above; a reference is counted.
        let value = unsafe { &*self.0.get() };
        value.as_ref().map(|value| value.clone_ref(py))
    }

    /// Visit the object for the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: see above; the collector's visitors run no code.
        visit.call(unsafe { &*self.0.get() })
    }
}
