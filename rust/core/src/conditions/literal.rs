//! Literals: the values that conditions compare fields with, read from the author's configuration.
//!
//! JSON and YAML have no notation for bytes and instants, so two tags denote them: `{"$bin": base64}` and
//! `{"$timestamp": RFC 3339}`. NaN is refused everywhere, because it equals nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::{Code, Findings};
use super::number::NumberLiteral;
use super::source::{Source, quote};
use super::suggest::nearest;
use super::{base64, instant};

/// Greatest depth of a literal: that of a message.
const MAX_DEPTH: usize = 128;

const TAGS: [&str; 2] = ["$bin", "$timestamp"];

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// A number of any type.
    Number(NumberLiteral),
    /// Text, compared byte by byte: no normalisation.
    Str(Arc<str>),
    /// Bytes.
    Bin(Arc<[u8]>),
    /// Equal elements in the same order.
    Array(Vec<Literal>),
    /// The same keys with equal values, in whatever order.
    Map(BTreeMap<Box<str>, Literal>),
    /// Seconds since the Unix epoch, and nanoseconds forward from there.
    Timestamp(i64, u32),
    /// An application's extension.
    Ext(i8, Box<[u8]>),
}

impl Literal {
    /// Read a literal; add every problem of it to the findings.
    #[must_use]
    pub fn compile(source: &Source, findings: &mut Findings) -> Option<Self> {
        compile(source, 0, findings)
    }
}

fn compile(source: &Source, depth: usize, findings: &mut Findings) -> Option<Literal> {
    if depth > MAX_DEPTH || matches!(source, Source::Excess) {
        findings.report(
            Code::TooLarge,
            format!("the value is nested deeper than {MAX_DEPTH} levels"),
            "no message is that deep: compare a part of it",
        );
        return None;
    }
    Some(match source {
        Source::Nil => Literal::Nil,
        Source::Bool(value) => Literal::Bool(*value),
        Source::Int(integer) => Literal::Number(NumberLiteral::from_integer(integer)),
        Source::Float(number) if number.is_nan() => {
            findings.report(
                Code::WrongType,
                "NaN equals nothing and is above and below nothing",
                "to ask whether a field is a number at all, write type_is",
            );
            return None;
        }
        Source::Float(number) => Literal::Number(NumberLiteral::Float(*number)),
        Source::Str(text) => Literal::Str(Arc::clone(text)),
        Source::Bin(data) => Literal::Bin(data.as_slice().into()),
        Source::Timestamp(seconds, nanoseconds) => Literal::Timestamp(*seconds, *nanoseconds),
        Source::Ext(code, data) => Literal::Ext(*code, data.as_slice().into()),
        Source::List(items) => {
            // Every element is read, so that every problem is reported.
            let read: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    findings.at(index, |findings| compile(item, depth + 1, findings))
                })
                .collect();
            Literal::Array(read.into_iter().collect::<Option<_>>()?)
        }
        Source::Map(entries) => return map(entries, depth, findings),
        Source::Foreign(name) => {
            findings.report(
                Code::WrongType,
                format!("no message carries a {name}"),
                r#"write null, a boolean, number, string, list or mapping, {"$bin": "<base64>"} or {"$timestamp": "2026-01-31T12:00:00Z"}"#,
            );
            return None;
        }
        Source::Excess => return None, // reported above
    })
}

fn map(entries: &[(Source, Source)], depth: usize, findings: &mut Findings) -> Option<Literal> {
    if let Some(tag) = entries.iter().find_map(|(key, _)| match key {
        Source::Str(key) if key.starts_with('$') => Some(key),
        _ => None,
    }) {
        return tagged(tag, entries, findings);
    }
    let mut read = BTreeMap::new();
    let mut complete = true;
    for (key, value) in entries {
        let Source::Str(key) = key else {
            findings.report(
                Code::WrongType,
                format!(
                    "the keys of a message's maps are strings, not {}",
                    key.describe()
                ),
                "put the key in quotes",
            );
            complete = false;
            continue;
        };
        match findings.under(key.to_string(), |findings| {
            compile(value, depth + 1, findings)
        }) {
            Some(value) => {
                read.insert((&**key).into(), value);
            }
            None => complete = false,
        }
    }
    complete.then_some(Literal::Map(read))
}

fn tagged(tag: &str, entries: &[(Source, Source)], findings: &mut Findings) -> Option<Literal> {
    let refuse = |findings: &mut Findings, problem: String, remedy: &str| {
        findings.report(Code::InvalidTag, problem, remedy);
        None
    };
    if !TAGS.contains(&tag) {
        let remedy = match nearest(tag, TAGS) {
            Some(known) => format!("did you mean {known}?"),
            None => "keys of a literal mapping may not begin with $, except the lone $bin and $timestamp".to_owned(),
        };
        return refuse(findings, format!("{} is not a tag", quote(tag)), &remedy);
    }
    let [(_, value)] = entries else {
        return refuse(
            findings,
            format!("{tag} stands beside other keys"),
            "a tagged literal is a mapping of that one key",
        );
    };
    findings.under(tag.to_owned(), |findings| {
        let Source::Str(text) = value else {
            return refuse(
                findings,
                format!("{tag} takes a string, not {}", value.describe()),
                "write it in quotes",
            );
        };
        if tag == "$bin" {
            match base64::decode(text) {
                Some(data) => Some(Literal::Bin(data.into())),
                None => refuse(
                    findings,
                    format!("{} is not base64", quote(text)),
                    "write the standard alphabet with its padding, as in \"aGk=\"",
                ),
            }
        } else {
            match instant::parse(text) {
                Some((seconds, nanoseconds)) => Some(Literal::Timestamp(seconds, nanoseconds)),
                None => refuse(
                    findings,
                    format!("{} is not an RFC 3339 instant", quote(text)),
                    "write date, time and offset, as in 2026-01-31T12:00:00.5Z or 2026-01-31T13:00:00+01:00",
                ),
            }
        }
    })
}
