//! Index of the texts that begin, or end, a text: one hash taken along it, one probe a length.

use std::sync::Arc;

use super::hit::Hit;
use crate::conditions::text::End;
use crate::conditions::texts::{Texts, finished, hash, mixed, word};

/// Texts, each with what it names.
#[derive(Clone, Debug)]
pub struct AffixIndex {
    end: End,
    /// Distinct lengths in order.
    lengths: Vec<usize>,
    texts: Texts<Hit>,
}

impl AffixIndex {
    /// Return an index of distinct texts that stand at this end.
    pub fn new(end: End, texts: &[(Arc<[u8]>, Hit)]) -> Self {
        let mut lengths: Vec<usize> = texts.iter().map(|(text, _)| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let hashed = texts.iter().map(|(text, hit)| {
            let hash = Hashes::new(end, text).next(text.len());
            (hash, &**text, *hit)
        });
        Self {
            end,
            lengths,
            texts: Texts::from_hashed(hashed),
        }
    }

    /// Return the bytes of the texts, as [`Texts::size`] does.
    pub fn size(&self) -> usize {
        self.texts.size()
    }

    /// Read the line in which the lookup of the shortest affix begins, and return something of it.
    #[inline]
    pub fn touch(&self, text: &[u8]) -> u32 {
        match self.lengths.first() {
            Some(&length) if length <= text.len() => {
                let hash = Hashes::new(self.end, text).next(length);
                self.texts.touch_hashed(hash)
            }
            _ => 0,
        }
    }

    /// Call `found` with the value of every text that stands at the end of this one.
    #[inline]
    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        let mut hashes = Hashes::new(self.end, text);
        for &length in &self.lengths {
            if length > text.len() {
                break;
            }
            let affix = hashes.affix(length);
            if let Some(hit) = self.texts.get_hashed(hashes.next(length), affix) {
                found(hit);
            }
        }
    }
}

/// Hashes of what stands at the end of a text, each longer than the one before.
struct Hashes<'a> {
    end: End,
    text: &'a [u8],
    state: u64,
    /// Bytes that the state has seen.
    seen: usize,
}

impl<'a> Hashes<'a> {
    #[inline]
    fn new(end: End, text: &'a [u8]) -> Self {
        let mut hashes = Self {
            end,
            text,
            state: 0,
            seen: 8,
        };
        hashes.state = hashes.word(0);
        hashes
    }

    /// Return the text's end of that length, which is not above the text's.
    #[inline]
    fn affix(&self, length: usize) -> &'a [u8] {
        match self.end {
            End::Start => &self.text[..length],
            End::End => &self.text[self.text.len() - length..],
        }
    }

    /// Return the word that is so many bytes from the end.
    #[inline]
    fn word(&self, from_end: usize) -> u64 {
        match self.end {
            End::Start => word(self.text, from_end),
            End::End => word(self.text, self.text.len().wrapping_sub(from_end + 8)),
        }
    }

    /// Return the hash of the part of that length; lengths must not decrease from call to call.
    #[inline]
    fn next(&mut self, length: usize) -> u64 {
        if length < 8 {
            return hash(self.affix(length));
        }
        while self.seen + 8 < length {
            self.state = mixed(self.state, self.word(self.seen));
            self.seen += 8;
        }
        finished(self.state, self.word(length - 8), length)
    }
}

#[cfg(test)]
mod tests {
    use super::{AffixIndex, End, Hit};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_comparing_each_text_finds(
            texts in proptest::collection::btree_set("[ab]{1,3}|a{0,40}b{1,3}", 0..20),
            text in "a{0,40}[ab]{0,4}a{0,12}",
            at_start in any::<bool>(),
        ) {
            let end = if at_start { End::Start } else { End::End };
            let numbered = texts.iter().zip(0..);
            let index = AffixIndex::new(
                end,
                &numbered.clone().map(|(text, number)| (text.as_bytes().into(), Hit::Conjunction(number))).collect::<Vec<_>>(),
            );
            // Each text is asked too: it stands at its own end, in its whole length.
            for text in texts.iter().chain([&text]) {
                let mut found = Vec::new();
                index.find(text.as_bytes(), &mut |hit| {
                    if let Hit::Conjunction(number) = hit {
                        found.push(number);
                    }
                });
                found.sort_unstable();
                let stands = |affix: &str| if at_start { text.starts_with(affix) } else { text.ends_with(affix) };
                let expected: Vec<u32> = numbered
                    .clone()
                    .filter(|(affix, _)| stands(affix.as_str()))
                    .map(|(_, number)| number)
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
