//! Negation normal form: `not` only before what cannot be taken apart, `all_of` never directly within `all_of`.

use crate::conditions::predicate::Predicate;
use crate::conditions::{Leaf, Node};

/// The same condition in normal form. Recurses as deeply as the condition is nested, which its compiler bounded.
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
        Node::AnyElement(_) => node,
        // De Morgan: under a negation the one becomes the other.
        Node::All(parts) if negated => any(parts, true),
        Node::All(parts) => all(parts, false),
        Node::Any(parts) if negated => all(parts, true),
        Node::Any(parts) => any(parts, false),
    }
}

fn all(parts: Box<[Node]>, negated: bool) -> Node {
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
    let mut at = 0;
    while at < parts.len() {
        let partner = (at + 1..parts.len()).find_map(|other| {
            let fused = fused(&parts[at], &parts[other])?;
            Some((other, fused))
        });
        if let Some((other, fused)) = partner {
            parts.swap_remove(other);
            parts[at] = Node::Leaf(Box::new(fused));
        }
        at += 1;
    }
}

/// Both at once, if they are bounds on one place. Not under a wildcard: there each bound may hold for another element.
fn fused(one: &Node, two: &Node) -> Option<Leaf> {
    let (Node::Leaf(one), Node::Leaf(two)) = (one, two) else {
        return None;
    };
    let (Predicate::Within(first), Predicate::Within(second)) = (&one.predicate, &two.predicate)
    else {
        return None;
    };
    if one.place != two.place || !one.place.rest.is_empty() || one.negated || two.negated {
        return None;
    }
    Some(Leaf {
        place: one.place.clone(),
        predicate: Predicate::Within(first.fused(second)?),
        negated: false,
    })
}
