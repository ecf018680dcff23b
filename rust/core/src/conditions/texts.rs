//! Table of the rules' texts, looked up with texts of messages: keys of maps, values of equalities, starts and ends.
//!
//! What a lookup costs is the memory that it waits for, and most lookups find nothing. So a length that no text has
//! ends one at once, and all that is compared lies with what the text stands for in one half of a cache line, in an
//! open-addressing table at most half full: two words read off a text's ends stand for a text of up to sixteen bytes;
//! of a longer one the hash does, until it is right.
//!
//! It need not resist an attacker: what is stored are the rules' texts, and how long a lookup takes is decided by them.

/// Table from texts to values of twelve bytes at most, so that an entry is within half a cache line.
#[derive(Clone, Debug)]
pub struct Texts<T> {
    /// A bit for each length that a text has, modulo 64.
    lengths: u64,
    /// A power of two of lines, or none; linear probing, a line at a time.
    lines: Vec<Line<T>>,
    count: usize,
    /// The texts of more than sixteen bytes.
    long: Vec<u8>,
}

/// A cache line, in which a lookup begins and mostly ends.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line<T>([TextEntry<T>; 2]);

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct TextEntry<T> {
    /// The text's ends; of a long text its hash, and its offset.
    words: (u64, u64),
    /// [`VACANT`] where there is no text.
    length: u32,
    value: T,
}

const VACANT: u32 = u32::MAX;

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self {
            lengths: 0,
            lines: Vec::new(),
            count: 0,
            long: Vec::new(),
        }
    }
}

impl<T: Copy + Default> Texts<T> {
    /// Return an empty table with room for so many texts.
    pub fn with_room(count: usize) -> Self {
        let mut texts = Self::default();
        if count > 0 {
            texts.reserve(count);
        }
        texts
    }

    /// Return a map of texts to values, each with its hash by the caller's own function.
    pub fn from_hashed<'a>(texts: impl ExactSizeIterator<Item = (u64, &'a [u8], T)>) -> Self {
        let mut found = Self::with_room(texts.len());
        for (hash, text, value) in texts {
            found.insert_hashed(hash, text, value);
        }
        found
    }

    /// Return the number of texts.
    #[inline]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True if the table is empty.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Return the bytes of the lines, in which lookups begin.
    pub fn size(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Read the line in which the lookup of a text begins, and return something of it.
    #[inline]
    pub fn touch(&self, text: &[u8]) -> u32 {
        if self.lengths & bit(text) == 0 {
            return 0;
        }
        self.touch_hashed(hash(text))
    }

    /// Read as [`Texts::touch`] does, given the text's hash by the caller's own function.
    #[inline]
    pub fn touch_hashed(&self, hash: u64) -> u32 {
        let line = self.lines.get(self.home(hash));
        line.map_or(0, |line| line.0[0].length)
    }

    /// Return the value of a text.
    #[inline]
    pub fn get(&self, text: &[u8]) -> Option<T> {
        if self.lengths & bit(text) == 0 {
            return None;
        }
        self.get_hashed(hash(text), text)
    }

    /// Return the value of a text, given its hash by the caller's own function.
    #[inline]
    pub fn get_hashed(&self, hash: u64, text: &[u8]) -> Option<T> {
        let (line, at) = self.find(hash, text)?;
        let entry = &self.lines[line].0[at];
        (entry.length != VACANT).then_some(entry.value)
    }

    /// Return the line in which the lookup of a text begins.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mask takes more bits away"
    )]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & self.lines.len().wrapping_sub(1)
    }

    /// Return the place of a text, or the vacant one where it would be; none if there are no places.
    #[inline]
    fn find(&self, hash: u64, text: &[u8]) -> Option<(usize, usize)> {
        let mut line = self.home(hash);
        let is_short = text.len() <= SHORT;
        let words = if is_short { ends(text) } else { (hash, 0) };
        loop {
            for (at, entry) in self.lines.get(line)?.0.iter().enumerate() {
                if entry.length as usize == text.len() {
                    let (one, two) = entry.words;
                    let is_same = if is_short {
                        words == (one, two)
                    } else {
                        hash == one && self.is_at(two, text)
                    };
                    if is_same {
                        return Some((line, at));
                    }
                } else if entry.length == VACANT {
                    return Some((line, at));
                }
            }
            line = (line + 1) & (self.lines.len() - 1);
        }
    }

    /// True if a long text begins there.
    #[inline]
    fn is_at(&self, begin: u64, text: &[u8]) -> bool {
        let rest = usize::try_from(begin)
            .ok()
            .and_then(|begin| self.long.get(begin..));
        rest.is_some_and(|rest| rest.starts_with(text))
    }

    /// Map a text to a value, replacing its previous one. Not after [`Texts::from_hashed`]: growth places texts by their
    /// own hashes.
    pub fn insert(&mut self, text: &[u8], value: T) {
        self.reserve(1);
        self.insert_hashed(hash(text), text, value);
    }

    /// Map a text to a value, given its hash and room for it.
    fn insert_hashed(&mut self, hash: u64, text: &[u8], value: T) {
        let Some((line, at)) = self.find(hash, text) else {
            return; // unreachable: there is always a vacant place
        };
        let entry = &mut self.lines[line].0[at];
        if entry.length != VACANT {
            entry.value = value;
            return;
        }
        let is_short = text.len() <= SHORT;
        *entry = TextEntry {
            words: if is_short {
                ends(text)
            } else {
                (hash, self.long.len() as u64)
            },
            length: u32::try_from(text.len()).unwrap_or(VACANT),
            value,
        };
        self.lengths |= bit(text);
        self.count += 1;
        if !is_short {
            self.long.extend_from_slice(text);
        }
    }

    /// Make room for so many more: a few texts have four places each at least, many have two.
    fn reserve(&mut self, more: usize) {
        let count = self.count + more;
        let least = if count <= 64 { 4 * count } else { 2 * count };
        if 2 * self.lines.len() >= least {
            return;
        }
        let vacant = TextEntry {
            words: (0, 0),
            length: VACANT,
            value: T::default(),
        };
        let count = least.next_power_of_two() / 2;
        let lines = core::mem::replace(&mut self.lines, vec![Line([vacant; 2]); count]);
        for entry in lines.into_iter().flat_map(|line| line.0) {
            if entry.length != VACANT {
                self.settle(entry);
            }
        }
    }

    /// Put an entry into the first vacant place by its text's own hash.
    fn settle(&mut self, entry: TextEntry<T>) {
        let mut line = self.home(entry.hash());
        loop {
            let mut places = self.lines[line].0.iter_mut();
            if let Some(vacant) = places.find(|place| place.length == VACANT) {
                *vacant = entry;
                return;
            }
            line = (line + 1) & (self.lines.len() - 1);
        }
    }
}

/// Longest text that an entry holds; longer ones lie in a list of their own.
const SHORT: usize = 16;

impl<T> TextEntry<T> {
    /// Return the text's own hash, which the words determine.
    fn hash(&self) -> u64 {
        let length = self.length as usize;
        let (first, last) = self.words;
        if length <= SHORT {
            finished(first, last, length)
        } else {
            first
        }
    }
}

/// Return a bit for the length of a text.
#[inline]
const fn bit(text: &[u8]) -> u64 {
    1 << (text.len() & 63)
}

/// Return the eight bytes at `at`, or nothing.
#[inline]
pub fn word(text: &[u8], at: usize) -> u64 {
    text.get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |word| u64::from_le_bytes(*word))
}

/// Return the first and the last eight bytes; of shorter texts of one length, words that differ if the texts do.
#[inline]
fn ends(text: &[u8]) -> (u64, u64) {
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

/// Return a text's hash: its words in order, then its last eight bytes, which may overlap, and its length.
#[inline]
pub fn hash(text: &[u8]) -> u64 {
    let (first, last) = ends(text);
    let mut state = first;
    let mut seen = 8;
    while seen + 8 < text.len() {
        state = mixed(state, word(text, seen));
        seen += 8;
    }
    finished(state, last, text.len())
}

/// Return the state after one more word; the first state is the first word.
#[inline]
pub fn mixed(state: u64, word: u64) -> u64 {
    folded(state ^ 0xa076_1d64_78bd_642f, word ^ 0xe703_7ed1_a0b4_28db)
}

/// Return the hash of a text of that length, given the state after all words that end before its end.
#[inline]
pub fn finished(state: u64, last: u64, length: usize) -> u64 {
    folded(
        state ^ 0x8ebc_6af0_9c88_c6e3,
        last ^ 0x5899_65cc_7537_4cc3 ^ length as u64,
    )
}

/// Return both halves of a product of 128 bits.
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
            hash_bits in 0..=64_u32,
        ) {
            // Few bits make texts collide.
            let hash = |text: &str| hash(text.as_bytes()) & 1_u64.checked_shl(hash_bits).unwrap_or(0).wrapping_sub(1);
            let hashed = added.iter().enumerate().map(|(value, text)| (hash(text), text.as_bytes(), value));
            let texts = Texts::from_hashed(hashed);
            let expected: HashMap<_, _> = added.iter().cloned().zip(0..).collect();
            prop_assert_eq!(texts.len(), expected.len());
            for text in added.iter().chain(&asked) {
                prop_assert_eq!(texts.get_hashed(hash(text), text.as_bytes()), expected.get(text).copied());
            }
        }

        #[test]
        fn texts_stay_where_they_are_found_when_places_are_added(
            added in proptest::collection::vec("[ab]{0,30}", 0..200),
            asked in proptest::collection::vec("[ab]{0,30}", 0..40),
        ) {
            let mut texts = Texts::default();
            let mut expected = HashMap::new();
            for (value, text) in added.iter().enumerate() {
                texts.insert(text.as_bytes(), value);
                expected.insert(text.clone(), value);
            }
            prop_assert_eq!(texts.len(), expected.len());
            for text in added.iter().chain(&asked) {
                prop_assert_eq!(texts.get(text.as_bytes()), expected.get(text).copied());
            }
        }
    }
}
