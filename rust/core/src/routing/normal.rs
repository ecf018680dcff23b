//! Negation normal form: `not` only before what cannot be taken apart, `all_of` never directly within `all_of`.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::conditions::predicate::Predicate;
use crate::conditions::{Leaf, Node, Place};

/// Most bounds on one place that are tried as partners of another bound.
const MOST_PARTNERS: usize = 4;

/// Return the same condition in normal form. Recurses as deeply as the condition is nested, which its compiler bounded.
pub fn normalise(node: Node) -> Node {
    under(node, false)
}

fn under(node: Node, negated: bool) -> Node {
    match node {
        Node::Leaf(mut leaf) => {
            leaf.negated ^= negated;
            Node::Leaf(leaf)
        }
        Node::Not(inner) => under(*inner, !negated),
        Node::AnyElement(_) if negated => Node::Not(Box::new(node)),
        Node::AnyElement(mut any) => {
            any.body.node = under(any.body.node, false);
            Node::AnyElement(any)
        }
        // De Morgan: under a negation `all_of` becomes `any_of`, and the other way round.
        Node::All(parts) if negated => any(parts, true),
        Node::All(parts) => all(parts, false),
        Node::Any(parts) if negated => all(parts, true),
        Node::Any(parts) => any(parts, false),
    }
}

fn all(parts: Box<[Node]>, negated: bool) -> Node {
    if !negated && is_normal(&parts) {
        return Node::All(parts);
    }
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match under(part, negated) {
            Node::All(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    fuse(&mut flat);
    single(flat, Node::All)
}

/// True if the parts of an `all_of` are in normal form already, as those of most rules are.
fn is_normal(parts: &[Node]) -> bool {
    let mut bounds = 0;
    parts.len() > 1
        && parts.iter().all(|part| {
            bounds += usize::from(bounded(part).is_some());
            matches!(part, Node::Leaf(_)) && bounds < 2
        })
}

fn any(parts: Box<[Node]>, negated: bool) -> Node {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match under(part, negated) {
            Node::Any(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    single(flat, Node::Any)
}

fn single(mut parts: Vec<Node>, make: fn(Box<[Node]>) -> Node) -> Node {
    match parts.len() {
        1 => parts.remove(0),
        _ => make(parts.into()),
    }
}

/// A lower and an upper bound on one place become one interval, which is rarer than either.
fn fuse(parts: &mut Vec<Node>) {
    // By place: bounds that have no partner yet. All of them are of one side, or of kinds that do not go together.
    let mut single: HashMap<Place, Vec<usize>, FxBuildHasher> = HashMap::default();
    let mut kept: Vec<Node> = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        let Some(place) = bounded(&part).cloned() else {
            kept.push(part);
            continue;
        };
        let waiting = single.entry(place).or_default();
        // The latest suffices, but for bounds of several kinds, which no value satisfies: a few are looked at.
        let partner = waiting
            .iter()
            .enumerate()
            .rev()
            .take(MOST_PARTNERS)
            .find_map(|(at, &other)| Some((at, other, fused(&kept[other], &part)?)));
        if let Some((at, other, fused)) = partner {
            waiting.swap_remove(at);
            kept[other] = Node::Leaf(Box::new(fused));
        } else {
            waiting.push(kept.len());
            kept.push(part);
        }
    }
    *parts = kept;
}

/// Return the place of a part that is an interval; none under a wildcard, where each bound may hold for another
/// element.
fn bounded(part: &Node) -> Option<&Place> {
    let Node::Leaf(leaf) = part else {
        return None;
    };
    let is_bound = matches!(leaf.predicate, Predicate::Within(_))
        && leaf.place.rest.is_empty()
        && !leaf.negated;
    is_bound.then_some(&leaf.place)
}

/// Return the interval of two bounds on one place, if one is a lower and one an upper bound.
fn fused(one: &Node, two: &Node) -> Option<Leaf> {
    let (Node::Leaf(one), Node::Leaf(two)) = (one, two) else {
        return None;
    };
    let (Predicate::Within(first), Predicate::Within(second)) = (&one.predicate, &two.predicate)
    else {
        return None;
    };
    Some(Leaf {
        place: one.place.clone(),
        predicate: Predicate::Within(Arc::new(first.fused(second)?)),
        negated: false,
    })
}
