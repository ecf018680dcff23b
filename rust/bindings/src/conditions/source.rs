//! Python objects to the compiler's tree. Conversion never fails for an author's mistake: a value that no message can
//! carry is named in the tree, so that it is reported with its place like every other mistake.

use std::borrow::Borrow;

use factflow_core::conditions::{Integer, Source, TextCache};
use factflow_core::value::{self, Token};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use smallvec::SmallVec;

use crate::codec;

/// Greatest depth that is followed, so that a cycle ends: deeper than any condition with the deepest literal.
const MAX_DEPTH: usize = 256;
/// Most values that are followed: more than any condition needs.
const MAX_VALUES: usize = 2_000_000;
/// Most room that is reserved before values are read.
const MOST_RESERVED: usize = 1024;

/// Reader of objects, one after another.
#[derive(Default)]
pub struct SourceReader {
    texts: TextCache,
    /// Number of values that the current object may still have.
    left: usize,
}

impl SourceReader {
    /// Return the tree of an object.
    pub fn read(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Source> {
        self.left = MAX_VALUES;
        self.follow(object, 0)
    }

    fn follow(&mut self, object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Source> {
        if depth > MAX_DEPTH || self.left == 0 {
            return Ok(Source::Excess);
        }
        self.left -= 1;
        if object.is_none() {
            return Ok(Source::Nil);
        }
        if let Ok(value) = object.cast::<PyBool>() {
            return Ok(Source::Bool(value.is_true()));
        }
        if let Ok(text) = object.cast::<PyString>() {
            // A lone surrogate is not text that a message can carry.
            return Ok(text.to_str().map_or_else(
                |_| Source::Foreign("string with a lone surrogate".to_owned()),
                |text| Source::Str(self.texts.get(text)),
            ));
        }
        if let Ok(number) = object.cast::<PyInt>() {
            return integer(number).map(Source::Int);
        }
        if let Ok(number) = object.cast::<PyFloat>() {
            return Ok(Source::Float(number.value()));
        }
        if let Ok(data) = object.cast::<PyBytes>() {
            return Ok(Source::Bin(data.as_bytes().to_vec()));
        }
        if let Ok(list) = object.cast::<PyList>() {
            return self.list(list.iter(), depth);
        }
        if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            return self.list(tuple.iter(), depth);
        }
        // Iterate over a copy: reading values may run code that changes the mapping, which invalidates its iterators.
        if let Ok(mapping) = object.cast_exact::<PyDict>() {
            // Make no tuple for each item: for a table of many rules the garbage collector would run again and again.
            let items: SmallVec<[_; 4]> = mapping.iter().collect();
            return self.map(
                items.len(),
                items.iter().map(|(key, value)| Ok((key, value))),
                depth,
            );
        }
        if let Ok(mapping) = object.cast::<PyMapping>() {
            let items = mapping.items()?;
            let pairs = items
                .iter()
                .map(|item| item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>());
            return self.map(items.len(), pairs, depth);
        }
        self.other(object, depth)
    }

    fn list<'py>(
        &mut self,
        items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<Source> {
        let mut read = Vec::with_capacity(items.len().min(MOST_RESERVED));
        for item in items {
            read.push(self.follow(&item, depth + 1)?);
        }
        Ok(Source::List(read))
    }

    fn map<'py, T: Borrow<Bound<'py, PyAny>>>(
        &mut self,
        count: usize,
        pairs: impl Iterator<Item = PyResult<(T, T)>>,
        depth: usize,
    ) -> PyResult<Source> {
        let mut read = Vec::with_capacity(count.min(MOST_RESERVED));
        for pair in pairs {
            let (key, value) = pair?;
            let key = self.follow(key.borrow(), depth + 1)?;
            read.push((key, self.follow(value.borrow(), depth + 1)?));
        }
        Ok(Source::Map(read))
    }

    /// Read timestamps, extensions and what else the codec knows as one of those or as bytes; anything else is foreign.
    fn other(&mut self, object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Source> {
        if let Ok(packed) = codec::pack(object) {
            match value::read(packed.as_bytes(), 0) {
                Ok((
                    Token::Timestamp {
                        seconds,
                        nanoseconds,
                    },
                    _,
                )) => {
                    return Ok(Source::Timestamp(seconds, nanoseconds));
                }
                Ok((Token::Ext(code, data), _)) => return Ok(Source::Ext(code, data.to_vec())),
                Ok((Token::Bin(data), _)) => return Ok(Source::Bin(data.to_vec())),
                Ok((Token::Array(_), _)) => {
                    // A named tuple.
                    let items = object
                        .try_iter()?
                        .map(|item| self.follow(&item?, depth + 1));
                    return items.collect::<PyResult<_>>().map(Source::List);
                }
                _ => {}
            }
        }
        let name = object.get_type().name()?;
        // Avoid `Display`, which runs the code of a subclass of str for its text.
        Ok(Source::Foreign(name.to_string_lossy().into_owned()))
    }
}

/// Return the number of an int without calling a method, which a subclass could override.
fn integer(number: &Bound<'_, PyInt>) -> PyResult<Integer> {
    let mut overflow = 0;
    // SAFETY: the pointer is a live int, for which the call cannot fail but by overflow, which it reports.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        return Ok(Integer::Small(i128::from(small)));
    }
    let size = number
        .py()
        .get_type::<PyInt>()
        .call_method1("__abs__", (number,))?;
    let bits: usize = size.call_method0("bit_length")?.extract()?;
    let magnitude = size.call_method1("to_bytes", (bits.div_ceil(8), "big"))?;
    Ok(Integer::from_magnitude(
        overflow < 0,
        magnitude.cast::<PyBytes>()?.as_bytes(),
    ))
}
