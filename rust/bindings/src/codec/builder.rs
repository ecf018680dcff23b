//! msgpack to Python objects.
//!
//! One pass checks and builds: UTF-8 as strings are made, duplicate keys by the size of the finished dict, depth and
//! elements at each header. This pass only detects faults; `value::validate` then describes them, so that both entry
//! points give the same error.

use factflow_core::value::{Token, ValueError, read, validate};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};

use super::classes;
use super::keys::Keys;
use super::limits::LIMITS;
use crate::errors;

/// Reason why nothing was built.
enum Stopped {
    /// The bytes are wrong.
    Bytes,
    /// Python raised, for example for lack of memory.
    Raised(PyErr),
}

impl From<PyErr> for Stopped {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<ValueError> for Stopped {
    fn from(_: ValueError) -> Self {
        Self::Bytes
    }
}

struct Builder<'a, 'py> {
    py: Python<'py>,
    bytes: &'a [u8],
    at: usize,
    /// Elements of all containers so far; at most `LIMITS.max_elements`, which also bounds what lists reserve.
    elements: u64,
    keys: Keys,
}

/// Return the value of untrusted bytes.
pub fn build<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut builder = Builder {
        py,
        bytes,
        at: 0,
        elements: 0,
        keys: Keys::borrow(),
    };
    match builder.value(0) {
        Ok(value) if builder.at == bytes.len() => Ok(value),
        Ok(_) | Err(Stopped::Bytes) => Err(explain(py, bytes)),
        Err(Stopped::Raised(error)) => Err(error),
    }
}

#[cold]
fn explain(py: Python<'_>, bytes: &[u8]) -> PyErr {
    match validate(bytes, &LIMITS) {
        Err(error) => errors::not_a_value(py, &error),
        Ok(()) => pyo3::exceptions::PySystemError::new_err(
            "the decoder refused bytes that the validator accepts",
        ),
    }
}

impl<'py> Builder<'_, 'py> {
    fn value(&mut self, depth: u32) -> Result<Bound<'py, PyAny>, Stopped> {
        let py = self.py;
        let (token, next) = read(self.bytes, self.at)?;
        self.at = next;
        Ok(match token {
            Token::Str(text) => string(py, text)?.into_any(),
            Token::Int(number) => PyInt::new(py, number).into_any(),
            Token::Map(count) => self.map(count, depth)?,
            Token::Array(count) => self.list(count, depth)?,
            Token::F64(number) => PyFloat::new(py, number).into_any(),
            Token::F32(number) => PyFloat::new(py, f64::from(number)).into_any(),
            Token::Nil => py.None().into_bound(py),
            Token::Bool(flag) => PyBool::new(py, flag).to_owned().into_any(),
            Token::UInt(number) => PyInt::new(py, number).into_any(),
            Token::Bin(data) => PyBytes::new(py, data).into_any(),
            Token::Timestamp {
                seconds,
                nanoseconds,
            } => classes::timestamp(py)?.call1((seconds, nanoseconds))?,
            Token::Ext(code, data) => classes::ext(py)?.call1((code, PyBytes::new(py, data)))?,
        })
    }

    #[inline]
    fn enter(&mut self, values: u64, depth: u32) -> Result<(), Stopped> {
        self.elements += values;
        if depth >= LIMITS.max_depth || self.elements > u64::from(LIMITS.max_elements) {
            return Err(Stopped::Bytes);
        }
        Ok(())
    }

    fn list(&mut self, count: u32, depth: u32) -> Result<Bound<'py, PyAny>, Stopped> {
        self.enter(u64::from(count), depth)?;
        let length = ffi::Py_ssize_t::try_from(count).map_err(|_| Stopped::Bytes)?;
        // SAFETY: `PyList_New` makes a list of `count` empty places or raises; each place is filled once, in order,
        // with an owned reference. Making the items runs the classes of `Timestamp` and `Ext`, other threads and the
        // garbage collector: none of them may find a list with empty places, so the collector does not know it until it
        // is full, and nothing else does. What it holds meanwhile is reachable all the same: the collector takes
        // references that it cannot see for those of somebody alive. A list that is dropped half full and untracked is
        // as CPython expects it. Reserving is bounded: `read` found a byte for each element and `enter` counts those of
        // all lists together. Appending instead costs 8 to 17 % more.
        unsafe {
            let list = Bound::from_owned_ptr_or_err(self.py, ffi::PyList_New(length))?;
            ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
            for index in 0..length {
                let item = self.value(depth + 1)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), index, item.into_ptr());
            }
            ffi::PyObject_GC_Track(list.as_ptr().cast());
            Ok(list)
        }
    }

    fn map(&mut self, count: u32, depth: u32) -> Result<Bound<'py, PyAny>, Stopped> {
        self.enter(2 * u64::from(count), depth)?;
        let map = PyDict::new(self.py);
        for _ in 0..count {
            let (Token::Str(text), next) = read(self.bytes, self.at)? else {
                return Err(Stopped::Bytes);
            };
            self.at = next;
            let key = if text.is_ascii() {
                self.keys.get(self.py, text)
            } else {
                None
            };
            let key = key.map_or_else(|| string(self.py, text), Ok)?;
            let value = self.value(depth + 1)?;
            map.set_item(key, value)?;
        }
        if map.len() != count as usize {
            return Err(Stopped::Bytes);
        }
        Ok(map.into_any())
    }
}

#[inline]
fn string<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyString>, Stopped> {
    if text.len() > 1 && text.is_ascii() {
        // A slice is never longer than `isize::MAX`.
        let length = ffi::Py_ssize_t::try_from(text.len()).map_err(|_| Stopped::Bytes)?;
        // SAFETY: the new string has room for `len` one-byte characters, all of them ASCII as promised to
        // `PyUnicode_New`, and nobody else sees it before they are copied. Python's decoder, which
        // looks for the kind of each string first, costs half as much again for lists of short texts.
        return unsafe {
            let object = ffi::PyUnicode_New(length, 0x7f);
            let string = Bound::from_owned_ptr_or_err(py, object)?;
            core::ptr::copy_nonoverlapping(
                text.as_ptr(),
                ffi::PyUnicode_1BYTE_DATA(object),
                text.len(),
            );
            Ok(string.cast_into_unchecked())
        };
    }
    let text = core::str::from_utf8(text).map_err(|_| Stopped::Bytes)?;
    Ok(PyString::new(py, text))
}
