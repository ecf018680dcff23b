//! The indices of one field: from what its value is to the conjunctions that are filed under that.

use crate::conditions::equality::number;
use crate::conditions::interval::Interval;
use crate::conditions::number::{NumberLiteral, compare, compare_literals};
use crate::conditions::scalar::ScalarMap;
use crate::conditions::stride::past;
use crate::conditions::text::End;
use crate::value::{Error, Token, read};

use super::access::Key;
use super::affix::AffixIndex;
use super::cost::ByKind;
use super::search::SearchIndex;
use super::stab::Stab;

/// What an index names.
#[derive(Clone, Copy, Debug)]
pub enum Hit {
    /// A list of conjunctions.
    List(u32),
    /// A list of conjunctions that may be named as often as the value is long.
    RepeatedList(u32),
    /// One conjunction.
    One(u32),
}

/// All that is filed under one slot.
#[derive(Clone, Debug, Default)]
pub struct FieldIndex {
    present: Option<Hit>,
    equal: Option<ScalarMap<Hit>>,
    elements: Option<ScalarMap<Hit>>,
    prefixes: Option<AffixIndex>,
    suffixes: Option<AffixIndex>,
    search: Option<SearchIndex>,
    numbers: Option<Stab<NumberLiteral>>,
    texts: Option<Stab<Box<str>>>,
    data: Option<Stab<Box<[u8]>>>,
    instants: Option<Stab<(i64, u32)>>,
}

impl FieldIndex {
    /// The index of these questions, each with what it names, and of these intervals, each with its conjunction's.
    pub fn new(
        keys: Vec<(Key, Hit)>,
        intervals: &[(&Interval, u32)],
    ) -> Result<Self, aho_corasick::BuildError> {
        let mut field = Self::default();
        let mut prefixes = Vec::new();
        let mut suffixes = Vec::new();
        let mut texts = Vec::new();
        for (key, hit) in keys {
            match key {
                Key::Present => field.present = Some(hit),
                Key::Equal(scalar) => field.equal.get_or_insert_default().insert(scalar, hit),
                Key::Element(scalar) => field.elements.get_or_insert_default().insert(scalar, hit),
                Key::Prefix(text) => prefixes.push((text, hit)),
                Key::Suffix(text) => suffixes.push((text, hit)),
                Key::Search(text) => texts.push((text, hit)),
            }
        }
        field.prefixes = (!prefixes.is_empty()).then(|| AffixIndex::new(End::Start, prefixes));
        field.suffixes = (!suffixes.is_empty()).then(|| AffixIndex::new(End::End, suffixes));
        if !texts.is_empty() {
            let texts: Vec<(&[u8], Hit)> =
                texts.iter().map(|(text, hit)| (&**text, *hit)).collect();
            field.search = Some(SearchIndex::new(&texts)?);
        }
        let sorted = ByKind::new(intervals.iter().copied());
        field.numbers = (!sorted.numbers.is_empty()).then(|| {
            Stab::new(&sorted.numbers, compare_literals).with_rough_places(NumberLiteral::rough)
        });
        field.texts = (!sorted.texts.is_empty()).then(|| Stab::new(&sorted.texts, Ord::cmp));
        field.data = (!sorted.data.is_empty()).then(|| Stab::new(&sorted.data, Ord::cmp));
        field.instants =
            (!sorted.instants.is_empty()).then(|| Stab::new(&sorted.instants, Ord::cmp));
        Ok(field)
    }

    /// Whether an automaton searches this field's texts.
    pub const fn has_automaton(&self) -> bool {
        self.search.is_some()
    }

    /// Calls `found` with all that the value at `at` is filed under; some more than once.
    #[inline]
    pub fn find(&self, bytes: &[u8], at: usize, found: &mut impl FnMut(Hit)) -> Result<(), Error> {
        if let Some(hit) = self.present {
            found(hit);
        }
        let (token, next) = read(bytes, at)?;
        if let Some(&hit) = self.equal.as_ref().and_then(|equal| equal.get(token)) {
            found(hit);
        }
        match token {
            Token::Str(text) => self.find_text(text, found),
            Token::Bin(data) => {
                if let Some(stab) = &self.data {
                    stab.find(|end| Some(data.cmp(end)), &mut |one| found(Hit::One(one)));
                }
            }
            Token::Timestamp {
                seconds,
                nanoseconds,
            } => {
                if let Some(stab) = &self.instants {
                    let instant = (seconds, nanoseconds);
                    stab.find(|end| Some(instant.cmp(end)), &mut |one| {
                        found(Hit::One(one));
                    });
                }
            }
            Token::Array(count) => self.find_elements(bytes, next, count, found)?,
            token => {
                if let (Some(stab), Some(number)) = (&self.numbers, number(token)) {
                    stab.find_near(number.rough(), |end| compare(number, end), &mut |one| {
                        found(Hit::One(one));
                    });
                }
            }
        }
        Ok(())
    }

    fn find_text(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        if let Some(prefixes) = &self.prefixes {
            prefixes.find(text, found);
        }
        if let Some(suffixes) = &self.suffixes {
            suffixes.find(text, found);
        }
        if let Some(search) = &self.search {
            search.find(text, found);
        }
        if let Some(stab) = &self.texts {
            stab.find(|end| Some(text.cmp(end.as_bytes())), &mut |one| {
                found(Hit::One(one));
            });
        }
    }

    fn find_elements(
        &self,
        bytes: &[u8],
        mut at: usize,
        count: u32,
        found: &mut impl FnMut(Hit),
    ) -> Result<(), Error> {
        let Some(elements) = &self.elements else {
            return Ok(());
        };
        for _ in 0..count {
            let (token, _) = read(bytes, at)?;
            if let Some(&hit) = elements.get(token) {
                found(hit);
            }
            at = past(bytes, at)?;
        }
        Ok(())
    }
}
