//! The indices of one field: from its value to the conjunctions that are filed under it.

use std::sync::Arc;

use crate::conditions::equality::number;
use crate::conditions::interval::Interval;
use crate::conditions::scalar::{Scalar, ScalarMap};
use crate::conditions::stride::{past, text};
use crate::conditions::text::End;
use crate::conditions::texts::Texts;
use crate::value::{Token, ValueError, read};

use super::access::Key;
use super::affix::AffixIndex;
use super::cost::ByKind;
use super::hit::Hit;
use super::networks::NetworkIndex;
use super::numbers::NumberIndex;
use super::search::SearchIndex;
use super::stab::Stab;

/// Entries of one slot, separated by the kind of value, so that a lookup touches those of its kind only.
#[derive(Clone, Debug, Default)]
pub struct FieldIndex {
    present: Option<Hit>,
    texts: Option<Box<TextIndex>>,
    numbers: Option<Box<NumberIndex>>,
    /// Equalities with all but texts.
    equal: Option<Box<ScalarMap<Hit>>>,
    others: Option<Box<OtherIndex>>,
}

/// Entries that are filed under texts.
#[derive(Clone, Debug, Default)]
struct TextIndex {
    equal: Texts<Hit>,
    prefixes: Option<AffixIndex>,
    suffixes: Option<AffixIndex>,
    search: Option<SearchIndex>,
    within: Option<Stab<Arc<str>>>,
    networks: Option<Box<NetworkIndex>>,
}

/// Entries that are filed under rarer kinds.
#[derive(Clone, Debug, Default)]
struct OtherIndex {
    elements: Option<ScalarMap<Hit>>,
    data: Option<Stab<Arc<[u8]>>>,
    instants: Option<Stab<(i64, u32)>>,
}

impl FieldIndex {
    /// Return the index of these questions, each with its answer, and of these intervals, each with the number of its
    /// conjunction; `hit` returns the answer that names one conjunction alone.
    pub fn new(
        keys: Vec<(Key, Hit)>,
        intervals: &[(&Interval, u32)],
        hit: impl Fn(u32) -> Hit,
    ) -> Result<Self, aho_corasick::BuildError> {
        let mut field = Self::default();
        let mut prefixes = Vec::new();
        let mut suffixes = Vec::new();
        let mut searched = Vec::new();
        let mut texts = TextIndex::default();
        let is_text = |key: &&(Key, Hit)| matches!(key.0, Key::Equal(Scalar::Str(_)));
        texts.equal = Texts::with_room(keys.iter().filter(is_text).count());
        let mut others = OtherIndex::default();
        for (key, hit) in keys {
            match key {
                Key::Present => field.present = Some(hit),
                Key::Equal(Scalar::Str(text)) => texts.equal.insert(&text, hit),
                Key::Equal(scalar) => field.equal.get_or_insert_default().insert(scalar, hit),
                Key::Element(scalar) => {
                    others.elements.get_or_insert_default().insert(scalar, hit);
                }
                Key::Prefix(text) => prefixes.push((text, hit)),
                Key::Suffix(text) => suffixes.push((text, hit)),
                Key::Network(network) => {
                    texts.networks.get_or_insert_default().insert(network, hit);
                }
                Key::Search(text) => searched.push((text, hit)),
            }
        }
        let sorted = ByKind::new(intervals.iter().copied());
        texts.prefixes = (!prefixes.is_empty()).then(|| AffixIndex::new(End::Start, &prefixes));
        texts.suffixes = (!suffixes.is_empty()).then(|| AffixIndex::new(End::End, &suffixes));
        if !searched.is_empty() {
            let searched: Vec<(&[u8], Hit)> =
                searched.iter().map(|(text, hit)| (&**text, *hit)).collect();
            texts.search = Some(SearchIndex::new(&searched)?);
        }
        texts.within = (!sorted.texts.is_empty()).then(|| Stab::new(&sorted.texts, Ord::cmp));
        field.texts = (!texts.is_empty()).then(|| Box::new(texts));
        field.numbers =
            (!sorted.numbers.is_empty()).then(|| Box::new(NumberIndex::new(&sorted.numbers, hit)));
        others.data = (!sorted.data.is_empty()).then(|| Stab::new(&sorted.data, Ord::cmp));
        others.instants =
            (!sorted.instants.is_empty()).then(|| Stab::new(&sorted.instants, Ord::cmp));
        field.others = (!others.is_empty()).then(|| Box::new(others));
        Ok(field)
    }

    /// True if an automaton searches this field's texts.
    pub fn has_automaton(&self) -> bool {
        let texts = self.texts.as_ref();
        texts.is_some_and(|texts| texts.search.is_some())
    }

    /// Return the size in bytes of the parts that [`FieldIndex::touch`] reads from.
    pub fn size(&self) -> usize {
        let texts = self.texts.as_ref().map_or(0, |texts| {
            let affixes = [&texts.prefixes, &texts.suffixes].into_iter().flatten();
            texts.equal.size() + affixes.map(AffixIndex::size).sum::<usize>()
        });
        texts + self.numbers.as_ref().map_or(0, |numbers| numbers.size())
    }

    /// Read the first memory that [`FieldIndex::find`] would wait for, and return something of it.
    #[inline]
    pub fn touch(&self, bytes: &[u8], at: usize) -> u32 {
        if let Some(text) = text(bytes, at) {
            return self.texts.as_ref().map_or(0, |texts| texts.touch(text));
        }
        match (&self.numbers, read(bytes, at)) {
            (Some(numbers), Ok((token, _))) => {
                number(token).map_or(0, |number| numbers.touch(number))
            }
            _ => 0,
        }
    }

    /// Call `found` with every answer for the value at `at`; some more than once.
    #[inline]
    pub fn find(
        &self,
        bytes: &[u8],
        at: usize,
        found: &mut impl FnMut(Hit),
    ) -> Result<(), ValueError> {
        if let Some(hit) = self.present {
            found(hit);
        }
        if let Some(text) = text(bytes, at) {
            if let Some(texts) = &self.texts {
                texts.find(text, found);
            }
            return Ok(());
        }
        let (token, next) = read(bytes, at)?;
        if let Token::Str(text) = token {
            if let Some(texts) = &self.texts {
                texts.find(text, found);
            }
            return Ok(());
        }
        if let Some(hit) = self.equal.as_ref().and_then(|equal| equal.get(token)) {
            found(hit);
        }
        if let (Some(numbers), Some(number)) = (&self.numbers, number(token)) {
            numbers.find(number, found);
        }
        match &self.others {
            Some(others) => others.find(bytes, token, next, found),
            None => Ok(()),
        }
    }
}

impl TextIndex {
    const fn is_empty(&self) -> bool {
        self.equal.is_empty()
            && self.prefixes.is_none()
            && self.suffixes.is_none()
            && self.search.is_none()
            && self.within.is_none()
            && self.networks.is_none()
    }

    #[inline]
    fn touch(&self, text: &[u8]) -> u32 {
        let affixes = [&self.prefixes, &self.suffixes].into_iter().flatten();
        let touched = affixes.fold(0, |touched, affixes| touched ^ affixes.touch(text));
        touched ^ self.equal.touch(text)
    }

    #[inline]
    fn find(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        if let Some(hit) = self.equal.get(text) {
            found(hit);
        }
        if let Some(prefixes) = &self.prefixes {
            prefixes.find(text, found);
        }
        if let Some(suffixes) = &self.suffixes {
            suffixes.find(text, found);
        }
        if let Some(search) = &self.search {
            search.find(text, found);
        }
        if let Some(stab) = &self.within {
            stab.find(|end| Some(text.cmp(end.as_bytes())), &mut |one| {
                found(Hit::Conjunction(one));
            });
        }
        if let Some(networks) = &self.networks {
            networks.find(text, found);
        }
    }
}

impl OtherIndex {
    const fn is_empty(&self) -> bool {
        self.elements.is_none() && self.data.is_none() && self.instants.is_none()
    }

    fn find(
        &self,
        bytes: &[u8],
        token: Token<'_>,
        next: usize,
        found: &mut impl FnMut(Hit),
    ) -> Result<(), ValueError> {
        match token {
            Token::Bin(data) => {
                if let Some(stab) = &self.data {
                    stab.find(|end| Some(data.cmp(end)), &mut |one| {
                        found(Hit::Conjunction(one));
                    });
                }
            }
            Token::Timestamp {
                seconds,
                nanoseconds,
            } => {
                if let Some(stab) = &self.instants {
                    let instant = (seconds, nanoseconds);
                    stab.find(|end| Some(instant.cmp(end)), &mut |one| {
                        found(Hit::Conjunction(one));
                    });
                }
            }
            Token::Array(count) => return self.find_elements(bytes, next, count, found),
            _ => {}
        }
        Ok(())
    }

    fn find_elements(
        &self,
        bytes: &[u8],
        mut at: usize,
        count: u32,
        found: &mut impl FnMut(Hit),
    ) -> Result<(), ValueError> {
        let Some(elements) = &self.elements else {
            return Ok(());
        };
        for _ in 0..count {
            let (token, _) = read(bytes, at)?;
            if let Some(hit) = elements.get(token) {
                found(hit);
            }
            at = past(bytes, at)?;
        }
        Ok(())
    }
}
