//! Texts that rules know, looked up with texts of messages: keys of maps, values of equalities, starts and ends.
//!
//! Most lookups find nothing, so the table is made for that: a length that no text has ends a lookup at once, and a
//! small open-addressing table holds a hash and a number for each text, so that nothing else is touched unless the
//! hash is right. Entries lie apart, each within half a cache line: two words read off a text's ends stand for a text
//! of up to sixteen bytes, longer ones are compared in full.
//!
//! It need not resist an attacker: what is stored are the rules' texts, and how long a lookup takes is decided by them.

/// Texts, each with what it stands for.
#[derive(Clone, Debug)]
pub struct Texts<T> {
    /// A bit for each length that a text has, modulo 64.
    lengths: u64,
    /// A power of two of places, or none; linear probing.
    places: Vec<Slot>,
    entries: Vec<Entry<T>>,
    /// The texts of more than sixteen bytes.
    long: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    /// A place in the entries, or [`NOWHERE`].
    entry: u32,
}

const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Debug)]
#[repr(align(32))]
struct Entry<T> {
    ends: Ends,
    length: u32,
    /// Where a long text begins.
    begin: u32,
    value: T,
}

/// The first and the last eight bytes of a text; of shorter texts of one length, words that differ if the texts do.
type Ends = (u64, u64);

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self {
            lengths: 0,
            places: Vec::new(),
            entries: Vec::new(),
            long: Vec::new(),
        }
    }
}

impl<T> Texts<T> {
    /// Number of texts.
    #[inline]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a text stands for.
    #[inline]
    pub fn get(&self, text: &[u8]) -> Option<&T> {
        if self.lengths & bit(text) == 0 {
            return None;
        }
        self.get_hashed(hash(text), text)
    }

    /// The same for a text under a hash of the caller's own.
    #[inline]
    pub fn get_hashed(&self, hash: u32, text: &[u8]) -> Option<&T> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.places.get(at)?;
            if slot.hash == hash {
                let entry = self.entries.get(slot.entry as usize)?;
                if self.is_text(entry, text) {
                    return Some(&entry.value);
                }
            } else if slot.entry == NOWHERE {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// Gives a text what it stands for, over what it stood for.
    pub fn insert(&mut self, text: &[u8], value: T) {
        self.insert_hashed(hash(text), text, value);
    }

    /// The same under a hash of the caller's own.
    pub fn insert_hashed(&mut self, hash: u32, text: &[u8], value: T) {
        self.reserve();
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(entry) = self.entries.get(self.places[at].entry as usize) {
            if self.places[at].hash == hash && self.is_text(entry, text) {
                self.entries[self.places[at].entry as usize].value = value;
                return;
            }
            at = (at + 1) & mask;
        }
        self.lengths |= bit(text);
        self.places[at] = Slot {
            hash,
            entry: numbered(self.entries.len()),
        };
        self.entries.push(Entry {
            ends: ends(text),
            length: numbered(text.len()),
            begin: numbered(self.long.len()),
            value,
        });
        if text.len() > 16 {
            self.long.extend_from_slice(text);
        }
    }

    /// Makes room for one more: a few texts have eight places each, many have two.
    fn reserve(&mut self) {
        let count = self.entries.len() + 1;
        let least = if count <= 64 { 4 * count } else { 2 * count };
        if self.places.len() >= least {
            return;
        }
        let vacant = Slot {
            hash: 0,
            entry: NOWHERE,
        };
        let places = vec![vacant; (2 * least).next_power_of_two()];
        let mask = places.len() - 1;
        for slot in core::mem::replace(&mut self.places, places) {
            if slot.entry == NOWHERE {
                continue;
            }
            let mut at = slot.hash as usize & mask;
            while self.places[at].entry != NOWHERE {
                at = (at + 1) & mask;
            }
            self.places[at] = slot;
        }
    }

    #[inline]
    fn is_text(&self, entry: &Entry<T>, text: &[u8]) -> bool {
        entry.length as usize == text.len()
            && entry.ends == ends(text)
            && (text.len() <= 16 || self.long[entry.begin as usize..][..text.len()] == *text)
    }
}

/// A bit for the length of a text.
#[inline]
const fn bit(text: &[u8]) -> u64 {
    1 << (text.len() & 63)
}

/// A number of 32 bits: there is less text than that in rules, for want of memory.
fn numbered(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NOWHERE)
}

/// The eight bytes at `at`, or nothing.
#[inline]
pub fn word(text: &[u8], at: usize) -> u64 {
    text.get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline]
fn ends(text: &[u8]) -> Ends {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return (u64::from(first) << 32 | u64::from(last), 0);
    }
    let word = match *text {
        [one] => u64::from(one),
        [one, two] => u64::from(one) | u64::from(two) << 8,
        [one, two, three] => u64::from(one) | u64::from(two) << 8 | u64::from(three) << 16,
        _ => 0,
    };
    (word, 0)
}

/// A text's hash: its words in order, then its last eight bytes, which may overlap, and its length.
#[inline]
pub fn hash(text: &[u8]) -> u32 {
    let (first, last) = ends(text);
    let mut state = first;
    let mut seen = 8;
    while seen + 8 < text.len() {
        state = mixed(state, word(text, seen));
        seen += 8;
    }
    finished(state, last, text.len())
}

/// The state after one more word; the first state is the first word.
#[inline]
pub fn mixed(state: u64, word: u64) -> u64 {
    folded(state ^ 0xa076_1d64_78bd_642f, word ^ 0xe703_7ed1_a0b4_28db)
}

/// The hash of a text of that length, given the state after all words that end before its end.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
pub fn finished(state: u64, last: u64, length: usize) -> u32 {
    folded(
        state ^ 0x8ebc_6af0_9c88_c6e3,
        last ^ 0x5899_65cc_7537_4cc3 ^ length as u64,
    ) as u32
}

/// Both halves of a product of 128 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are meant")]
fn folded(one: u64, two: u64) -> u64 {
    let product = u128::from(one) * u128::from(two);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::{Texts, hash};
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_text_is_found_exactly_if_it_was_added(
            added in proptest::collection::vec("[ab]{0,30}", 0..200),
            asked in proptest::collection::vec("[ab]{0,30}", 0..40),
            hash_bits in 0..=32_u32,
        ) {
            // Few bits make texts collide.
            let hash = |text: &str| hash(text.as_bytes()) & 1_u32.checked_shl(hash_bits).unwrap_or(0).wrapping_sub(1);
            let mut texts = Texts::default();
            let mut expected = HashMap::new();
            for (value, text) in added.iter().enumerate() {
                texts.insert_hashed(hash(text), text.as_bytes(), value);
                expected.insert(text.clone(), value);
            }
            prop_assert_eq!(texts.len(), expected.len());
            for text in added.iter().chain(&asked) {
                prop_assert_eq!(texts.get_hashed(hash(text), text.as_bytes()), expected.get(text));
            }
        }
    }
}
