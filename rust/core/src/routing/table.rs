//! A built table, and matching: one walk, one look into the indices of each field, what remains of each candidate.

use core::hint::black_box;

use crate::conditions::{Host, MISSING, Node, Scope, Slots, past};
use crate::value::{Token, ValueError, read};

use super::field::FieldIndex;
use super::hit::{Candidate, Hit};
use super::levels::{Level, UNUSED};

/// A part of a rule that suffices for it: rules are split at their outermost `any_of`.
#[derive(Clone, Copy, Debug)]
pub struct Conjunction {
    /// Rule, and the rest to be asked.
    pub candidate: Candidate,
    /// True if an index may name it more than once for a message.
    pub is_repeated: bool,
}

/// Size in bytes above which indices are taken to lie in memory rather than in a processor's cache.
pub const FAR: usize = 1 << 20;

/// The numbers of a table's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of rules.
    pub rules: usize,
    /// Rules that are only asked when the index names them.
    pub indexed: usize,
    /// Rules that every message is asked about, in whole or in part: the linear part.
    pub always_asked: usize,
    /// Rules that can hold for no message.
    pub never: usize,
    /// Fields that have an index.
    pub fields: usize,
    /// Fields whose texts an automaton searches.
    pub automata: usize,
}

/// Conditions that are asked together. Rules are known by their place.
///
/// ```
/// use factflow_core::conditions::{BuiltInOnly, Compiler, MAX_PATTERNS_BYTES, NoOperators, Source};
/// use factflow_core::routing::{Scratch, build};
/// use factflow_core::value::{write_map_len, write_str};
///
/// let text = |text: &str| Source::Str(text.into());
/// let speaks = |lang: &str| {
///     Source::Map(vec![
///         (text("field"), text("lang")),
///         (text("operator"), text("eq")),
///         (text("value"), text(lang)),
///     ])
/// };
/// let mut operators = NoOperators;
/// let mut compiler = Compiler::new(&mut operators, MAX_PATTERNS_BYTES);
/// let rules = ["de", "en", "fr"].map(|lang| compiler.compile(&speaks(lang)).unwrap());
/// let (scope, _) = compiler.finish();
/// let table = build(rules.into(), scope)?;
/// assert_eq!((table.statistics().indexed, table.statistics().always_asked), (3, 0));
///
/// let mut message = Vec::new();
/// write_map_len(&mut message, 1);
/// write_str(&mut message, "lang");
/// write_str(&mut message, "en");
/// let mut found = Vec::new();
/// table.all(&message, &mut Scratch::default(), &BuiltInOnly, &mut found).unwrap();
/// assert_eq!(found, [1]);
/// # Ok::<(), factflow_core::routing::TableError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) scope: Scope,
    /// Levels behind wildcards.
    pub(super) levels: Vec<Level>,
    /// Levels of arrays, or [`UNUSED`], by slot.
    pub(super) level_of_slot: Vec<u32>,
    /// The index of a slot's field, if it has one.
    pub(super) field_of_slot: Vec<Option<FieldIndex>>,
    /// Start of each list in `members`, and one end more.
    pub(super) lists: Vec<u32>,
    pub(super) members: Vec<u32>,
    pub(super) conjunctions: Vec<Conjunction>,
    /// The rest to be asked of candidates, the cheapest first, as stretches of `remaining`; an empty one if being
    /// named suffices. Rules that ask the same share it, so that it stays near.
    pub(super) tests: Vec<(u32, u32)>,
    /// Places in `parts`.
    pub(super) remaining: Vec<u32>,
    /// Parts that are asked, shared too.
    pub(super) parts: Vec<Node>,
    /// True if the indices are larger than [`FAR`].
    pub(super) is_far: bool,
    /// Conjunctions without an entry, in the order of their rules.
    pub(super) always: Vec<Candidate>,
    pub(super) statistics: Statistics,
}

/// Room that matching works in, kept between messages so that it is not allocated for each.
#[derive(Debug, Default)]
pub struct Scratch {
    places: WrittenSlots,
    /// Places of the current element, by level.
    elements: Vec<WrittenSlots>,
    /// Number of the message that a conjunction was last asked about, by conjunction.
    named: Vec<u32>,
    /// Number of the message that a list was last named for, by list.
    listed: Vec<u32>,
    /// Counts messages.
    message: u32,
    /// Candidates that the index names for the message.
    candidates: Vec<Candidate>,
}

/// Slots of a walk, and which of them were written.
#[derive(Debug, Default)]
struct WrittenSlots {
    offsets: Vec<usize>,
    written: Vec<usize>,
}

impl Slots for WrittenSlots {
    #[inline]
    fn get(&self, slot: usize) -> usize {
        self.offsets[slot]
    }

    #[inline]
    fn set(&mut self, slot: usize, at: usize) {
        self.offsets[slot] = at;
        self.written.push(slot);
    }
}

impl Scratch {
    /// Make ready for another message of this table.
    fn prepare(&mut self, table: &Table) {
        for slot in self.places.written.drain(..) {
            self.places.offsets[slot] = MISSING;
        }
        self.candidates.clear();
        self.elements
            .resize_with(table.levels.len(), WrittenSlots::default);
        // Grows once: a scratch serves one table.
        self.places.offsets.resize(table.scope.slots(), MISSING);
        self.named.resize(table.conjunctions.len(), 0);
        self.listed.resize(table.lists.len(), 0);
        self.message = self.message.wrapping_add(1);
        if self.message == 0 {
            self.named.fill(0);
            self.listed.fill(0);
            self.message = 1;
        }
    }
}

impl Table {
    /// Return the numbers of the table's parts.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Append the place of every rule that holds for the message, in the table's order.
    pub fn all<H: Host>(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
        host: &H,
        rules: &mut Vec<u32>,
    ) -> Result<(), H::Error> {
        let begin = rules.len();
        self.name_candidates(bytes, scratch)?;
        for &candidate in scratch.candidates.iter().chain(&self.always) {
            if self.holds(candidate, bytes, &scratch.places.offsets, host)? {
                rules.push(candidate.rule);
            }
        }
        let found = &mut rules[begin..];
        if found.len() > 1 {
            found.sort_unstable();
            let distinct = distinct(found);
            rules.truncate(begin + distinct);
        }
        Ok(())
    }

    /// Return the place of the first rule that holds for the message.
    pub fn first<H: Host>(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
        host: &H,
    ) -> Result<Option<u32>, H::Error> {
        self.name_candidates(bytes, scratch)?;
        scratch.candidates.sort_unstable();
        self.first_of(&scratch.candidates, bytes, &scratch.places.offsets, host)
    }

    /// Return the first rule that holds, of candidates and of those that are always asked, both in the order of the
    /// rules.
    fn first_of<H: Host>(
        &self,
        candidates: &[Candidate],
        bytes: &[u8],
        slots: &[usize],
        host: &H,
    ) -> Result<Option<u32>, H::Error> {
        let mut named = candidates.iter().peekable();
        let mut always = self.always.iter().peekable();
        loop {
            let next = match (named.peek(), always.peek()) {
                (Some(one), Some(other)) if one.rule <= other.rule => named.next(),
                (Some(_), None) => named.next(),
                _ => always.next(),
            };
            let Some(&candidate) = next else {
                return Ok(None);
            };
            if self.holds(candidate, bytes, slots, host)? {
                return Ok(Some(candidate.rule));
            }
        }
    }

    /// Return the answer that names one conjunction alone, for an entry that a value names once.
    pub(super) fn hit(&self, number: u32) -> Hit {
        let conjunction = self.conjunctions[number as usize];
        if conjunction.is_repeated {
            Hit::Conjunction(number)
        } else {
            Hit::One(conjunction.candidate)
        }
    }

    /// True if the rest of a candidate holds.
    #[inline]
    fn holds<H: Host>(
        &self,
        candidate: Candidate,
        bytes: &[u8],
        slots: &[usize],
        host: &H,
    ) -> Result<bool, H::Error> {
        let (begin, end) = self.tests[candidate.test as usize];
        for &part in &self.remaining[begin as usize..end as usize] {
            if !self.parts[part as usize].holds(bytes, slots, host)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn list(&self, list: u32) -> &[u32] {
        let list = list as usize;
        &self.members[self.lists[list] as usize..self.lists[list + 1] as usize]
    }

    /// Store in the scratch the offsets of the places, and every conjunction that the index names, each once. No
    /// conjunction is asked yet: so the lookups in the indices, each of which may wait for memory, do not wait for
    /// one another.
    #[inline]
    fn name_candidates(&self, bytes: &[u8], scratch: &mut Scratch) -> Result<(), ValueError> {
        scratch.prepare(self);
        let Scratch {
            places,
            elements,
            candidates,
            listed,
            named,
            message,
        } = scratch;
        let is_first = |last: &mut u32| core::mem::replace(last, *message) != *message;
        let mut name = |number: u32, candidates: &mut Vec<Candidate>| {
            let conjunction = self.conjunctions[number as usize];
            if !conjunction.is_repeated || is_first(&mut named[number as usize]) {
                candidates.push(conjunction.candidate);
            }
        };
        let mut found = |hit| match hit {
            Hit::One(candidate) => candidates.push(candidate),
            Hit::Conjunction(number) => name(number, candidates),
            Hit::List(list) => {
                for &number in self.list(list) {
                    name(number, candidates);
                }
            }
            Hit::RepeatedList(list) => {
                if is_first(&mut listed[list as usize]) {
                    for &number in self.list(list) {
                        name(number, candidates);
                    }
                }
            }
        };
        self.scope.walk(bytes, 0, places)?;
        if self.is_far {
            self.touch(bytes, places);
        }
        for &slot in &places.written {
            let at = places.offsets[slot];
            if let Some(field) = &self.field_of_slot[slot] {
                field.find(bytes, at, &mut found)?;
            }
            if !self.levels.is_empty() && self.level_of_slot[slot] != UNUSED {
                self.find_in_elements(self.level_of_slot[slot], bytes, at, elements, &mut found)?;
            }
        }
        Ok(())
    }

    /// Read the first memory that each field's lookup would wait for, without a decision that depends on it. A lookup
    /// with an outcome that the processor mispredicted discards the reads begun after it; here all reads overlap.
    #[inline]
    fn touch(&self, bytes: &[u8], places: &WrittenSlots) {
        let fields = places.written.iter().filter_map(|&slot| {
            let field = self.field_of_slot[slot].as_ref()?;
            Some(field.touch(bytes, places.offsets[slot]))
        });
        // Keeps the reads, although nothing uses them.
        black_box(fields.fold(0, |touched, field| touched ^ field));
    }

    /// Call `found` with all that the elements of the array at `at` are filed under, if it is one.
    ///
    /// Recurses once for each wildcard of a path.
    fn find_in_elements(
        &self,
        level: u32,
        bytes: &[u8],
        at: usize,
        rooms: &mut [WrittenSlots],
        found: &mut impl FnMut(Hit),
    ) -> Result<(), ValueError> {
        let (Token::Array(count), mut at) = read(bytes, at)? else {
            return Ok(());
        };
        let Level { scope, slots } = &self.levels[level as usize];
        // A level is never within itself, so nobody else needs its room meanwhile.
        let mut places = core::mem::take(&mut rooms[level as usize]);
        places.offsets.resize(scope.slots(), MISSING);
        for _ in 0..count {
            for slot in places.written.drain(..) {
                places.offsets[slot] = MISSING;
            }
            scope.walk(bytes, at, &mut places)?;
            for &slot in &places.written {
                let place = places.offsets[slot];
                let slot = slots.get(slot).copied().unwrap_or(UNUSED);
                if slot == UNUSED {
                    continue;
                }
                if let Some(field) = &self.field_of_slot[slot as usize] {
                    field.find(bytes, place, found)?;
                }
                let inner = self.level_of_slot[slot as usize];
                if inner != UNUSED {
                    self.find_in_elements(inner, bytes, place, rooms, found)?;
                }
            }
            at = past(bytes, at)?;
        }
        rooms[level as usize] = places;
        Ok(())
    }
}

/// Move the distinct ones of sorted numbers to the front; return how many they are.
fn distinct(sorted: &mut [u32]) -> usize {
    let mut kept = 1;
    for at in 1..sorted.len() {
        if sorted[at] != sorted[kept - 1] {
            sorted[kept] = sorted[at];
            kept += 1;
        }
    }
    kept
}
