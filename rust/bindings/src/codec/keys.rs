//! Cache of map keys: the string object of an earlier message is used again, with the hash that Python has computed
//! for it.
//!
//! Messages of a pipeline repeat few keys; making each anew was a quarter of the cost of decoding. A slot holds the
//! last key that fell into it, so hostile keys can only make the cache miss: dictionaries hash with Python's own keyed
//! function, and the table never grows.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

const SLOTS: usize = 1024;
const LONGEST: usize = 31;

/// One remembered key: its bytes beside the object, so that a hit needs no look into the object.
struct KnownKey {
    text: [u8; LONGEST],
    length: u8,
    object: Py<PyString>,
}

type KeyTable = Vec<Option<KnownKey>>;

static TABLE: Mutex<KeyTable> = Mutex::new(Vec::new());

/// The table, borrowed for one decoding; absent if another decoding, on another thread or inside a finalizer, has it.
pub struct Keys(Option<MutexGuard<'static, KeyTable>>);

impl Keys {
    pub fn borrow() -> Self {
        // Never wait: a holder that is switched out must not block another thread.
        let mut table = TABLE.try_lock().ok();
        if let Some(table) = table.as_mut().filter(|table| table.is_empty()) {
            table.resize_with(SLOTS, || None);
        }
        Self(table)
    }

    /// Return the object of a key of ASCII text, cached or made now; None if such a key is not cached.
    #[inline]
    pub fn get<'py>(&mut self, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyString>> {
        if text.len() > LONGEST {
            return None;
        }
        let slot = self.0.as_mut()?.get_mut(slot_of(text))?;
        match slot {
            Some(known)
                if usize::from(known.length) == text.len() && known.text[..text.len()] == *text =>
            {
                Some(known.object.bind(py).clone())
            }
            _ => Self::remember(py, slot, text),
        }
    }

    #[cold]
    fn remember<'py>(
        py: Python<'py>,
        slot: &mut Option<KnownKey>,
        text: &[u8],
    ) -> Option<Bound<'py, PyString>> {
        let object = PyString::new(py, core::str::from_utf8(text).ok()?);
        let mut bytes = [0; LONGEST];
        bytes[..text.len()].copy_from_slice(text);
        let length = u8::try_from(text.len()).ok()?;
        *slot = Some(KnownKey {
            text: bytes,
            length,
            object: object.clone().unbind(),
        });
        Some(object)
    }
}

#[inline]
fn slot_of(text: &[u8]) -> usize {
    let length = text.len() as u64;
    let word = if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>())
    {
        u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else {
        text.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    };
    // The top ten bits of a Fibonacci hash.
    ((word ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}
