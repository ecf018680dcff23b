//! The index entries of a conjunction: questions that its part answers with yes whenever the part holds.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::conditions::Segment;
use crate::conditions::interval::Interval;
use crate::conditions::literal::Literal;
use crate::conditions::network::Network;
use crate::conditions::pattern::Pattern;
use crate::conditions::predicate::Predicate;
use crate::conditions::scalar::{NoScalar, Scalar};
use crate::conditions::text::End;
use crate::conditions::{Leaf, Node, Place};
use regex_syntax::hir::HirKind;

use super::levels::{Levels, Origin};
use super::required::required;

/// A question about the value in a slot that an index answers for many rules at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Equality with a scalar.
    Equal(Scalar),
    /// An array with an element that equals a scalar.
    Element(Scalar),
    /// A text with this at its start.
    Prefix(Arc<[u8]>),
    /// A text with this at its end.
    Suffix(Arc<[u8]>),
    /// A text that holds this; never empty.
    Search(Arc<[u8]>),
    /// A text that is an address in this network.
    Network(Network),
    /// Presence.
    Present,
}

impl Key {
    /// True if one value may answer it with yes more than once.
    pub const fn is_repeated(&self) -> bool {
        matches!(self, Self::Element(_) | Self::Search(_))
    }
}

/// One entry that a conjunction would have in the index.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Under a question.
    Key(usize, Key),
    /// Under an interval.
    Within(usize, Arc<Interval>),
}

/// Entries, at least one of which is found in every message for which a part holds.
#[derive(Clone, Debug)]
pub struct Cover {
    /// The entries; none if the part holds for no message at all.
    pub entries: SmallVec<[Entry; 1]>,
    /// True if the part holds in every message in which an entry is found.
    pub exact: bool,
}

/// Alternative covers of a part; most parts have one, of one entry.
pub type Covers = SmallVec<[Cover; 1]>;

/// Most entries under which a part is filed; with more, its conjunction is filed under another part, or always asked.
const MOST_ENTRIES: usize = 100_000;

/// Return every cover of a part, each sufficient by itself; none for a negative part.
pub fn covers(node: &Node, levels: &mut Levels) -> Covers {
    covers_in(node, Origin::Message, levels)
}

fn covers_in(node: &Node, frame: Origin<'_>, levels: &mut Levels) -> Covers {
    match node {
        Node::Leaf(leaf) if !leaf.negated => {
            if let Predicate::Matches(pattern) = &leaf.predicate {
                if let Some(slot) = levels.locate(frame, &leaf.place) {
                    let sets = of_pattern(slot, pattern);
                    if !sets.is_empty() {
                        return sets;
                    }
                }
            }
        }
        Node::AnyElement(any) => {
            let Some(array) = levels.locate(frame, &any.place) else {
                return wherever(frame, &any.place).into_iter().collect();
            };
            let inner = Origin::Element(levels.level(array), &any.body.scope);
            let mut found = match &any.body.node {
                Node::All(parts) => parts
                    .iter()
                    .flat_map(|part| covers_in(part, inner, levels))
                    .collect(),
                other => covers_in(other, inner, levels),
            };
            // One element may have one part, and another one the rest.
            for cover in &mut found {
                cover.exact = false;
            }
            if found.is_empty() {
                found.push(present(array, false));
            }
            return found;
        }
        _ => {}
    }
    cover(node, frame, levels).into_iter().collect()
}

/// Return the best cover of a part, judged by the part alone; `None` if it has none, as a negative part.
fn cover(node: &Node, frame: Origin<'_>, levels: &mut Levels) -> Option<Cover> {
    match node {
        Node::Leaf(leaf) => of_leaf(leaf, frame, levels),
        Node::Not(_) => None,
        Node::AnyElement(_) => covers_in(node, frame, levels).into_iter().min_by_key(rank),
        // Any part of it will do; the cheapest is not known yet, so the narrowest kind is taken.
        Node::All(parts) => {
            let covers = parts.iter().filter_map(|part| cover(part, frame, levels));
            let mut best = covers.min_by_key(rank)?;
            best.exact = false;
            Some(best)
        }
        Node::Any(parts) => {
            let mut all = Cover {
                entries: SmallVec::new(),
                exact: true,
            };
            for part in parts {
                let one = cover(part, frame, levels)?;
                all.exact &= one.exact;
                all.entries.extend(one.entries);
                if all.entries.len() > MOST_ENTRIES {
                    return None;
                }
            }
            Some(all)
        }
    }
}

/// Return the cover of a place whose path cannot be followed to its end: the presence of its beginning. `None` within
/// an element, where other covers are narrower.
fn wherever(frame: Origin<'_>, place: &Place) -> Option<Cover> {
    match frame {
        Origin::Message => Some(present(place.slot, false)),
        Origin::Element(..) => None,
    }
}

/// Return the order of covers: narrow kinds first, then few entries.
fn rank(cover: &Cover) -> (u8, usize) {
    let widest = cover.entries.iter().map(|entry| match entry {
        Entry::Key(_, Key::Equal(_)) => 0,
        Entry::Key(_, Key::Element(_) | Key::Prefix(_) | Key::Suffix(_) | Key::Network(_)) => 1,
        Entry::Within(..) => 2,
        Entry::Key(_, Key::Search(_)) => 3,
        Entry::Key(_, Key::Present) => 4,
    });
    (widest.max().unwrap_or(0), cover.entries.len())
}

fn present(slot: usize, exact: bool) -> Cover {
    Cover {
        entries: smallvec![Entry::Key(slot, Key::Present)],
        exact,
    }
}

fn keys(slot: usize, keys: impl IntoIterator<Item = Key>, exact: bool) -> Cover {
    Cover {
        entries: keys.into_iter().map(|key| Entry::Key(slot, key)).collect(),
        exact,
    }
}

fn of_leaf(leaf: &Leaf, frame: Origin<'_>, levels: &mut Levels) -> Option<Cover> {
    if leaf.negated {
        return None;
    }
    if let [before @ .., Segment::Each] = &*leaf.place.rest {
        // An array of scalars needs no level: its elements are asked in one go.
        let array = levels.locate_part(frame, &leaf.place, before.len());
        if let Some(cover) = array.and_then(|array| of_elements(array, &leaf.predicate)) {
            return Some(cover);
        }
    }
    let Some(slot) = levels.locate(frame, &leaf.place) else {
        return wherever(frame, &leaf.place);
    };
    Some(match &leaf.predicate {
        Predicate::Exists => present(slot, true),
        Predicate::Nil => keys(slot, [Key::Equal(Scalar::Nil)], true),
        Predicate::Equal(literal) => one_scalar(slot, literal, Key::Equal),
        Predicate::OneOf(choices) => match choices.scalars() {
            Some(scalars) => keys(slot, scalars.iter().cloned().map(Key::Equal), true),
            None => present(slot, false),
        },
        Predicate::Within(interval) => Cover {
            entries: smallvec![Entry::Within(slot, Arc::clone(interval))],
            exact: true,
        },
        Predicate::Contains(contains) => match contains.literal() {
            Literal::Str(text) if text.is_empty() => present(slot, false),
            Literal::Str(text) => {
                let bytes: Arc<[u8]> = Arc::clone(text).into();
                keys(
                    slot,
                    [Key::Search(bytes.clone()), Key::Element(Scalar::Str(bytes))],
                    true,
                )
            }
            // Also a part of other bytes, for which there is no index.
            Literal::Bin(_) => present(slot, false),
            literal => one_scalar(slot, literal, Key::Element),
        },
        Predicate::Affixes(affixes) => {
            if affixes.texts.iter().any(|text| text.is_empty()) {
                return Some(present(slot, false));
            }
            let key = match affixes.end {
                End::Start => Key::Prefix,
                End::End => Key::Suffix,
            };
            keys(
                slot,
                affixes
                    .texts
                    .iter()
                    .map(|text| key(Arc::clone(text).into())),
                true,
            )
        }
        Predicate::Matches(pattern) => of_pattern(slot, pattern)
            .into_iter()
            .next()
            .unwrap_or_else(|| present(slot, false)),
        Predicate::Network(networks) => keys(
            slot,
            networks.list().iter().copied().map(Key::Network),
            true,
        ),
        Predicate::Kind(_) | Predicate::Length(_) | Predicate::Custom(_) => present(slot, false),
    })
}

/// Return a cover for each set of texts that a pattern requires.
fn of_pattern(slot: usize, pattern: &Pattern) -> Covers {
    let exact = matches!(pattern.hir().kind(), HirKind::Literal(_));
    required(pattern.hir())
        .into_iter()
        .map(|texts| {
            let texts = texts.into_iter().map(|text| Key::Search(text.into()));
            keys(slot, texts, exact)
        })
        .collect()
}

fn of_elements(slot: usize, predicate: &Predicate) -> Option<Cover> {
    match predicate {
        Predicate::Nil => Some(keys(slot, [Key::Element(Scalar::Nil)], true)),
        Predicate::Equal(literal) if !matches!(Scalar::of(literal), Err(NoScalar::Composite)) => {
            Some(one_scalar(slot, literal, Key::Element))
        }
        Predicate::OneOf(choices) => {
            let scalars = choices.scalars()?;
            let elements = scalars.iter().cloned().map(Key::Element);
            Some(keys(slot, elements, true))
        }
        _ => None,
    }
}

fn one_scalar(slot: usize, literal: &Literal, key: fn(Scalar) -> Key) -> Cover {
    match Scalar::of(literal) {
        Ok(scalar) => keys(slot, [key(scalar)], true),
        Err(NoScalar::Composite) => present(slot, false),
        Err(NoScalar::Unreachable) => keys(slot, [], true),
    }
}
