//! The keys of one map that anybody asks about, looked up for every key that a message has there.
//!
//! Most lookups find nothing, so the table is made for that: a length that no key has ends a lookup at once, and two
//! words read off the ends of a key stand for it in an open-addressing table that is at most a quarter full. Only keys
//! of more than sixteen bytes are ever compared in full. It need not resist an attacker: what is stored are the rules'
//! keys, and how long a lookup takes is decided by them.

/// Keys, each with the place of its child.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// A bit for each length that a key has, modulo 64.
    lengths: u64,
    /// A power of two of places, or none; linear probing.
    table: Vec<Option<Key>>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Key {
    words: (u64, u64),
    text: Box<[u8]>,
    child: usize,
}

impl Keys {
    /// Number of keys.
    #[inline]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The child of a key.
    #[inline]
    pub fn get(&self, text: &[u8]) -> Option<usize> {
        if self.lengths & bit(text) == 0 {
            return None;
        }
        let words = words(text);
        let mut at = home(words, self.table.len());
        loop {
            let key = self.table[at].as_ref()?;
            if key.words == words
                && key.text.len() == text.len()
                && (text.len() <= 16 || *key.text == *text)
            {
                return Some(key.child);
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    /// Adds a key that is not there yet.
    pub fn insert(&mut self, text: &[u8], child: usize) {
        self.count += 1;
        self.lengths |= bit(text);
        if self.table.len() < 4 * self.count {
            let places = (8 * self.count).next_power_of_two();
            let old = core::mem::replace(&mut self.table, vec![None; places]);
            for key in old.into_iter().flatten() {
                self.place(key);
            }
        }
        self.place(Key {
            words: words(text),
            text: text.into(),
            child,
        });
    }

    fn place(&mut self, key: Key) {
        let mut at = home(key.words, self.table.len());
        while self.table[at].is_some() {
            at = (at + 1) & (self.table.len() - 1);
        }
        self.table[at] = Some(key);
    }
}

/// A bit for the length of a key.
#[inline]
const fn bit(text: &[u8]) -> u64 {
    1 << (text.len() & 63)
}

/// The first and the last eight bytes; of shorter texts of one length, words that differ if the texts do.
#[inline]
fn words(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return (u64::from(first) << 32 | u64::from(last), 0);
    }
    let word = text
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    (word, 0)
}

/// Where a lookup begins.
#[inline]
const fn home((first, last): (u64, u64), places: usize) -> usize {
    let mixed = (first ^ last.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & (places - 1)
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_key_is_found_exactly_if_it_was_added(
            added in proptest::collection::hash_set("[ab]{0,20}", 0..40),
            asked in proptest::collection::vec("[ab]{0,20}", 0..40),
        ) {
            let mut keys = Keys::default();
            let mut expected = HashMap::new();
            for (child, text) in added.iter().enumerate() {
                keys.insert(text.as_bytes(), child);
                expected.insert(text.clone(), child);
            }
            prop_assert_eq!(keys.len(), added.len());
            for text in added.iter().chain(&asked) {
                prop_assert_eq!(keys.get(text.as_bytes()), expected.get(text).copied());
            }
        }
    }
}
