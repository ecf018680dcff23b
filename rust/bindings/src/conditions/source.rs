//! Python objects to the compiler's tree. Never fails on what an author may have written: what no message can carry is
//! named in the tree, so that it is reported with its place like every other mistake.

use factflow_core::conditions::{Integer, Source};
use factflow_core::value::{self, Token};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};

use crate::codec;

/// Deeper than any condition with the deepest literal; what is below is not followed, so a cycle ends.
const MAX_DEPTH: usize = 256;
/// More than any condition needs; what comes after is not followed.
const MAX_VALUES: usize = 2_000_000;

/// Return the tree of an object.
pub fn read(object: &Bound<'_, PyAny>) -> PyResult<Source> {
    let mut left = MAX_VALUES;
    follow(object, 0, &mut left)
}

fn follow(object: &Bound<'_, PyAny>, depth: usize, left: &mut usize) -> PyResult<Source> {
    if depth > MAX_DEPTH || *left == 0 {
        return Ok(Source::Excess);
    }
    *left -= 1;
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
            |text| Source::Str(text.to_owned()),
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
        return list
            .iter()
            .map(|item| follow(&item, depth + 1, left))
            .collect::<PyResult<_>>()
            .map(Source::List);
    }
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return tuple
            .iter()
            .map(|item| follow(&item, depth + 1, left))
            .collect::<PyResult<_>>()
            .map(Source::List);
    }
    // A list of its own: what is followed may run code that changes the mapping, which no iterator of it survives.
    if let Ok(mapping) = object.cast_exact::<PyDict>() {
        // No tuple an item: a table of many rules would have the garbage collector look at all that lives, again and again.
        let items: Vec<_> = mapping.iter().collect();
        let pairs = items
            .iter()
            .map(|(key, value)| pair(key, value, depth, left));
        return pairs.collect::<PyResult<_>>().map(Source::Map);
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let pairs = mapping.items()?.iter().map(|item| {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            pair(&key, &value, depth, left)
        });
        return pairs.collect::<PyResult<_>>().map(Source::Map);
    }
    other(object, depth, left)
}

fn pair(
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    depth: usize,
    left: &mut usize,
) -> PyResult<(Source, Source)> {
    Ok((
        follow(key, depth + 1, left)?,
        follow(value, depth + 1, left)?,
    ))
}

/// Return the number that an int is, whatever a subclass says of it: none of its methods is called.
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

/// Read timestamps, extensions and what else the codec knows as one of those or as bytes; anything else is foreign.
fn other(object: &Bound<'_, PyAny>, depth: usize, left: &mut usize) -> PyResult<Source> {
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
                    .map(|item| follow(&item?, depth + 1, left));
                return items.collect::<PyResult<_>>().map(Source::List);
            }
            _ => {}
        }
    }
    let name = object.get_type().name()?;
    // Not by `Display`, which asks a name of a class of its own for its text.
    Ok(Source::Foreign(name.to_string_lossy().into_owned()))
}
