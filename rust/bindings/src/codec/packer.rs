//! Python objects to msgpack.
//!
//! The exact built-in types are distinguished by their type pointer, in the order of how often messages have them; what
//! remains (subclasses, `Timestamp`, `datetime`, buffers) takes the slow path.

use core::mem::MaybeUninit;
use std::cell::Cell;

use factflow_core::value::{
    validate, write_array_len, write_bin, write_bool, write_ext, write_f64, write_int,
    write_map_len, write_nil, write_str, write_timestamp, write_uint,
};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyMemoryView,
    PyString, PyTuple,
};

use super::classes;
use super::error::PackError;
use super::limits::LIMITS;
use factflow_core::frames::MAX_PAYLOAD_BYTES;

/// Largest buffer that is kept for reuse: one large message must not hold memory for ever.
const KEPT_BYTES: usize = 256 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Call a function with an empty, reused buffer. Nested calls, from Python code that packing ran, get one of their
/// own.
pub fn with_buffer<R>(call: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut out = BUFFER.take();
    out.clear();
    let result = call(&mut out);
    if out.capacity() <= KEPT_BYTES {
        BUFFER.set(out);
    }
    result
}

struct Packer<'a> {
    out: &'a mut Vec<u8>,
    /// Elements of all containers so far; at most `LIMITS.max_elements`.
    elements: u64,
    /// True if a key was of a subclass of str: those may be unequal in Python and equal as text.
    has_odd_keys: bool,
}

/// Append a value.
pub fn pack_root(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Result<(), PackError> {
    let start = out.len();
    let mut packer = Packer {
        out,
        elements: 0,
        has_odd_keys: false,
    };
    packer.value(value, 0)?;
    packer.fits(0)?;
    if packer.has_odd_keys {
        validate(&out[start..], &LIMITS).map_err(|error| PackError::new(error.to_string()))?;
    }
    Ok(())
}

/// Append any mapping as a map, at the depth of a root.
pub fn pack_mapping(out: &mut Vec<u8>, mapping: &Bound<'_, PyAny>) -> Result<(), PackError> {
    if mapping.is_instance_of::<PyDict>() {
        return pack_root(out, mapping);
    }
    let copy = PyDict::new(mapping.py());
    copy.as_any()
        .call_method1(pyo3::intern!(mapping.py(), "update"), (mapping,))?;
    pack_root(out, &copy)
}

impl Packer<'_> {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Result<(), PackError> {
        let kind = value.get_type_ptr();
        // SAFETY: each cast follows the comparison of the object's type with exactly that type. The statics are the
        // interpreter's own and only their addresses are taken.
        unsafe {
            if kind == &raw mut ffi::PyUnicode_Type {
                return self.text(value.cast_unchecked());
            }
            if kind == &raw mut ffi::PyLong_Type {
                return self.integer(value.cast_unchecked());
            }
            if kind == &raw mut ffi::PyDict_Type {
                return self.map(value.cast_unchecked(), depth);
            }
            if kind == &raw mut ffi::PyList_Type {
                return self.list(value.cast_unchecked(), depth);
            }
            if kind == &raw mut ffi::PyFloat_Type {
                write_f64(self.out, value.cast_unchecked::<PyFloat>().value());
                return Ok(());
            }
        }
        if value.is_none() {
            write_nil(self.out);
            Ok(())
        } else if let Ok(flag) = value.cast::<PyBool>() {
            write_bool(self.out, flag.is_true());
            Ok(())
        } else if let Ok(data) = value.cast::<PyBytes>() {
            self.bytes(data.as_bytes())
        } else {
            self.other(value, depth)
        }
    }

    /// Append a value of a subclass, or of a type that is not built in.
    #[cold]
    fn other(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Result<(), PackError> {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if let Ok(number) = value.cast::<PyInt>() {
            self.integer(number)
        } else if let Ok(number) = value.cast::<PyFloat>() {
            write_f64(self.out, number.value());
            Ok(())
        } else if let Ok(map) = value.cast::<PyDict>() {
            self.map(map, depth)
        } else if let Ok(list) = value.cast::<PyList>() {
            self.list(list, depth)
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.tuple(tuple, depth)
        } else if let Ok(data) = value.cast::<PyByteArray>() {
            self.bytes(&data.to_vec())
        } else if value.is_instance_of::<PyMemoryView>() {
            let data = value.call_method0(pyo3::intern!(value.py(), "tobytes"))?;
            self.bytes(data.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes())
        } else if let Ok(moment) = value.cast::<PyDateTime>() {
            let (seconds, nanoseconds) =
                classes::instant(moment)?.ok_or_else(|| PackError::of_type(value))?;
            write_timestamp(self.out, seconds, nanoseconds);
            Ok(())
        } else {
            Err(PackError::of_type(value))
        }
    }

    /// Refuse too many bytes before they are copied: a small object can represent terabytes.
    #[inline]
    fn fits(&self, length: usize) -> Result<(), PackError> {
        let length = self.out.len() + length;
        if length <= MAX_PAYLOAD_BYTES {
            return Ok(());
        }
        Err(too_large(length))
    }

    #[inline]
    fn text(&mut self, text: &Bound<'_, PyString>) -> Result<(), PackError> {
        let text = match ascii(text) {
            Some(text) => text,
            None => text.to_str().map_err(|_| lone_surrogate(text))?,
        };
        self.fits(text.len())?;
        write_str(self.out, text);
        Ok(())
    }

    fn bytes(&mut self, data: &[u8]) -> Result<(), PackError> {
        self.fits(data.len())?;
        write_bin(self.out, data);
        Ok(())
    }

    #[inline]
    fn integer(&mut self, number: &Bound<'_, PyInt>) -> Result<(), PackError> {
        let mut overflow = 0;
        // SAFETY: the pointer is a live int, for which the call cannot fail but by overflow, which it reports.
        // `extract` would make and drop an OverflowError for each number above i64::MAX, and call `__index__`.
        let small =
            unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            write_int(self.out, small);
            return Ok(());
        }
        match number.extract::<u64>() {
            Ok(large) if overflow > 0 => write_uint(self.out, large),
            _ => {
                return Err(PackError::new(format!(
                    "cannot carry an int {}, whose range is 64 bits; use str(value) or bytes",
                    if overflow > 0 {
                        "above 2**64 - 1"
                    } else {
                        "below -2**63"
                    }
                )));
            }
        }
        Ok(())
    }

    /// Count a container; return its length if it is within the limits.
    #[inline]
    fn enter(&mut self, length: usize, values_each: u64, depth: u32) -> Result<u32, PackError> {
        if depth >= LIMITS.max_depth {
            return Err(PackError::new(format!(
                "expected at most {} nested containers, got one more; does it contain itself?",
                LIMITS.max_depth
            )));
        }
        self.elements += length as u64 * values_each;
        match u32::try_from(length) {
            Ok(length) if self.elements <= u64::from(LIMITS.max_elements) => Ok(length),
            _ => Err(PackError::new(format!(
                "expected at most {} elements in a message, got more; emit it as several messages",
                LIMITS.max_elements
            ))),
        }
    }

    fn list(&mut self, list: &Bound<'_, PyList>, depth: u32) -> Result<(), PackError> {
        let length = list.len();
        let count = self.enter(length, 1, depth)?;
        write_array_len(self.out, count);
        let mut written = 0;
        for item in list.iter() {
            self.value(&item, depth + 1)
                .map_err(|refusal| refusal.at_index(written))?;
            written += 1;
        }
        unchanged(written == length && list.len() == length)
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>, depth: u32) -> Result<(), PackError> {
        if !tuple.is_exact_instance_of::<PyTuple>() {
            let py = tuple.py();
            if tuple.is_instance(classes::timestamp(py)?)? {
                return self.timestamp(tuple);
            }
            if tuple.is_instance(classes::ext(py)?)? {
                return self.ext(tuple);
            }
        }
        let count = self.enter(tuple.len(), 1, depth)?;
        write_array_len(self.out, count);
        for (index, item) in tuple.iter().enumerate() {
            self.value(&item, depth + 1)
                .map_err(|refusal| refusal.at_index(index))?;
        }
        Ok(())
    }

    fn map(&mut self, map: &Bound<'_, PyDict>, depth: u32) -> Result<(), PackError> {
        let length = map.len();
        let count = self.enter(length, 2, depth)?;
        write_map_len(self.out, count);
        let mut position = 0;
        let mut written = 0;
        while let Some((key, value)) = next_pair(map, &mut position) {
            let key = self.key(&key)?;
            self.value(&value, depth + 1)
                .map_err(|refusal| refusal.under_key(key))?;
            written += 1;
        }
        unchanged(written == length && map.len() == length)
    }

    #[inline]
    fn key<'a, 'py>(
        &mut self,
        key: &'a Bound<'py, PyAny>,
    ) -> Result<&'a Bound<'py, PyString>, PackError> {
        let Ok(text) = key.cast::<PyString>() else {
            return Err(PackError::of_key(key));
        };
        self.has_odd_keys |= !key.is_exact_instance_of::<PyString>();
        self.text(text)?;
        Ok(text)
    }

    fn timestamp(&mut self, tuple: &Bound<'_, PyTuple>) -> Result<(), PackError> {
        let (Ok(seconds), Ok(nanoseconds)) = (part::<i64>(tuple, 0), part::<u32>(tuple, 1)) else {
            return Err(PackError::new(
                "expected a Timestamp of two integers of 64 and 32 bits, got others".to_owned(),
            ));
        };
        if nanoseconds > 999_999_999 {
            return Err(PackError::new(format!(
                "expected a Timestamp with 0 to 999999999 nanoseconds, got {nanoseconds}; carry whole seconds over"
            )));
        }
        write_timestamp(self.out, seconds, nanoseconds);
        Ok(())
    }

    fn ext(&mut self, tuple: &Bound<'_, PyTuple>) -> Result<(), PackError> {
        let (Ok(code), Ok(data)) = (part::<i8>(tuple, 0), tuple.get_item(1)) else {
            return Err(PackError::new(
                "expected an Ext with a code of -128 to 127, got another".to_owned(),
            ));
        };
        if code == -1 {
            return Err(PackError::new(
                "cannot carry an Ext with code -1; use Timestamp, whose code it is".to_owned(),
            ));
        }
        let Ok(data) = data.cast::<PyBytes>() else {
            return Err(PackError::new(
                "expected an Ext whose data is bytes, got another type".to_owned(),
            ));
        };
        self.fits(data.as_bytes().len())?;
        write_ext(self.out, code, data.as_bytes());
        Ok(())
    }
}

/// Return the pair at a cursor of a dict, owned, and move the cursor on; None at the end.
///
/// `PyO3`'s own iterator panics if the dict changes in between, where the packer refuses the message.
#[inline]
fn next_pair<'py>(
    map: &Bound<'py, PyDict>,
    position: &mut ffi::Py_ssize_t,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (mut key, mut value) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // Nothing runs between borrowing and owning: the GIL is held, and without a GIL the dict's own lock is.
    with_critical_section(map, || {
        // SAFETY: `PyDict_Next` gets a live dict and a cursor that began at 0; it is memory-safe even if the dict
        // changes between two calls.
        let found = unsafe {
            ffi::PyDict_Next(map.as_ptr(), position, key.as_mut_ptr(), value.as_mut_ptr())
        };
        // SAFETY: the answer says that both pointers were written; both are live objects borrowed from the dict, which
        // cannot change before they are owned.
        (found != 0).then(|| unsafe {
            (
                Bound::from_borrowed_ptr(map.py(), key.assume_init()),
                Bound::from_borrowed_ptr(map.py(), value.assume_init()),
            )
        })
    })
}

/// Return the characters of a string that Python keeps as ASCII, which most are. Asking Python for UTF-8 is a call into
/// another library for each key and text: a tenth of the cost of packing.
#[cfg(not(Py_3_14))]
#[inline]
fn ascii<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a str> {
    let object = text.as_ptr();
    // SAFETY: a compact ASCII string holds `length` bytes below 0x80 behind its header; it does not change or move
    // while the reference lives.
    unsafe {
        if ffi::PyUnicode_IS_COMPACT_ASCII(object) == 0 {
            return None;
        }
        let length = usize::try_from(ffi::PyUnicode_GET_LENGTH(object)).ok()?;
        let bytes = core::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(object), length);
        Some(core::str::from_utf8_unchecked(bytes))
    }
}

/// Python 3.14 and later have no stable way to ask for the kind of a string without a call: take the one for UTF-8.
#[cfg(Py_3_14)]
#[inline]
const fn ascii<'a>(_: &'a Bound<'_, PyString>) -> Option<&'a str> {
    None
}

/// Return a number of a tuple.
fn part<'py, T>(tuple: &Bound<'py, PyTuple>, index: usize) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    tuple.get_item(index)?.extract()
}

/// Python code that packing called may have changed a container that was half written.
#[inline]
fn unchanged(is_unchanged: bool) -> Result<(), PackError> {
    if is_unchanged {
        return Ok(());
    }
    Err(PackError::new(
        "changed while it was packed; pack a copy".to_owned(),
    ))
}

#[cold]
fn too_large(length: usize) -> PackError {
    PackError::new(format!(
        "expected at most {MAX_PAYLOAD_BYTES} bytes, got {length} up to here; emit it as several messages, or pass on \
         where it lies"
    ))
}

#[cold]
fn lone_surrogate(text: &Bound<'_, PyString>) -> PackError {
    let position = text
        .to_string_lossy()
        .chars()
        .position(|char| char == char::REPLACEMENT_CHARACTER);
    PackError::new(format!(
        "cannot carry a str with a lone surrogate (near character {}); use bytes, \
         or text.encode(errors=\"replace\").decode()",
        position.unwrap_or(0)
    ))
}
