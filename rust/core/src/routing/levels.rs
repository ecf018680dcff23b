//! Slots behind wildcards: questions about the elements of arrays are filed like questions about the message.
//!
//! The walk from the root ends at an array. A *level* is a trie of the paths that lead on from each of its elements, so
//! that one walk an element finds the places of all rules, and fields there have the same indices as any other. Arrays
//! within elements have levels of their own.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::conditions::{Place, Scope, Segment};

/// The paths that rules follow from the elements of one array.
#[derive(Clone, Debug)]
pub struct Level {
    /// Finds their places; an element is the root.
    pub scope: Scope,
    /// Slots of the table, or [`UNUSED`], by slot of the scope.
    pub slots: Vec<u32>,
}

/// Marker of no slot of the table, or no level.
pub const UNUSED: u32 = u32::MAX;

/// The root that a place is relative to.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The message; slots are those of the table's own scope.
    Message,
    /// Each element of an array: its level, and the scope that the place's slot is in.
    Element(usize, &'a Scope),
}

/// All levels of a table, and the numbers of all slots: first those of the message's scope, then those behind
/// wildcards.
#[derive(Debug)]
pub struct Levels {
    all: Vec<Level>,
    /// Levels of the elements of arrays, by the array's slot.
    of_slot: Vec<u32>,
    known: HashMap<(usize, usize), usize, FxBuildHasher>,
}

impl Levels {
    /// No levels yet, above so many slots of the message's scope.
    pub fn new(message_slots: usize) -> Self {
        Self {
            all: Vec::new(),
            of_slot: vec![UNUSED; message_slots],
            known: HashMap::default(),
        }
    }

    /// Return the levels, and by slot which of them is that of the array there, or [`UNUSED`].
    pub fn into_parts(self) -> (Vec<Level>, Vec<u32>) {
        (self.all, self.of_slot)
    }

    /// Return the slot of every value that a place leads to; `None` if a segment of its path fits both maps and
    /// arrays.
    pub fn locate(&mut self, frame: Origin<'_>, place: &Place) -> Option<usize> {
        self.locate_part(frame, place, place.rest.len())
    }

    /// Return the slot of a place's path, cut after so many segments of the rest.
    pub fn locate_part(&mut self, frame: Origin<'_>, place: &Place, rest: usize) -> Option<usize> {
        let rest = &place.rest[..rest];
        match frame {
            Origin::Message => self.follow(place.slot, rest),
            Origin::Element(level, scope) => {
                let mut path = scope.path(place.slot);
                path.extend_from_slice(rest);
                self.add(level, &path)
            }
        }
    }

    /// Return the level of the elements of the array in a slot.
    pub fn level(&mut self, slot: usize) -> usize {
        if self.of_slot[slot] == UNUSED {
            self.of_slot[slot] = u32::try_from(self.all.len()).unwrap_or(UNUSED);
            self.all.push(Level {
                scope: Scope::new(),
                slots: Vec::new(),
            });
        }
        self.of_slot[slot] as usize
    }

    fn follow(&mut self, slot: usize, rest: &[Segment]) -> Option<usize> {
        match rest {
            [] => Some(slot),
            [Segment::Each, rest @ ..] => {
                let level = self.level(slot);
                self.add(level, rest)
            }
            _ => None,
        }
    }

    fn add(&mut self, level: usize, path: &[Segment]) -> Option<usize> {
        if path
            .iter()
            .any(|segment| matches!(segment, Segment::KeyOrIndex(..)))
        {
            return None;
        }
        let place = self.all[level].scope.add(path);
        let next = self.of_slot.len();
        let slot = *self.known.entry((level, place.slot)).or_insert(next);
        if slot == next {
            self.of_slot.push(UNUSED);
            let Level { scope, slots } = &mut self.all[level];
            slots.resize(scope.slots().max(slots.len()), UNUSED);
            slots[place.slot] = u32::try_from(slot).unwrap_or(UNUSED);
        }
        self.follow(slot, &place.rest)
    }
}
