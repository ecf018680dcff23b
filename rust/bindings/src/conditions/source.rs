//! Python objects to the compiler's tree. Never fails on what an author may have written: what no message can carry is
//! named in the tree, so that it is reported with its place like every other mistake.

use factflow_core::conditions::{Integer, Source};
use factflow_core::value::{self, Token};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};

use crate::codec;

/// Deeper than any condition with the deepest literal; what is below is not followed, so a cycle ends.
const MAX_DEPTH: usize = 256;
/// More than any condition needs; what comes after is not followed.
const MAX_VALUES: usize = 2_000_000;

/// The tree of an object.
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
    if let Ok(mapping) = object.cast::<PyDict>() {
        let pairs = mapping
            .iter()
            .map(|(key, value)| pair(&key, &value, depth, left));
        return pairs.collect::<PyResult<_>>().map(Source::Map);
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let items = mapping.items()?;
        let pairs = items.iter().map(|item| {
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

fn integer(number: &Bound<'_, PyInt>) -> PyResult<Integer> {
    if let Ok(small) = number.extract::<i64>() {
        return Ok(Integer::Small(i128::from(small)));
    }
    let size = number.call_method0("__abs__")?;
    let bits: usize = size.call_method0("bit_length")?.extract()?;
    let magnitude = size.call_method1("to_bytes", (bits.div_ceil(8), "big"))?;
    let negative = number.lt(0)?;
    Ok(Integer::from_magnitude(
        negative,
        magnitude.cast::<PyBytes>()?.as_bytes(),
    ))
}

/// Timestamps, extensions and what else the codec knows as one of those or as bytes; anything else is foreign.
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
    Ok(Source::Foreign(object.get_type().name()?.to_string()))
}
