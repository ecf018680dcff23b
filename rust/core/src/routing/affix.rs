//! All of many texts that stand at the start, or the end, of a text: one rolling hash along it, one probe a length.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::field::Hit;
use crate::conditions::text::End;

/// A text, and what it names. Short ones lie in the table itself.
#[derive(Clone, Debug)]
struct Affix {
    text: SmallVec<[u8; 16]>,
    hit: Hit,
}

/// Texts, each with what it names.
#[derive(Clone, Debug)]
pub struct AffixIndex {
    end: End,
    /// Distinct lengths in order.
    lengths: Vec<usize>,
    /// By the hash of all bytes, counted from the end where they stand.
    table: HashMap<u64, Affix, FxBuildHasher>,
    /// Those whose hash another one has already.
    collisions: HashMap<u64, Vec<Affix>, FxBuildHasher>,
}

impl AffixIndex {
    /// An index of texts that stand at this end.
    pub fn new(end: End, texts: Vec<(Box<[u8]>, Hit)>) -> Self {
        let mut lengths: Vec<usize> = texts.iter().map(|(text, _)| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut index = Self {
            end,
            lengths,
            table: HashMap::default(),
            collisions: HashMap::default(),
        };
        for (text, hit) in texts {
            let mut hash = SEED;
            for at in 0..text.len() {
                hash = rolled(hash, index.byte(&text, at));
            }
            let affix = Affix {
                text: SmallVec::from_slice(&text),
                hit,
            };
            match index.table.entry(hash) {
                Entry::Vacant(place) => {
                    place.insert(affix);
                }
                Entry::Occupied(_) => index.collisions.entry(hash).or_default().push(affix),
            }
        }
        index
    }

    /// The byte that is so far from the end.
    #[inline]
    fn byte(&self, text: &[u8], at: usize) -> u8 {
        match self.end {
            End::Start => text[at],
            End::End => text[text.len() - 1 - at],
        }
    }

    /// Calls `found` with what every text names that stands at the end of this one.
    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        let mut hash = SEED;
        let mut at = 0;
        for &length in &self.lengths {
            if length > text.len() {
                break;
            }
            while at < length {
                hash = rolled(hash, self.byte(text, at));
                at += 1;
            }
            let Some(first) = self.table.get(&hash) else {
                continue;
            };
            let affix = match self.end {
                End::Start => &text[..length],
                End::End => &text[text.len() - length..],
            };
            if *first.text == *affix {
                found(first.hit);
            }
            if let Some(others) = self.collisions.get(&hash) {
                for other in others.iter().filter(|other| *other.text == *affix) {
                    found(other.hit);
                }
            }
        }
    }
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// One step of FNV-1a. It need not resist an attacker: the table's keys are the rules' and its lookups are verified.
#[inline]
fn rolled(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}
