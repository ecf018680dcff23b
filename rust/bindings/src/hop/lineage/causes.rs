//! `CauseNode`: a condition in parts, to find the one that did not hold for a message.
//!
//! Kept separate from the compiled condition, which is arranged for speed and knows no rules. This one is evaluated for
//! skipped stages that are recorded, when they are written, and never by the loop.

use factflow_core::conditions::{
    Body, BuiltInOnly, FieldLocator, MAX_PATTERNS_BYTES, NoOperators, compile,
};
use factflow_core::value::{Token, excerpt, quote, read};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::showing::ShownValues;
use crate::conditions::SourceReader;

/// Most characters that are shown of what a message had.
const MOST_SHOWN: usize = 200;

/// A part of a condition.
pub enum CauseNode {
    All(Vec<CauseNode>),
    Any(Vec<CauseNode>),
    Not(Box<CauseNode>),
    Leaf(Box<CauseLeaf>),
}

/// A question about a field.
pub struct CauseLeaf {
    /// None: an operator of a user's own, whose code is not run again.
    body: Option<Body>,
    /// Place of the field, if it is one.
    field: Option<FieldLocator>,
    /// Members of a JSON object that say the question: field, operator and value.
    text: String,
}

/// Text of a part that decided, without the object's braces.
struct Found<'a> {
    leaf: &'a CauseLeaf,
    /// True if it holds, and a `not` around it made the condition false.
    is_negated: bool,
}

impl CauseNode {
    /// Read a part: a tuple of `"all"` or `"any"` and parts, of `"not"` and a part, or of `"leaf"`, its mapping, its field
    /// and its text.
    pub fn read(part: &Bound<'_, PyAny>) -> PyResult<Self> {
        let part = part.cast::<PyTuple>()?;
        let kind: String = part.get_item(0)?.extract()?;
        let inside = part.get_item(1)?;
        let parts = || -> PyResult<Vec<Self>> {
            inside
                .try_iter()?
                .map(|part| Self::read(&part?))
                .collect::<PyResult<_>>()
        };
        Ok(match kind.as_str() {
            "all" => Self::All(parts()?),
            "any" => Self::Any(parts()?),
            "not" => Self::Not(Box::new(Self::read(&inside)?)),
            _ => {
                let (_, source, field, text): (String, Bound<'_, PyAny>, Option<String>, String) =
                    part.extract()?;
                let tree = SourceReader::default().read(&source)?;
                let body = compile(&tree, &mut NoOperators, &mut { MAX_PATTERNS_BYTES });
                Self::Leaf(Box::new(CauseLeaf {
                    body: body.ok().map(|(body, _)| body),
                    field: field.and_then(|field| FieldLocator::parse(&field).ok()),
                    text,
                }))
            }
        })
    }

    /// Return the reason why the condition does not hold, as JSON; None if no part of it says so.
    pub fn explain(&self, payload: &[u8], rules: &ShownValues) -> Option<String> {
        let Found { leaf, is_negated } = self.find(payload, false)?;
        let mut text = format!("{{{}", leaf.text);
        if is_negated {
            text.push_str(",\"negated\":true");
        }
        let found = leaf.field.as_ref().map(|field| field.find(payload));
        match found {
            Some(Ok(Some(value))) if rules.shows => {
                text.push_str(",\"actual\":");
                shown(value, rules, &mut text);
            }
            Some(Ok(None)) => text.push_str(",\"missing\":true"),
            _ => {}
        }
        text.push('}');
        Some(text)
    }

    /// Return the first part that makes this one `wanted`, if this one is.
    fn find(&self, payload: &[u8], wanted: bool) -> Option<Found<'_>> {
        match self {
            Self::Not(part) => part.find(payload, !wanted),
            Self::All(parts) | Self::Any(parts) => {
                // One that is known to decide comes before one that a user's own operator decides.
                let mut unknown = None;
                for part in parts {
                    match part.holds(payload) {
                        Some(holds) if holds == wanted => return part.find(payload, wanted),
                        None if unknown.is_none() => unknown = Some(part),
                        _ => {}
                    }
                }
                unknown.and_then(|part| part.find(payload, wanted))
            }
            Self::Leaf(leaf) => match self.holds(payload) {
                Some(holds) if holds != wanted => None,
                _ => Some(Found {
                    leaf,
                    is_negated: wanted,
                }),
            },
        }
    }

    /// True if the part holds; None if only a user's own operator knows.
    fn holds(&self, payload: &[u8]) -> Option<bool> {
        match self {
            Self::All(parts) => over(parts, payload, false),
            Self::Any(parts) => over(parts, payload, true),
            Self::Not(part) => part.holds(payload).map(|holds| !holds),
            Self::Leaf(leaf) => leaf.body.as_ref()?.holds(payload, 0, &BuiltInOnly).ok(),
        }
    }
}

/// Write a value as JSON, bounded and without secrets.
fn shown(value: &[u8], rules: &ShownValues, out: &mut String) {
    if let Ok((Token::Str(data), _)) = read(value, 0) {
        let text = String::from_utf8_lossy(data);
        quote(&rules.hidden(&text, MOST_SHOWN), MOST_SHOWN, out);
        return;
    }
    let Ok(text) = excerpt(value, 0, MOST_SHOWN) else {
        out.push_str("null");
        return;
    };
    let hidden = rules.hidden(&text, usize::MAX);
    if hidden == text {
        out.push_str(&text);
    } else {
        quote(&hidden, usize::MAX, out);
    }
}

/// Return the value of several parts of which one that is `decisive` decides.
fn over(parts: &[CauseNode], payload: &[u8], decisive: bool) -> Option<bool> {
    let mut known = Some(!decisive);
    for part in parts {
        match part.holds(payload) {
            Some(holds) if holds == decisive => return Some(decisive),
            None => known = None,
            Some(_) => {}
        }
    }
    known
}
