//! The built-in operators: a list of names, each with the function that compiles its value.

use std::sync::Arc;

use super::choices::Choices;
use super::finding::{Code, Findings};
use super::interval::{Interval, Side};
use super::kind::Kinds;
use super::length::Length;
use super::literal::Literal;
use super::network::Networks;
use super::pattern::{Pattern, PatternMemory};
use super::predicate::Predicate;
use super::source::Source;
use super::suggest::nearest;
use super::text::{Affixes, Contains, End};

/// Compiled form of an operator: the predicate, and true if its answer is negated.
pub type Question = (Predicate, bool);

/// Compiler of an operator's value: `None`, and at least one finding, if it cannot be read.
type Build = fn(&Source, &mut PatternMemory, &mut Findings) -> Option<Question>;

/// An operator.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// Name in conditions.
    pub name: &'static str,
    /// True if its value may be absent, which then means true.
    pub is_flag: bool,
    build: Build,
}

impl Operator {
    /// Compile the operator's value. A pattern takes its memory from `patterns`.
    #[must_use]
    pub fn build(
        &self,
        value: &Source,
        patterns: &mut PatternMemory,
        findings: &mut Findings,
    ) -> Option<Question> {
        (self.build)(value, patterns, findings)
    }
}

const fn operator(name: &'static str, build: Build) -> Operator {
    Operator {
        name,
        is_flag: false,
        build,
    }
}

const fn flag(name: &'static str, build: Build) -> Operator {
    Operator {
        name,
        is_flag: true,
        build,
    }
}

/// Every built-in operator.
pub const BUILT_IN: [Operator; 18] = [
    operator("eq", |value, _, findings| equal(value, false, findings)),
    operator("neq", |value, _, findings| equal(value, true, findings)),
    operator("gt", |value, _, findings| {
        side(value, Side::Above, false, "gt", findings)
    }),
    operator("gte", |value, _, findings| {
        side(value, Side::Above, true, "gte", findings)
    }),
    operator("lt", |value, _, findings| {
        side(value, Side::Below, false, "lt", findings)
    }),
    operator("lte", |value, _, findings| {
        side(value, Side::Below, true, "lte", findings)
    }),
    operator("between", |value, _, findings| {
        Some((
            Predicate::Within(Arc::new(Interval::compile_between(value, findings)?)),
            false,
        ))
    }),
    operator("in", |value, _, findings| {
        one_of(value, false, "in", findings)
    }),
    operator("not_in", |value, _, findings| {
        one_of(value, true, "not_in", findings)
    }),
    operator("contains", |value, _, findings| {
        let literal = Literal::compile(value, findings)?;
        Some((Predicate::Contains(Box::new(Contains::new(literal))), false))
    }),
    operator("starts_with", |value, _, findings| {
        affixes(value, End::Start, "starts_with", findings)
    }),
    operator("ends_with", |value, _, findings| {
        affixes(value, End::End, "ends_with", findings)
    }),
    operator("matches", |value, patterns, findings| match value {
        Source::Str(text) => {
            let pattern = Pattern::compile(text, patterns, findings)?;
            Some((Predicate::Matches(Box::new(pattern)), false))
        }
        other => {
            let problem = format!(
                "matches takes a pattern as a string, not {}",
                other.describe()
            );
            findings.report(
                Code::WrongType,
                problem,
                "write a regular expression in quotes",
            );
            None
        }
    }),
    flag("exists", |value, _, findings| {
        boolean(value, Predicate::Exists, "exists", findings)
    }),
    flag("is_null", |value, _, findings| {
        boolean(value, Predicate::Nil, "is_null", findings)
    }),
    operator("type_is", |value, _, findings| {
        Some((Predicate::Kind(Kinds::compile(value, findings)?), false))
    }),
    operator("length", |value, _, findings| {
        Some((Predicate::Length(Length::compile(value, findings)?), false))
    }),
    operator("cidr", |value, _, findings| {
        Some((
            Predicate::Network(Networks::compile(value, findings)?),
            false,
        ))
    }),
];

/// Return the built-in operator of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static Operator> {
    BUILT_IN.iter().find(|operator| operator.name == name)
}

/// Return the operator that an author probably meant by an unknown name.
#[must_use]
pub fn meant<'a>(name: &str, custom: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = match name.to_lowercase().as_str() {
        "=" | "==" | "===" | "is" | "equal" | "equals" => "eq",
        "!=" | "<>" | "ne" | "not_eq" | "not_equal" | "not_equals" => "neq",
        ">" | "greater_than" | "above" => "gt",
        ">=" | "ge" | "min" | "at_least" => "gte",
        "<" | "less_than" | "below" => "lt",
        "<=" | "le" | "max" | "at_most" => "lte",
        "range" => "between",
        "one_of" | "any" => "in",
        "nin" | "none_of" => "not_in",
        "includes" | "has" | "substring" => "contains",
        "prefix" => "starts_with",
        "suffix" => "ends_with",
        "regex" | "regexp" | "re" | "=~" | "~" | "like" => "matches",
        "present" | "defined" | "not_exists" | "missing" => "exists",
        "null" | "none" | "nil" | "isnull" => "is_null",
        "type" | "isinstance" => "type_is",
        "len" | "size" | "count" => "length",
        "network" | "ip" | "subnet" => "cidr",
        _ => {
            return nearest(
                name,
                BUILT_IN.iter().map(|operator| operator.name).chain(custom),
            );
        }
    };
    Some(known)
}

fn equal(value: &Source, negated: bool, findings: &mut Findings) -> Option<Question> {
    Some((
        Predicate::Equal(Literal::compile(value, findings)?),
        negated,
    ))
}

fn side(
    value: &Source,
    side: Side,
    inclusive: bool,
    name: &str,
    findings: &mut Findings,
) -> Option<Question> {
    let interval = Interval::compile_side(value, side, inclusive, name, findings)?;
    Some((Predicate::Within(Arc::new(interval)), false))
}

fn one_of(value: &Source, negated: bool, name: &str, findings: &mut Findings) -> Option<Question> {
    if !matches!(value, Source::List(_)) {
        findings.report(
            Code::WrongType,
            format!("{name} takes a list, not {}", value.describe()),
            "write [a, b]; to compare with one value write eq or neq",
        );
        return None;
    }
    match Literal::compile(value, findings)? {
        Literal::Array(literals) => {
            Some((Predicate::OneOf(Box::new(Choices::new(literals))), negated))
        }
        _ => None,
    }
}

fn affixes(value: &Source, end: End, name: &str, findings: &mut Findings) -> Option<Question> {
    let texts = match value {
        Source::List(items) if items.is_empty() => {
            findings.report(
                Code::Empty,
                format!("the list of {name} is empty, so nothing matches"),
                "name a text",
            );
            return None;
        }
        Source::List(items) => {
            let read: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| findings.at(index, |findings| affix(item, name, findings)))
                .collect();
            read.into_iter().collect::<Option<_>>()?
        }
        other => vec![affix(other, name, findings)?],
    };
    Some((Predicate::Affixes(Affixes { end, texts }), false))
}

fn affix(value: &Source, name: &str, findings: &mut Findings) -> Option<Arc<str>> {
    if let Source::Str(text) = value {
        return Some(Arc::clone(text));
    }
    let problem = format!(
        "{name} takes a string or a list of strings, not {}",
        value.describe()
    );
    findings.report(Code::WrongType, problem, "put it in quotes");
    None
}

fn boolean(
    value: &Source,
    predicate: Predicate,
    name: &str,
    findings: &mut Findings,
) -> Option<Question> {
    if let Source::Bool(wanted) = value {
        return Some((predicate, !wanted));
    }
    findings.report(
        Code::WrongType,
        format!("{name} takes true or false, not {}", value.describe()),
        "write true or false, or leave the value out for true",
    );
    None
}
