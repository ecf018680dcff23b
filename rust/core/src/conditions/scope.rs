//! One walk over a message that finds every place that some conditions ask about.
//!
//! The paths that conditions share a root with are kept as a trie; each of its nodes has a slot, and a walk writes the
//! offset of the node's value there. What the trie does not name is skipped, and the walk ends as soon as everything
//! was found, which is right because ingress refuses duplicate keys (of unchecked bytes the first one counts).
//!
//! A trie holds keys and indices only. A path's part from its first `[*]` (or a pointer's digits, which fit maps and
//! arrays) is resolved from there, for that path alone: see [`Place`].
//!
//! Invariants: a node is visited at most once a walk, a byte is looked at a bounded number of times, and the walk
//! recurses no deeper than the longest path.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::path::Segment;
use super::place::Place;
use super::slots::{MISSING, Slots};
use super::stride::{key, past};
use super::texts::Texts;
use crate::value::{Token, ValueError, read};

/// Most elements of a node that are searched one by one.
const FEW: usize = 8;

/// The trie of all paths from one root.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    nodes: Vec<TrieNode>,
}

/// A node's slot is its place in [`Scope::nodes`]; the root is 0.
#[derive(Clone, Debug, Default)]
struct TrieNode {
    keys: Texts<usize>,
    elements: Vec<(i64, usize)>,
    /// Slots of the elements by their index, used if there are too many to search one by one.
    known_elements: HashMap<i64, usize, FxBuildHasher>,
    /// The parent's slot and the step from there; none for the root.
    step: Option<(usize, Segment)>,
}

impl TrieNode {
    #[inline]
    fn is_leaf(&self) -> bool {
        self.keys.is_empty() && self.elements.is_empty()
    }

    /// Return the slot of an element.
    #[inline]
    fn element(&self, wanted: i64) -> Option<usize> {
        if self.elements.len() > FEW {
            return self.known_elements.get(&wanted).copied();
        }
        let mut elements = self.elements.iter();
        elements
            .find(|(index, _)| *index == wanted)
            .map(|&(_, slot)| slot)
    }
}

impl Scope {
    /// Return a scope of the root alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![TrieNode::default()],
        }
    }

    /// Return the number of slots that a walk fills.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Add a path; return the place where a walk will find it.
    pub fn add(&mut self, path: &[Segment]) -> Place {
        let shared = path
            .iter()
            .position(|segment| matches!(segment, Segment::Each | Segment::KeyOrIndex(..)))
            .unwrap_or(path.len());
        let mut slot = 0;
        for segment in &path[..shared] {
            slot = match segment {
                Segment::Key(key) => self.key(slot, key.as_bytes()),
                Segment::Index(index) => self.element(slot, *index),
                Segment::KeyOrIndex(..) | Segment::Each => break,
            };
        }
        Place {
            slot,
            rest: path[shared..].into(),
        }
    }

    fn key(&mut self, parent: usize, key: &[u8]) -> usize {
        if let Some(child) = self.nodes[parent].keys.get(key) {
            return child;
        }
        let child = self.child(parent, Segment::Key(String::from_utf8_lossy(key).into()));
        self.nodes[parent].keys.insert(key, child);
        child
    }

    fn element(&mut self, parent: usize, index: i64) -> usize {
        if let Some(&child) = self.nodes[parent].known_elements.get(&index) {
            return child;
        }
        let child = self.child(parent, Segment::Index(index));
        self.nodes[parent].elements.push((index, child));
        self.nodes[parent].known_elements.insert(index, child);
        child
    }

    fn child(&mut self, parent: usize, step: Segment) -> usize {
        self.nodes.push(TrieNode {
            step: Some((parent, step)),
            ..TrieNode::default()
        });
        self.nodes.len() - 1
    }

    /// Return the path to a slot from the root.
    #[must_use]
    pub fn path(&self, slot: usize) -> Vec<Segment> {
        let mut path = Vec::new();
        let mut node = &self.nodes[slot];
        while let Some((parent, step)) = &node.step {
            path.push(step.clone());
            node = &self.nodes[*parent];
        }
        path.reverse();
        path
    }

    /// Write the offset of every place into its slot. All slots are [`MISSING`] before.
    #[inline]
    pub fn walk<S: Slots + ?Sized>(
        &self,
        bytes: &[u8],
        at: usize,
        slots: &mut S,
    ) -> Result<(), ValueError> {
        slots.set(0, at);
        if !self.nodes[0].is_leaf() {
            self.visit(0, bytes, at, slots, false)?;
        }
        Ok(())
    }

    /// Visit a node's value. With `to_end`, return the offset after it; without, the result has no meaning.
    fn visit<S: Slots + ?Sized>(
        &self,
        slot: usize,
        bytes: &[u8],
        at: usize,
        slots: &mut S,
        to_end: bool,
    ) -> Result<usize, ValueError> {
        let node = &self.nodes[slot];
        let (token, next) = read(bytes, at)?;
        match token {
            Token::Map(count) if !node.keys.is_empty() => {
                self.visit_map(node, bytes, (next, count), slots, to_end)
            }
            Token::Array(count) if !node.elements.is_empty() => {
                self.visit_array(node, bytes, (next, count), slots, to_end)
            }
            _ if to_end => past(bytes, at),
            _ => Ok(next),
        }
    }

    fn visit_map<S: Slots + ?Sized>(
        &self,
        node: &TrieNode,
        bytes: &[u8],
        (mut at, count): (usize, u32),
        slots: &mut S,
        to_end: bool,
    ) -> Result<usize, ValueError> {
        let mut wanted = node.keys.len();
        for _ in 0..count {
            let (key, value) = key(bytes, at)?;
            let child = match key {
                Some(key) if wanted > 0 => node
                    .keys
                    .get(key)
                    .filter(|&child| slots.get(child) == MISSING),
                _ => None,
            };
            let Some(child) = child else {
                at = past(bytes, value)?;
                continue;
            };
            slots.set(child, value);
            wanted -= 1;
            let goes_on = to_end || wanted > 0;
            if self.nodes[child].is_leaf() {
                if !goes_on {
                    return Ok(value);
                }
                at = past(bytes, value)?;
            } else {
                at = self.visit(child, bytes, value, slots, goes_on)?;
                if !goes_on {
                    return Ok(at);
                }
            }
        }
        Ok(at)
    }

    fn visit_array<S: Slots + ?Sized>(
        &self,
        node: &TrieNode,
        bytes: &[u8],
        (mut at, count): (usize, u32),
        slots: &mut S,
        to_end: bool,
    ) -> Result<usize, ValueError> {
        let length = i64::from(count);
        let place = |index: i64| if index < 0 { index + length } else { index };
        let inside = |index: i64| (0..length).contains(&index);
        let last = node
            .elements
            .iter()
            .map(|&(index, _)| place(index))
            .filter(|&index| inside(index))
            .max();
        for index in 0..length {
            if last.is_none_or(|last| index > last) {
                if !to_end {
                    return Ok(at);
                }
                at = past(bytes, at)?;
                continue;
            }
            let mut end = None;
            // Counted from the front, and from the end.
            for wanted in [index, index - length] {
                let Some(child) = node.element(wanted) else {
                    continue;
                };
                slots.set(child, at);
                if !self.nodes[child].is_leaf() {
                    end = Some(self.visit(child, bytes, at, slots, true)?);
                }
            }
            at = match end {
                Some(end) => end,
                None => past(bytes, at)?,
            };
        }
        Ok(at)
    }
}
