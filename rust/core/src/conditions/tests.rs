//! Whole conditions: bounds of the compiler, and evaluation of bytes that nobody validated.

use proptest::prelude::*;

use super::*;
use crate::value::{write_array_len, write_int, write_map_len, write_nil, write_str};

fn text(text: &str) -> Source {
    Source::Str(text.into())
}

fn map<const N: usize>(entries: [(&str, Source); N]) -> Source {
    Source::Map(entries.map(|(key, value)| (text(key), value)).into())
}

fn int(number: i128) -> Source {
    Source::Int(Integer::Small(number))
}

fn leaf(field: &str, operator: &str, value: Source) -> Source {
    map([
        ("field", text(field)),
        ("operator", text(operator)),
        ("value", value),
    ])
}

fn body(source: &Source) -> Body {
    compile(source, &mut NoOperators, &mut { MAX_PATTERNS_BYTES })
        .unwrap()
        .0
}

fn codes(source: &Source) -> Vec<&'static str> {
    let findings = compile(source, &mut NoOperators, &mut { MAX_PATTERNS_BYTES }).unwrap_err();
    findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn nested(depth: usize, inner: Source) -> Source {
    (0..depth).fold(inner, |condition, _| map([("not", condition)]))
}

/// Return one condition for each way of looking at bytes.
fn lookers() -> Vec<Body> {
    let array = Source::List(vec![int(1), text("a"), map([("a", int(1))])]);
    vec![
        body(&leaf("a", "eq", array.clone())),
        body(&leaf(
            "a.b",
            "neq",
            map([("a", int(1)), ("b", Source::Nil)]),
        )),
        body(&leaf("a[-1].b", "gt", int(0))),
        body(&leaf("a[*].b[*]", "in", array)),
        body(&leaf("/a/0", "contains", text("a"))),
        body(&leaf("@", "type_is", text("map"))),
        body(&leaf("a", "matches", text("^a+$"))),
        body(&leaf("a", "length", int(1))),
        body(&leaf("a", "cidr", text("::/0"))),
        body(&leaf("a", "starts_with", text("a"))),
        body(&map([(
            "any_element",
            map([
                ("field", text("@")),
                ("condition", leaf("a", "lt", text("b"))),
            ]),
        )])),
        body(&map([(
            "all_of",
            Source::List(vec![
                leaf("a.a", "exists", Source::Bool(true)),
                leaf("a[0]", "exists", Source::Bool(false)),
                leaf("b", "is_null", Source::Bool(false)),
            ]),
        )])),
    ]
}

#[test]
fn nesting_and_size_are_bounded() {
    let inner = || leaf("a", "exists", Source::Bool(true));
    assert!(
        compile(&nested(MAX_DEPTH - 1, inner()), &mut NoOperators, &mut {
            MAX_PATTERNS_BYTES
        })
        .is_ok()
    );
    assert_eq!(codes(&nested(MAX_DEPTH, inner())), ["E408"]);
    assert_eq!(codes(&nested(5_000, inner())), ["E408"]);
    let wide = |count| {
        map([(
            "any_of",
            Source::List((0..count).map(|_| inner()).collect()),
        )])
    };
    assert!(
        compile(&wide(MAX_NODES - 2), &mut NoOperators, &mut {
            MAX_PATTERNS_BYTES
        })
        .is_ok()
    );
    assert_eq!(codes(&wide(MAX_NODES)), ["E408"]);
    let deep = (0..200).fold(Source::Nil, |value, _| Source::List(vec![value]));
    assert_eq!(codes(&leaf("a", "eq", deep)), ["E408"]);
}

#[test]
fn patterns_are_bounded_one_by_one_and_together() {
    assert_eq!(
        codes(&leaf("a", "matches", text(r"\w{1000}{1000}"))),
        ["E403"]
    );
    let large = || leaf("a", "matches", text("[a-z]{1,20000}"));
    assert!(compile(&large(), &mut NoOperators, &mut { MAX_PATTERNS_BYTES }).is_ok());
    let many = map([("any_of", Source::List((0..400).map(|_| large()).collect()))]);
    let mut compiler_operators = NoOperators;
    let mut compiler = Compiler::new(&mut compiler_operators, 4 << 20);
    let findings = compiler.compile(&many).unwrap_err();
    assert!(
        findings
            .iter()
            .all(|finding| finding.code == Code::InvalidPattern)
    );
}

#[test]
fn a_pattern_is_bounded_before_it_is_translated() {
    let bombs = [
        r"(?i)\pL".repeat(100_000),
        format!("(?i){}", r"\pL".repeat(20_000)),
        r"\pL".repeat(20_000),
        format!("(?i){}", r"[^\pN\w--a]".repeat(5_000)),
        "((a{100}){100}){100}".to_owned(),
        r"\w{1,1000}".repeat(1_000),
        "(".repeat(60_000),
        format!("{}a{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!("a{}", "{2}".repeat(20_000)),
        format!("(?i)[{}]", r"\x{0}-\x{10FFFF}".repeat(3_000)),
        format!("{}a{}", "(?:".repeat(199), "{9})".repeat(199)),
    ];
    for bomb in bombs {
        let mut budget = MAX_PATTERNS_BYTES;
        let findings = compile(
            &leaf("a", "matches", text(&bomb)),
            &mut NoOperators,
            &mut budget,
        )
        .unwrap_err();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].code, Code::InvalidPattern);
        assert!(findings[0].problem.len() < 300, "{}", findings[0].problem);
        assert!(findings[0].remedy.len() > 10);
    }
}

#[test]
fn patterns_of_many_conditions_take_from_one_budget() {
    let mut budget = MAX_PATTERNS_BYTES;
    let mut compiled = 0;
    let refused = (0..200).find_map(|number| {
        let pattern = leaf("a", "matches", text(&format!(r"\w{{1,60}}x{number}")));
        match compile(&pattern, &mut NoOperators, &mut budget) {
            Ok(_) => {
                compiled += 1;
                None
            }
            Err(findings) => Some(findings),
        }
    });
    assert!((4..100).contains(&compiled), "{compiled}");
    assert!(
        refused.unwrap()[0]
            .problem
            .ends_with("take too much memory together")
    );
    assert_eq!(budget, 0);
    // Once it is used up nothing is built any more.
    let findings = compile(
        &leaf("a", "matches", text("a")),
        &mut NoOperators,
        &mut budget,
    );
    assert_eq!(findings.unwrap_err()[0].code, Code::InvalidPattern);
    let mut budget = MAX_PATTERNS_BYTES;
    let large = leaf("a", "matches", text(r"\w{1000}{1000}"));
    for _ in 0..20 {
        // Those that are refused by themselves have taken time, which is bounded too.
        assert!(compile(&large, &mut NoOperators, &mut budget).is_err());
    }
    assert_eq!(budget, 0);
}

#[test]
fn that_patterns_take_too_much_is_said_once_of_conditions_that_are_compiled_together() {
    let mut operators = NoOperators;
    let mut compiler = Compiler::new(&mut operators, 1 << 20);
    let wide = |number: usize| leaf("a", "matches", text(&format!(r"\w{{1,60}}x{number}")));
    let mut compile = |condition: &Source| compiler.compile(condition).unwrap_err();
    let of_all = Source::Map(vec![(
        text("any_of"),
        Source::List((0..20).map(wide).collect()),
    )]);
    let findings = compile(&of_all);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].problem.ends_with("memory together"));
    assert_eq!(compile(&wide(20)), []);
    // What is wrong with a pattern by itself is said of each.
    assert_eq!(compile(&leaf("a", "matches", text("("))).len(), 1);
    assert_eq!(compile(&leaf("a", "matches", text(")"))).len(), 1);
}

#[test]
fn ordinary_patterns_fit_in_their_thousands() {
    let mut budget = MAX_PATTERNS_BYTES;
    for number in 0..1_000 {
        let pattern = format!(r"^https://[a-z]+\.shop{number:05}\.example/.*\.html$");
        compile(
            &leaf("a", "matches", text(&pattern)),
            &mut NoOperators,
            &mut budget,
        )
        .unwrap();
    }
    assert!(budget > MAX_PATTERNS_BYTES / 2, "{budget}");
}

#[test]
fn many_elements_of_an_array_are_found_by_their_index() {
    let mut scope = Scope::new();
    let path = |index: i64| vec![Segment::Key("a".into()), Segment::Index(index)];
    let places: Vec<_> = (-20..20)
        .map(|index| (index, scope.add(&path(index))))
        .collect();
    for (index, place) in &places {
        assert_eq!(*place, scope.add(&path(*index)));
        assert_eq!(scope.path(place.slot), path(*index));
    }
    let mut message = Vec::new();
    write_map_len(&mut message, 1);
    write_str(&mut message, "a");
    write_array_len(&mut message, 15);
    let begin = message.len();
    for number in 0..15 {
        write_int(&mut message, number);
    }
    let mut slots = vec![MISSING; scope.slots()];
    scope.walk(&message, 0, slots.as_mut_slice()).unwrap();
    for (index, place) in places {
        let expected = match index {
            0..15 => begin + usize::try_from(index).unwrap(),
            -15..0 => begin + usize::try_from(index + 15).unwrap(),
            _ => MISSING,
        };
        assert_eq!(slots[place.slot], expected, "{index}");
    }
}

#[test]
fn one_walk_finds_every_place_and_stops_early() {
    let mut scope = Scope::new();
    let mut message = Vec::new();
    write_map_len(&mut message, 2);
    write_str(&mut message, "a");
    write_array_len(&mut message, 2);
    write_int(&mut message, 1);
    write_int(&mut message, 2);
    write_str(&mut message, "b");
    write_nil(&mut message);
    let path = |segments: &[Segment]| segments.to_vec();
    let a = scope.add(&path(&[Segment::Key("a".into())]));
    let first = scope.add(&path(&[Segment::Key("a".into()), Segment::Index(0)]));
    let last = scope.add(&path(&[Segment::Key("a".into()), Segment::Index(-1)]));
    let none = scope.add(&path(&[Segment::Key("a".into()), Segment::Index(2)]));
    let mut slots = vec![MISSING; scope.slots()];
    // What follows the last place is never read: here it is cut off.
    scope.walk(&message[..7], 0, slots.as_mut_slice()).unwrap();
    assert_eq!(
        [a.slot, first.slot, last.slot, none.slot].map(|slot| slots[slot]),
        [3, 4, 5, MISSING]
    );
}

#[test]
fn a_deep_message_is_walked_without_recursion_into_what_nobody_asks_for() {
    let mut message = Vec::new();
    write_map_len(&mut message, 2);
    write_str(&mut message, "x");
    message.resize(message.len() + 200_000, 0x91);
    write_nil(&mut message);
    write_str(&mut message, "a");
    write_int(&mut message, 1);
    assert_eq!(
        body(&leaf("a", "eq", int(1))).holds(&message, 0, &BuiltInOnly),
        Ok(true)
    );
}

#[test]
fn a_field_path_finds_the_bytes_of_one_field() {
    let message = b"\x81\xa1a\x92\x01\x81\xa3b.c\xa1x";
    for (text, found) in [
        ("a[0]", Some(&b"\x01"[..])),
        (r#"a[1]."b.c""#, Some(b"\xa1x")),
        ("/a/1/b.c", Some(b"\xa1x")),
        ("a[-1]", Some(b"\x81\xa3b.c\xa1x")),
        ("@", Some(message)),
        ("a[2]", None),
        ("a.0", None),
        ("b", None),
    ] {
        assert_eq!(
            FieldLocator::parse(text).unwrap().find(message),
            Ok(found),
            "{text}"
        );
    }
    for text in ["", "a..b", "a[*].b"] {
        assert!(FieldLocator::parse(text).is_err(), "{text}");
    }
}

#[test]
fn malformed_bytes_are_an_error_where_they_are_met() {
    let condition = body(&leaf("b", "eq", int(1)));
    assert!(condition.holds(&[], 0, &BuiltInOnly).is_err());
    assert!(condition.holds(&[0xc1], 0, &BuiltInOnly).is_err());
    assert!(condition.holds(&[0x81, 0xa1], 0, &BuiltInOnly).is_err());
    assert!(
        condition
            .holds(&[0xdf, 0xff, 0xff, 0xff, 0xff], 0, &BuiltInOnly)
            .is_err()
    );
}

/// Return bytes that begin like messages more often than chance has it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        3 => proptest::sample::select(vec![
            &b"\x81\xa1a"[..], b"\x82\xa1a", b"\xa1b", b"\x92", b"\x91", b"\x01", b"\xa1a", b"\xc0", b"\xdd\xff\xff\xff\xff",
            b"\xd6\xff", b"\xc4\x01", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xd9\x80", b"\xca\x3f\x80\0\0",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(chunk, 0..12).prop_map(|chunks| chunks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_a_condition_panic(message in hostile()) {
        thread_local!(static LOOKERS: Vec<Body> = lookers());
        LOOKERS.with(|lookers| {
            for condition in lookers {
                let _ = condition.holds(&message, 0, &BuiltInOnly);
            }
        });
    }

    #[test]
    fn no_bytes_make_a_field_path_panic(message in hostile()) {
        for text in ["@", "a", "a.b", "a[0]", "a[-1].a", "/0", "/a/1"] {
            let _ = FieldLocator::parse(text).unwrap().find(&message);
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,20}|[a-z.@/~\\[\\]\"\\\\*0-9-]{0,12}") {
        let source = Source::Str(text.into());
        for operator in BUILT_IN {
            let condition = Source::Map(vec![
                (Source::Str("field".into()), source.clone()),
                (Source::Str("operator".into()), Source::Str(operator.name.into())),
                (Source::Str("value".into()), source.clone()),
            ]);
            let _ = compile(&condition, &mut NoOperators, &mut { MAX_PATTERNS_BYTES });
        }
    }
}
