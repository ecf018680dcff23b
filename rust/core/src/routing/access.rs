//! What a conjunction can be filed under: questions that its part answers with yes whenever the part holds.

use crate::conditions::Segment;
use crate::conditions::interval::Interval;
use crate::conditions::literal::Literal;
use crate::conditions::pattern::Pattern;
use crate::conditions::predicate::Predicate;
use crate::conditions::scalar::{NoScalar, Scalar};
use crate::conditions::text::End;
use crate::conditions::{Leaf, Node};
use regex_syntax::hir::HirKind;

use super::required::required;

/// A question about the value in a slot that an index answers for many rules at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// It equals a scalar.
    Equal(Scalar),
    /// It is an array, and an element equals a scalar.
    Element(Scalar),
    /// It is a text with this at its start.
    Prefix(Box<[u8]>),
    /// It is a text with this at its end.
    Suffix(Box<[u8]>),
    /// It is a text that holds this; never empty.
    Search(Box<[u8]>),
    /// It is there.
    Present,
}

impl Key {
    /// Whether one value may answer it with yes more than once.
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
    Within(usize, Interval),
}

/// Entries, at least one of which is found in every message for which a part holds.
#[derive(Clone, Debug)]
pub struct Cover {
    /// They; none if the part holds for no message at all.
    pub entries: Vec<Entry>,
    /// Whether the part holds in every message in which an entry is found.
    pub exact: bool,
}

/// More entries than this are not filed; the part's neighbours are, or the conjunction is always asked.
const MOST_ENTRIES: usize = 100_000;

/// All that a part can be filed under, each of it alone; nothing for all that is negative.
pub fn covers(node: &Node) -> Vec<Cover> {
    if let Node::Leaf(leaf) = node {
        if let (Predicate::Matches(pattern), [], false) =
            (&leaf.predicate, &*leaf.place.rest, leaf.negated)
        {
            let sets = of_pattern(leaf.place.slot, pattern);
            if !sets.is_empty() {
                return sets;
            }
        }
    }
    cover(node).into_iter().collect()
}

/// The best that a part can be filed under, as far as the part alone tells; `None` if there is nothing, as for all that is negative.
pub fn cover(node: &Node) -> Option<Cover> {
    match node {
        Node::Leaf(leaf) => of_leaf(leaf),
        Node::Not(_) => None,
        Node::AnyElement(any) => Some(present(any.place.slot, false)),
        // Any part of it will do; the cheapest is not known yet, so the narrowest kind is taken.
        Node::All(parts) => {
            let covers = parts.iter().filter_map(cover);
            let mut best = covers.min_by_key(rank)?;
            best.exact = false;
            Some(best)
        }
        Node::Any(parts) => {
            let mut all = Cover {
                entries: Vec::new(),
                exact: true,
            };
            for part in parts {
                let one = cover(part)?;
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

/// Narrow kinds first, then few entries.
fn rank(cover: &Cover) -> (u8, usize) {
    let widest = cover.entries.iter().map(|entry| match entry {
        Entry::Key(_, Key::Equal(_)) => 0,
        Entry::Key(_, Key::Element(_) | Key::Prefix(_) | Key::Suffix(_)) => 1,
        Entry::Within(..) => 2,
        Entry::Key(_, Key::Search(_)) => 3,
        Entry::Key(_, Key::Present) => 4,
    });
    (widest.max().unwrap_or(0), cover.entries.len())
}

fn present(slot: usize, exact: bool) -> Cover {
    Cover {
        entries: vec![Entry::Key(slot, Key::Present)],
        exact,
    }
}

fn keys(slot: usize, keys: impl IntoIterator<Item = Key>, exact: bool) -> Cover {
    Cover {
        entries: keys.into_iter().map(|key| Entry::Key(slot, key)).collect(),
        exact,
    }
}

fn of_leaf(leaf: &Leaf) -> Option<Cover> {
    if leaf.negated {
        return None;
    }
    let slot = leaf.place.slot;
    match &*leaf.place.rest {
        [] => {}
        [Segment::Each] => return Some(of_elements(slot, &leaf.predicate)),
        _ => return Some(present(slot, false)),
    }
    Some(match &leaf.predicate {
        Predicate::Exists => present(slot, true),
        Predicate::Nil => keys(slot, [Key::Equal(Scalar::Nil)], true),
        Predicate::Equal(literal) => one_scalar(slot, literal, Key::Equal),
        Predicate::OneOf(choices) => match choices.scalars() {
            Some(scalars) => keys(slot, scalars.iter().cloned().map(Key::Equal), true),
            None => present(slot, false),
        },
        Predicate::Within(interval) => Cover {
            entries: vec![Entry::Within(slot, interval.clone())],
            exact: true,
        },
        Predicate::Contains(contains) => match contains.literal() {
            Literal::Str(text) if text.is_empty() => present(slot, false),
            Literal::Str(text) => {
                let bytes: Box<[u8]> = text.as_bytes().into();
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
                affixes.texts.iter().map(|text| key(text.as_bytes().into())),
                true,
            )
        }
        Predicate::Matches(pattern) => of_pattern(slot, pattern)
            .into_iter()
            .next()
            .unwrap_or_else(|| present(slot, false)),
        Predicate::Kind(_)
        | Predicate::Length(_)
        | Predicate::Network(_)
        | Predicate::Custom(_) => present(slot, false),
    })
}

/// One for each set of texts that a pattern requires.
fn of_pattern(slot: usize, pattern: &Pattern) -> Vec<Cover> {
    let exact = matches!(pattern.hir().kind(), HirKind::Literal(_));
    required(pattern.hir())
        .into_iter()
        .map(|texts| {
            let texts = texts.into_iter().map(|text| Key::Search(text.into()));
            keys(slot, texts, exact)
        })
        .collect()
}

fn of_elements(slot: usize, predicate: &Predicate) -> Cover {
    match predicate {
        Predicate::Nil => keys(slot, [Key::Element(Scalar::Nil)], true),
        Predicate::Equal(literal) => one_scalar(slot, literal, Key::Element),
        Predicate::OneOf(choices) => match choices.scalars() {
            Some(scalars) => keys(slot, scalars.iter().cloned().map(Key::Element), true),
            None => present(slot, false),
        },
        _ => present(slot, false),
    }
}

fn one_scalar(slot: usize, literal: &Literal, key: fn(Scalar) -> Key) -> Cover {
    match Scalar::of(literal) {
        Ok(scalar) => keys(slot, [key(scalar)], true),
        Err(NoScalar::Composite) => present(slot, false),
        Err(NoScalar::Unreachable) => keys(slot, [], true),
    }
}
