//! Index of the texts that a text holds, in one pass over it: Aho-Corasick.

use aho_corasick::{AhoCorasick, BuildError};

use super::hit::Hit;

/// Texts, each with what it names.
#[derive(Clone, Debug)]
pub struct SearchIndex {
    automaton: AhoCorasick,
    /// Values of the texts, by the automaton's number of a text.
    hits: Vec<Hit>,
}

impl SearchIndex {
    /// Return an index of texts, none of them empty. Fails for more text than 32 bits count.
    pub fn new(texts: &[(&[u8], Hit)]) -> Result<Self, BuildError> {
        Ok(Self {
            automaton: AhoCorasick::new(texts.iter().map(|(text, _)| text))?,
            hits: texts.iter().map(|&(_, hit)| hit).collect(),
        })
    }

    /// Call `found` with the value of every text that this one holds, once for each occurrence.
    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        for hit in self.automaton.find_overlapping_iter(text) {
            found(self.hits[hit.pattern().as_usize()]);
        }
    }
}
