//! The keys of a condition: which form it has, which are missing, and which one was meant by a misspelt one.

use super::finding::{Code, Findings};
use super::source::{Source, quote};
use super::suggest::nearest;

/// The forms of a condition that hold other conditions.
const COMBINATORS: [&str; 4] = ["all_of", "any_of", "not", "any_element"];
/// The keys of a leaf; all but the last are always required.
pub const LEAF_KEYS: [&str; 3] = ["field", "operator", "value"];
/// The keys of an `any_element`; both are required.
pub const ELEMENT_KEYS: [&str; 2] = ["field", "condition"];

/// A form of a condition.
pub enum Shape<'s> {
    /// A question about a field.
    Leaf,
    /// A combinator's name and what it holds.
    Combinator(&'static str, &'s Source),
}

/// Return the form of a condition.
pub fn shape<'s>(entries: &'s [(Source, Source)], findings: &mut Findings) -> Option<Shape<'s>> {
    let mut combinators = entries.iter().filter_map(|(key, value)| match key {
        Source::Str(key) => COMBINATORS
            .iter()
            .find(|name| **name == &**key)
            .map(|name| (*name, value)),
        _ => None,
    });
    if let Some((name, value)) = combinators.next() {
        let mut sound = true;
        for other in keys(entries).filter(|key| *key != name) {
            sound = false;
            if COMBINATORS.contains(&other) || LEAF_KEYS.contains(&other) {
                findings.under(other.to_owned(), |findings| {
                    findings.report(
                        Code::NotACondition,
                        format!("{name} and {other} stand in one mapping: it is one condition or the other"),
                        "make each a condition of its own and join them with all_of",
                    );
                });
            } else {
                unknown_key(other, &[], findings);
            }
        }
        return sound.then_some(Shape::Combinator(name, value));
    }
    if keys(entries).any(|key| LEAF_KEYS.contains(&key)) {
        return Some(Shape::Leaf);
    }
    if entries.is_empty() {
        findings.report(
            Code::NotACondition,
            "the condition is empty",
            "write {field, operator, value}, or remove it: without a condition everything passes",
        );
    }
    let known: Vec<&str> = COMBINATORS.iter().chain(&LEAF_KEYS).copied().collect();
    for key in keys(entries) {
        unknown_key(key, &known, findings);
    }
    None
}

/// Check that the mapping has every required key and no unknown one.
pub fn check_keys(
    entries: &[(Source, Source)],
    known: &[&str],
    required: &[&str],
    what: &str,
    findings: &mut Findings,
) -> bool {
    let mut missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|name| get(entries, name).is_none())
        .collect();
    let mut sound = keys(entries).count() == entries.len();
    for key in keys(entries).filter(|key| !known.contains(key)) {
        sound = false;
        // A misspelt key is one finding: the key that was meant is not reported as missing, too.
        let meant = nearest(key, missing.iter().copied());
        unknown_key(
            key,
            if meant.is_some() { &missing } else { known },
            findings,
        );
        missing.retain(|name| Some(*name) != meant);
    }
    for key in missing {
        sound = false;
        findings.report(
            Code::MissingKey,
            format!("{what} needs {key}"),
            match key {
                "field" => {
                    r#"write the path of the field, as "a.b"; "@" is the whole message or element"#
                }
                "operator" => "write one, as eq, gt, in, contains, matches or exists",
                "value" => "write what to compare with; null is a value too",
                _ => "write the condition that an element must satisfy",
            },
        );
    }
    sound
}

/// Return the part under a key.
pub fn get<'s>(entries: &'s [(Source, Source)], name: &str) -> Option<&'s Source> {
    entries
        .iter()
        .find(|(key, _)| matches!(key, Source::Str(key) if **key == *name))
        .map(|(_, value)| value)
}

/// Return the keys that are strings.
fn keys(entries: &[(Source, Source)]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|(key, _)| match key {
        Source::Str(key) => Some(&**key),
        _ => None,
    })
}

/// Report the keys that are not strings.
pub fn refuse_other_keys(entries: &[(Source, Source)], findings: &mut Findings) {
    for (key, _) in entries {
        if !matches!(key, Source::Str(_)) {
            findings.report(
                Code::UnknownKey,
                format!("the keys of a condition are strings, not {}", key.describe()),
                "the keys are field, operator and value, or one of all_of, any_of, not and any_element",
            );
        }
    }
}

fn unknown_key(key: &str, candidates: &[&str], findings: &mut Findings) {
    let remedy = match nearest(key, candidates.iter().copied()) {
        Some(known) => format!("did you mean {known}?"),
        None if candidates.is_empty() => "remove it".to_owned(),
        None => format!("the keys here are {}", candidates.join(", ")),
    };
    findings.under(key.to_owned(), |findings| {
        findings.report(
            Code::UnknownKey,
            format!("{} is not a key of a condition", quote(key)),
            remedy,
        );
    });
}
