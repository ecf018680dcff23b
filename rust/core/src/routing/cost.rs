//! Number of rules that share an entry: the fewer, the fewer candidates a message names in vain.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::conditions::interval::{Bounds, Interval};
use crate::conditions::number::{NumberLiteral, compare_literals};

use super::access::{Entry, Key};
use super::stab::Ends;

/// An entry that was counted.
#[derive(Clone, Copy, Debug)]
pub enum Ticket {
    /// A question, by its number.
    Key(u32),
    /// An interval, by its number.
    Interval(u32),
}

/// Intervals of slots, each at its number.
pub type Intervals = Vec<(usize, Arc<Interval>)>;

/// Questions about slots, each with its number.
pub type Numbers = HashMap<(usize, Key), u32, FxBuildHasher>;

/// All entries that conjunctions could have.
#[derive(Debug, Default)]
pub struct Census {
    /// Slots from here on are behind wildcards: a message may have several values there.
    message_slots: usize,
    numbers: Numbers,
    counts: Vec<u32>,
    /// Estimated likelihood of a yes, by question.
    weights: Vec<u64>,
    /// True for each question that a message may answer with yes more than once.
    repeated: Vec<bool>,
    intervals: Intervals,
    /// Number of intervals of its slot that each interval overlaps; filled by [`Census::close`].
    overlaps: Vec<u32>,
}

impl Census {
    /// Return a census of a table whose scope has so many slots.
    pub fn new(message_slots: usize) -> Self {
        Self {
            message_slots,
            ..Self::default()
        }
    }

    /// Count an entry.
    pub fn file(&mut self, entry: Entry) -> Ticket {
        match entry {
            Entry::Key(slot, key) => {
                let next = numbered(self.counts.len());
                let weight = weight(&key);
                let is_repeated = key.is_repeated() || slot >= self.message_slots;
                let number = *self.numbers.entry((slot, key)).or_insert(next);
                if number == next {
                    self.counts.push(0);
                    self.weights.push(weight);
                    self.repeated.push(is_repeated);
                }
                self.counts[number as usize] += 1;
                Ticket::Key(number)
            }
            Entry::Within(slot, interval) => {
                self.intervals.push((slot, interval));
                Ticket::Interval(numbered(self.intervals.len() - 1))
            }
        }
    }

    /// End the counting: costs may be asked from now on.
    pub fn close(&mut self) {
        let mut slots: HashMap<usize, Vec<usize>, FxBuildHasher> = HashMap::default();
        for (at, (slot, _)) in self.intervals.iter().enumerate() {
            slots.entry(*slot).or_default().push(at);
        }
        self.overlaps = vec![0; self.intervals.len()];
        for members in slots.into_values() {
            let intervals = || {
                members
                    .iter()
                    .map(|&at| (&*self.intervals[at].1, numbered(at)))
            };
            let sorted = ByKind::new(intervals());
            overlaps(&sorted.numbers, compare_literals, &mut self.overlaps);
            overlaps(&sorted.texts, Ord::cmp, &mut self.overlaps);
            overlaps(&sorted.data, Ord::cmp, &mut self.overlaps);
            overlaps(&sorted.instants, Ord::cmp, &mut self.overlaps);
        }
    }

    /// Return the number of distinct questions.
    pub fn keys(&self) -> usize {
        self.counts.len()
    }

    /// True if a message may name an entry more than once.
    pub fn is_repeated(&self, ticket: Ticket) -> bool {
        match ticket {
            Ticket::Key(number) => self.repeated[number as usize],
            Ticket::Interval(number) => self.intervals[number as usize].0 >= self.message_slots,
        }
    }

    /// Estimate how many candidates an entry names in vain, in an arbitrary unit.
    pub fn cost(&self, ticket: Ticket) -> u64 {
        match ticket {
            Ticket::Key(number) => {
                u64::from(self.counts[number as usize]) * self.weights[number as usize]
            }
            Ticket::Interval(number) => u64::from(self.overlaps[number as usize]) * 3,
        }
    }

    /// Return every question with its number, whether a message may answer each of them more than once, and every
    /// interval in the order of their numbers.
    pub fn into_parts(self) -> (Numbers, Vec<bool>, Intervals) {
        (self.numbers, self.repeated, self.intervals)
    }
}

/// Estimate how much likelier than an equality a question is answered with yes.
fn weight(key: &Key) -> u64 {
    match key {
        Key::Equal(_) => 1,
        Key::Element(_) => 2,
        Key::Prefix(text) | Key::Suffix(text) if text.len() > 2 => 2,
        Key::Prefix(_) | Key::Suffix(_) => 8,
        Key::Network(network) if network.bits() > 8 => 2,
        Key::Search(text) if text.len() > 3 => 4,
        Key::Network(_) | Key::Search(_) => 16,
        Key::Present => 64,
    }
}

/// Bounds of one kind of value, each with its interval's number.
type Sorted<'a, T> = Vec<(&'a Bounds<T>, u32)>;

/// Intervals of one slot by their kind.
#[derive(Debug, Default)]
pub struct ByKind<'a> {
    pub numbers: Sorted<'a, NumberLiteral>,
    pub texts: Sorted<'a, Arc<str>>,
    pub data: Sorted<'a, Arc<[u8]>>,
    pub instants: Sorted<'a, (i64, u32)>,
}

impl<'a> ByKind<'a> {
    /// Sort intervals, given with their numbers.
    pub fn new(intervals: impl Iterator<Item = (&'a Interval, u32)>) -> Self {
        let mut sorted = Self::default();
        for (interval, number) in intervals {
            match interval {
                Interval::Number(bounds) => sorted.numbers.push((bounds, number)),
                Interval::Str(bounds) => sorted.texts.push((bounds, number)),
                Interval::Bin(bounds) => sorted.data.push((bounds, number)),
                Interval::Timestamp(bounds) => sorted.instants.push((bounds, number)),
            }
        }
        sorted
    }
}

/// Write how many of the intervals each of them overlaps, itself included.
fn overlaps<T: Clone>(
    intervals: &[(&Bounds<T>, u32)],
    order: impl Fn(&T, &T) -> core::cmp::Ordering,
    overlaps: &mut [u32],
) {
    let ends = Ends::new(intervals, &order);
    let ranks: Vec<(u32, u32)> = intervals
        .iter()
        .map(|(bounds, _)| ends.ranks(bounds, &order))
        .collect();
    let mut lows: Vec<u32> = ranks.iter().map(|&(low, _)| low).collect();
    let mut highs: Vec<u32> = ranks.iter().map(|&(_, high)| high).collect();
    lows.sort_unstable();
    highs.sort_unstable();
    for (&(low, high), (_, number)) in ranks.iter().zip(intervals) {
        let below = highs.partition_point(|&other| other < low);
        let above = lows.len() - lows.partition_point(|&other| other <= high);
        overlaps[*number as usize] = numbered(lows.len().saturating_sub(below + above));
    }
}

/// Return an index as a number of 32 bits: tables have fewer entries than that, for want of memory.
pub fn numbered(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
