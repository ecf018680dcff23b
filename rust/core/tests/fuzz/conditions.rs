//! Any source as a condition, and any bytes as the message: findings or a condition; an answer or an error.
//!
//! An input is a source, as msgpack, and behind it a message. A table of the condition, its complement and De Morgan's
//! twin of both answers as the condition does.

use factflow_core::conditions::{
    Body, BuiltInOnly, Compiler, Finding, MAX_PATTERNS_BYTES, NoOperators, PathStep, Source,
    compile,
};
use factflow_core::routing::{Scratch, build};
use factflow_core::value::{Limits, ValueError, validate};

use crate::allocations::peak_of;
use crate::sources::source;

/// Names of the language, hostile patterns and paths, and pieces of msgpack.
pub const WORDS: &[&[u8]] = &[
    b"\xa5field",
    b"\xa8operator",
    b"\xa5value",
    b"\xa6all_of",
    b"\xa6any_of",
    b"\xa3not",
    b"\xabany_element",
    b"\xa9condition",
    b"\xa2eq",
    b"\xa3neq",
    b"\xa2gt",
    b"\xa3gte",
    b"\xa2lt",
    b"\xa3lte",
    b"\xa7between",
    b"\xa2in",
    b"\xa6not_in",
    b"\xa8contains",
    b"\xabstarts_with",
    b"\xa9ends_with",
    b"\xa7matches",
    b"\xa6exists",
    b"\xa7is_null",
    b"\xa7type_is",
    b"\xa6length",
    b"\xa4cidr",
    b"\xa4$bin",
    b"\xaa$timestamp",
    b"\xb42026-01-31T12:00:00Z",
    b"\xb41969-12-31T23:59:60Z",
    b"\xb99999-12-31T23:59:59+23:59",
    b"\xa1@",
    b"\xa3a.b",
    b"\xa4a[*]",
    b"\xa5a[-1]",
    b"\xa4/a/0",
    b"\xa5@[*]*",
    b"\xa4\"a\\\"",
    b"\xb7a[-9223372036854775808]",
    b"\xa7(a+)+$b",
    b"\xa9(a|a)*$|\\b",
    b"\xacx{1000}{1000",
    b"\xad(?i)[^\\W\\d_]+",
    b"\xa8\\p{L}{9}",
    b"\xa7(?s-u:.",
    b"\xa5^a.*$",
    b"\xa4(?x)",
    b"\xab10.0.0.0/24",
    b"\xa4::/0",
    b"\xad::ffff:0:0/96",
    b"\xaafe80::1%lo",
    b"\xa4aGk=",
    b"\xa6number",
    b"\xa3str",
    b"\xa3map",
    b"\x83\xa5field\xa1a\xa8operator\xa2eq\xa5value",
    b"\x81\xa6all_of\x92",
    b"\x81\xa6any_of\x92",
    b"\x81\xa3not",
    b"\x81\xabany_element\x82\xa5field\xa1a\xa9condition",
    b"\xc7\x0a\x07\x00\x01\0\0\0\0\0\0\0\0",
    b"\xc7\x0a\x07\x01\x01\0\0\0\0\0\0\0\0",
    b"\x81\xa1a",
    b"\x91",
    b"\x92",
    b"\xa1a",
    b"\xa1b",
    b"\xa2ab",
    b"\xc0",
    b"\xc1",
    b"\xc3",
    b"\x01",
    b"\xff",
    b"\xa810.0.0.1",
    b"\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\xcb\x7f\xf0\0\0\0\0\0\0",
    b"\xcb\x43\x40\0\0\0\0\0\0",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\0\0\0\0\0\0\0",
    b"\xd6\xff\0\0\0\0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\0\0\0\x02",
    b"\xc4\x02hi",
    b"\xc7\0\x05",
];

/// Return conditions with messages to begin with, one for each operator and form.
pub fn seeds() -> Vec<Vec<u8>> {
    let leaves: &[(&[u8], &[u8])] = &[
        (b"\xa2eq", b"\x01"),
        (b"\xa3neq", b"\xa1a"),
        (b"\xa2gt", b"\xcb\x3f\xf0\0\0\0\0\0\0"),
        (b"\xa3gte", b"\xff"),
        (b"\xa2lt", b"\xa1b"),
        (b"\xa3lte", b"\xc7\x0a\x07\x00\x01\0\0\0\0\0\0\0\0"),
        (b"\xa7between", b"\x92\x01\x05"),
        (b"\xa2in", b"\x93\x01\xa1a\xc0"),
        (b"\xa6not_in", b"\x92\x02\x91\x01"),
        (b"\xa8contains", b"\xa1b"),
        (b"\xabstarts_with", b"\x92\xa1a\xa2bc"),
        (b"\xa9ends_with", b"\xa1b"),
        (b"\xa7matches", b"\xa7(a+)+$b"),
        (b"\xa7matches", b"\xa5^a.*$"),
        (b"\xa6exists", b"\xc2"),
        (b"\xa7is_null", b"\xc3"),
        (b"\xa7type_is", b"\x92\xa3str\xa6number"),
        (b"\xa6length", b"\x82\xa3gte\x01\xa2lt\x05"),
        (b"\xa4cidr", b"\xab10.0.0.0/24"),
        (b"\xa2eq", b"\x81\xa4$bin\xa4aGk="),
        (b"\xa2gt", b"\x81\xaa$timestamp\xb42026-01-31T12:00:00Z"),
    ];
    let messages: &[&[u8]] = &[
        b"\x81\xa1a\x01",
        b"\x82\xa1a\xa3aab\xa1b\xc0",
        b"\x81\xa1a\x93\x01\xa1a\x81\xa1b\x02",
        b"\x81\xa1a\x81\xa1b\xa810.0.0.1",
        b"\x92\x01\x02",
    ];
    let fields: &[&[u8]] = &[
        b"\xa1a",
        b"\xa4a[*]",
        b"\xa3a.b",
        b"\x92\xa1a\x00",
        b"\xa4/a/0",
        b"\xa1@",
    ];
    let mut seeds = Vec::new();
    for (place, (operator, value)) in leaves.iter().enumerate() {
        let field = fields[place % fields.len()];
        let leaf = [
            b"\x83\xa5field",
            field,
            b"\xa8operator",
            operator,
            b"\xa5value",
            value,
        ]
        .concat();
        let message = messages[place % messages.len()];
        let nested: [&[u8]; 4] = [
            b"\x81\xa6all_of\x92",
            b"\x81\xa3not",
            b"\x81\xa6any_of\x91",
            b"\x81\xabany_element\x82\xa5field\xa1a\xa9condition",
        ];
        seeds.push([&leaf[..], message].concat());
        seeds.push([nested[place % 4], &leaf, &leaf, message].concat());
        seeds.push([nested[1], nested[(place + 1) % 4], &leaf, &leaf, message].concat());
    }
    seeds
}

/// Most bytes that answering may hold: slots of one condition on the way down, and caches of its patterns, which are made
/// at the first match.
const MOST_TO_ANSWER: usize = 8 << 20;
/// Most bytes that compiling may hold: patterns, what they are made from, and the rest in proportion to the source.
const MOST_TO_COMPILE: usize = 4 * MAX_PATTERNS_BYTES;

/// Check everything that must hold for any bytes; return in which way they end.
pub fn check(input: &[u8]) -> String {
    let Some((source, at)) = source(input, 0, 0) else {
        return "no source".into();
    };
    let message = &input[at..];
    let (compiled, peak) = peak_of(|| compiled(&source));
    assert!(
        peak <= MOST_TO_COMPILE + 4_000 * input.len(),
        "{peak} bytes were held to compile"
    );
    match compiled {
        Ok(body) => answered(&source, &body, message),
        Err(findings) => {
            assert!(!findings.is_empty(), "it was refused without a finding");
            for finding in &findings {
                assert!(
                    !finding.problem.is_empty() && !finding.remedy.is_empty(),
                    "{finding:?}"
                );
                assert!(leads_somewhere(&source, &finding.path), "{finding:?}");
            }
            findings.iter().map(kind).collect()
        }
    }
}

/// Return a finding's kind: its code, and its text up to what is quoted, without the numbers.
fn kind(finding: &Finding) -> String {
    let said = finding.problem.split('"').next().unwrap_or_default();
    let said = said.chars().filter(|letter| !letter.is_ascii_digit());
    finding.code.as_str().chars().chain(said).collect()
}

fn compiled(source: &Source) -> Result<Body, Vec<Finding>> {
    compile(source, &mut NoOperators, &mut { MAX_PATTERNS_BYTES }).map(|(body, _)| body)
}

/// True if a path leads to a part of the source, or to where one is missing.
fn leads_somewhere(source: &Source, path: &[PathStep]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    match (source, step) {
        (Source::List(items), PathStep::Index(index)) => items
            .get(*index)
            .is_some_and(|item| leads_somewhere(item, rest)),
        // One of those that have the key: it may stand there twice.
        (Source::Map(entries), PathStep::Key(wanted)) => {
            let is_wanted = |key: &Source| matches!(key, Source::Str(key) if **key == **wanted);
            let mut found = entries.iter().filter(|(key, _)| is_wanted(key)).peekable();
            found.peek().is_none() && rest.is_empty()
                || found.any(|(_, value)| leads_somewhere(value, rest))
        }
        _ => false,
    }
}

/// Check the answers to a message; return in which way they end.
fn answered(source: &Source, body: &Body, message: &[u8]) -> String {
    let (answer, peak) = peak_of(|| body.holds(message, 0, &BuiltInOnly));
    assert!(peak <= MOST_TO_ANSWER, "{peak} bytes were held to answer");
    assert_eq!(answer, body.holds(message, 0, &BuiltInOnly), "asked twice");
    let is_valid = validate(message, &Limits::DEFAULT).is_ok();
    assert!(
        !is_valid || answer.is_ok(),
        "a valid message has an answer: {answer:?}"
    );
    let asked = tabled(source, message);
    if let (true, Ok(holds), Some(asked)) = (is_valid, answer, &asked) {
        let expected: &[u32] = if holds { &[0, 3] } else { &[1, 2] };
        assert_eq!(asked.as_deref(), Ok(expected), "the table says otherwise");
    }
    let operators = format!("{:?}", body.node)
        .chars()
        .filter(char::is_ascii_uppercase)
        .take(24)
        .collect::<String>();
    format!("{operators} {is_valid} {answer:?}")
}

fn form(name: &str, inner: Source) -> Source {
    Source::Map(vec![(Source::Str(name.into()), inner)])
}

/// Return which hold of: the condition, its complement, twice negated in a conjunction, and in a disjunction. None if they
/// are too deep or too large to compile together.
fn tabled(source: &Source, message: &[u8]) -> Option<Result<Vec<u32>, ValueError>> {
    let not = |inner| form("not", inner);
    let both = |name| {
        form(
            name,
            Source::List(vec![not(source.clone()), not(source.clone())]),
        )
    };
    let rules = [
        source.clone(),
        not(source.clone()),
        both("all_of"),
        not(both("any_of")),
    ];
    let mut operators = NoOperators;
    let mut compiler = Compiler::new(&mut operators, 8 * MAX_PATTERNS_BYTES);
    let nodes: Result<Vec<_>, _> = rules.iter().map(|rule| compiler.compile(rule)).collect();
    let table = build(nodes.ok()?, compiler.finish().0).ok()?;
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    let all = table.all(message, &mut scratch, &BuiltInOnly, &mut found);
    let first = table.first(message, &mut scratch, &BuiltInOnly);
    if let (Ok(()), Ok(first)) = (&all, &first) {
        assert_eq!(found.first(), first.as_ref());
    }
    Some(all.map(|()| found))
}
