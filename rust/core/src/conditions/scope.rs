//! Finds every place that some conditions ask about, in one walk over a message.
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
use crate::value::{Error, Token, read, skip};

/// A slot whose value is not in the message.
pub const MISSING: usize = usize::MAX;

/// Up to this many keys of one map are compared one by one.
const FEW_KEYS: usize = 6;

/// A place in a message: a slot of the walk, and what remains of the path from there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where the part before the first wildcard is found.
    pub slot: usize,
    /// From the first wildcard on; empty for most paths.
    pub rest: Box<[Segment]>,
}

/// The trie of all paths from one root.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    nodes: Vec<Node>,
}

/// A node's slot is its place in [`Scope::nodes`]; the root is 0.
#[derive(Clone, Debug, Default)]
struct Node {
    keys: Vec<(Box<[u8]>, usize)>,
    /// The same, once there are more than [`FEW_KEYS`].
    by_key: HashMap<Box<[u8]>, usize, FxBuildHasher>,
    elements: Vec<(i64, usize)>,
}

impl Node {
    #[inline]
    fn child(&self, key: &[u8]) -> Option<usize> {
        if self.by_key.is_empty() {
            return self
                .keys
                .iter()
                .find(|(name, _)| **name == *key)
                .map(|&(_, child)| child);
        }
        self.by_key.get(key).copied()
    }

    #[inline]
    fn is_leaf(&self) -> bool {
        self.keys.is_empty() && self.elements.is_empty()
    }
}

impl Scope {
    /// A scope that finds nothing but its root.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// Number of slots that a walk fills.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a path, and says where a walk will find it.
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
        if let Some(child) = self.nodes[parent].child(key) {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        let node = &mut self.nodes[parent];
        node.keys.push((key.into(), child));
        if node.keys.len() > FEW_KEYS {
            node.by_key.extend(node.keys.iter().cloned());
        }
        child
    }

    fn element(&mut self, parent: usize, index: i64) -> usize {
        if let Some(&(_, child)) = self.nodes[parent]
            .elements
            .iter()
            .find(|(known, _)| *known == index)
        {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[parent].elements.push((index, child));
        child
    }

    /// Writes the offset of every place into its slot. All slots are [`MISSING`] before.
    #[inline]
    pub fn walk(&self, bytes: &[u8], at: usize, slots: &mut [usize]) -> Result<(), Error> {
        slots[0] = at;
        if !self.nodes[0].is_leaf() {
            self.visit(0, bytes, at, slots, false)?;
        }
        Ok(())
    }

    /// Visits a node's value. The offset after it is returned, and only then right, if `to_end` asks for it.
    fn visit(
        &self,
        slot: usize,
        bytes: &[u8],
        at: usize,
        slots: &mut [usize],
        to_end: bool,
    ) -> Result<usize, Error> {
        let node = &self.nodes[slot];
        let (token, next) = read(bytes, at)?;
        match token {
            Token::Map(count) if !node.keys.is_empty() => {
                self.visit_map(node, bytes, (next, count), slots, to_end)
            }
            Token::Array(count) if !node.elements.is_empty() => {
                self.visit_array(node, bytes, (next, count), slots, to_end)
            }
            _ if to_end => skip(bytes, at),
            _ => Ok(next),
        }
    }

    fn visit_map(
        &self,
        node: &Node,
        bytes: &[u8],
        (mut at, count): (usize, u32),
        slots: &mut [usize],
        to_end: bool,
    ) -> Result<usize, Error> {
        let mut wanted = node.keys.len();
        for _ in 0..count {
            let (key, value) = read(bytes, at)?;
            let child = match key {
                Token::Str(key) if wanted > 0 => {
                    node.child(key).filter(|&child| slots[child] == MISSING)
                }
                Token::Array(_) | Token::Map(_) => {
                    at = skip(bytes, skip(bytes, at)?)?;
                    continue;
                }
                _ => None,
            };
            let Some(child) = child else {
                at = skip(bytes, value)?;
                continue;
            };
            slots[child] = value;
            wanted -= 1;
            let goes_on = to_end || wanted > 0;
            if self.nodes[child].is_leaf() {
                if !goes_on {
                    return Ok(value);
                }
                at = skip(bytes, value)?;
            } else {
                at = self.visit(child, bytes, value, slots, goes_on)?;
                if !goes_on {
                    return Ok(at);
                }
            }
        }
        Ok(at)
    }

    fn visit_array(
        &self,
        node: &Node,
        bytes: &[u8],
        (mut at, count): (usize, u32),
        slots: &mut [usize],
        to_end: bool,
    ) -> Result<usize, Error> {
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
                at = skip(bytes, at)?;
                continue;
            }
            let mut end = None;
            for &(wanted, child) in &node.elements {
                if place(wanted) == index {
                    slots[child] = at;
                    if !self.nodes[child].is_leaf() {
                        end = Some(self.visit(child, bytes, at, slots, true)?);
                    }
                }
            }
            at = match end {
                Some(end) => end,
                None => skip(bytes, at)?,
            };
        }
        Ok(at)
    }
}

impl Place {
    /// Whether the place is in the message and `test` holds there; if the path has wildcards, for one of its places.
    #[inline]
    pub fn any<E: From<Error>>(
        &self,
        bytes: &[u8],
        slots: &[usize],
        mut test: impl FnMut(usize) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let at = slots[self.slot];
        if at == MISSING {
            return Ok(false);
        }
        if self.rest.is_empty() {
            return test(at);
        }
        resolve(&self.rest, bytes, at, &mut test)
    }
}

/// Follows the segments from `at`, to every element where one says so, until `test` holds.
///
/// Recurses once a segment. A byte is looked at once more for each wildcard of the path.
fn resolve<E: From<Error>>(
    segments: &[Segment],
    bytes: &[u8],
    at: usize,
    test: &mut dyn FnMut(usize) -> Result<bool, E>,
) -> Result<bool, E> {
    let Some((segment, rest)) = segments.split_first() else {
        return test(at);
    };
    let (token, next) = read(bytes, at)?;
    let found = match (segment, token) {
        (Segment::Key(key) | Segment::KeyOrIndex(key, _), Token::Map(count)) => {
            find_key(bytes, next, count, key.as_bytes())?
        }
        (Segment::Index(index) | Segment::KeyOrIndex(_, index), Token::Array(count)) => {
            find_element(bytes, next, count, *index)?
        }
        (Segment::Each, Token::Array(count)) => {
            let mut at = next;
            for _ in 0..count {
                if resolve(rest, bytes, at, test)? {
                    return Ok(true);
                }
                at = skip(bytes, at)?;
            }
            None
        }
        _ => None,
    };
    match found {
        Some(at) => resolve(rest, bytes, at, test),
        None => Ok(false),
    }
}

fn find_key(
    bytes: &[u8],
    mut at: usize,
    count: u32,
    wanted: &[u8],
) -> Result<Option<usize>, Error> {
    for _ in 0..count {
        let (key, _) = read(bytes, at)?;
        let value = skip(bytes, at)?;
        if matches!(key, Token::Str(key) if key == wanted) {
            return Ok(Some(value));
        }
        at = skip(bytes, value)?;
    }
    Ok(None)
}

fn find_element(
    bytes: &[u8],
    mut at: usize,
    count: u32,
    index: i64,
) -> Result<Option<usize>, Error> {
    let index = if index < 0 {
        index + i64::from(count)
    } else {
        index
    };
    if !(0..i64::from(count)).contains(&index) {
        return Ok(None);
    }
    for _ in 0..index {
        at = skip(bytes, at)?;
    }
    Ok(Some(at))
}
