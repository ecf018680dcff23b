//! Properties of examples, against every short text of a small alphabet.

use proptest::prelude::*;
use regex_automata::meta::Regex;

use super::{Demand, Examples};

const ALPHABET: [&str; 4] = ["a", "b", "1", "é"];

fn short_texts() -> Vec<String> {
    let mut texts = vec![String::new()];
    for from in 0.. {
        let Some(text) = texts.get(from).cloned() else {
            break;
        };
        if text.chars().count() < 3 {
            texts.extend(ALPHABET.map(|letter| format!("{text}{letter}")));
        }
    }
    texts
}

/// Say slowly and plainly whether a text meets a demand.
fn meets(demand: &Demand, text: &str) -> bool {
    let bytes = text.as_bytes();
    match demand {
        Demand::Matches(pattern) => Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)),
        Demand::StartsWith(part) => bytes.starts_with(part),
        Demand::EndsWith(part) => bytes.ends_with(part),
        Demand::Contains(part) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        Demand::Ordered {
            text,
            below,
            equal,
            above,
        } => match bytes.cmp(text) {
            core::cmp::Ordering::Less => *below,
            core::cmp::Ordering::Equal => *equal,
            core::cmp::Ordering::Greater => *above,
        },
        Demand::Length { lowest, highest } => {
            let length = text.chars().count() as u64;
            length >= *lowest && highest.is_none_or(|highest| length <= highest)
        }
    }
}

fn demands() -> impl Strategy<Value = Vec<(Demand, bool)>> {
    let part = "[ab1é]{0,2}".prop_map(String::into_bytes);
    let pattern = proptest::sample::select(vec![
        "^a", "b$", "a.b", "^(a|b)*$", "^$", "[ab]{2}", "(?i)A", "[^a]", "é|1", "(a+)+$", "^.{3}$",
    ]);
    let demand = prop_oneof![
        pattern.prop_map(|pattern| Demand::Matches(pattern.into())),
        part.clone().prop_map(Demand::StartsWith),
        part.clone().prop_map(Demand::EndsWith),
        part.clone().prop_map(Demand::Contains),
        (part, any::<[bool; 3]>()).prop_map(|(text, [below, equal, above])| Demand::Ordered {
            text,
            below,
            equal,
            above
        }),
        (0_u64..4, proptest::option::of(0_u64..4))
            .prop_map(|(lowest, highest)| Demand::Length { lowest, highest }),
    ];
    proptest::collection::vec((demand, any::<bool>()), 0..5)
}

proptest! {
    #[test]
    fn an_example_meets_its_demands_and_where_there_is_none_no_short_text_does(
        demands in demands(),
        choices in proptest::collection::vec(any::<u8>(), 0..6),
    ) {
        let meets_all = |text: &str| demands.iter().all(|(demand, wanted)| meets(demand, text) == *wanted);
        let found = Examples::of(&demands, true).expect("small enough to be decided");
        let plain = short_texts().into_iter().find(|text| meets_all(text));
        if let Some(shortest) = found.shortest() {
            let shortest = String::from_utf8(shortest).expect("text");
            prop_assert!(meets_all(&shortest), "{shortest:?}");
            let bytes = plain.map_or(usize::MAX, |text| text.len());
            prop_assert!(shortest.len() <= bytes, "{shortest:?} is not the shortest");
            let chosen = String::from_utf8(found.chosen(&choices).expect("one")).expect("text");
            prop_assert!(meets_all(&chosen), "{chosen:?}");
        } else {
            prop_assert_eq!(plain, None);
        }
    }
}

#[test]
fn what_is_too_large_to_decide_is_an_error() {
    let demands: Vec<_> = (0..12)
        .map(|at| {
            (
                Demand::Contains(format!("{at:02}{}", "x".repeat(20)).into_bytes()),
                true,
            )
        })
        .chain([(
            Demand::Length {
                lowest: 0,
                highest: Some(9),
            },
            true,
        )])
        .collect();
    assert!(Examples::of(&demands, true).is_ok_and(|found| found.shortest().is_none()));
    let long_words: Vec<_> = (0..12)
        .map(|at| {
            (
                Demand::Contains(format!("{at:02}{}", "x".repeat(20)).into_bytes()),
                true,
            )
        })
        .collect();
    let error = Examples::of(&long_words, true)
        .err()
        .expect("beyond the bound");
    assert!(
        error
            .to_string()
            .starts_with("20000 beginnings of texts were tried"),
        "{error}"
    );
    let word = [(Demand::Matches(r"\bé\b".into()), true)];
    let error = Examples::of(&word, true)
        .err()
        .expect("Unicode words are no matter of bytes");
    assert!(
        error
            .to_string()
            .starts_with("a pattern cannot be taken apart"),
        "{error}"
    );
    let long = [(
        Demand::Length {
            lowest: 50_000,
            highest: None,
        },
        true,
    )];
    let error = Examples::of(&long, true).err().expect("too long to count");
    assert_eq!(error.to_string(), "a length of 50000 is too great to try");
}

#[test]
fn bytes_need_not_be_text() {
    let above = Demand::Ordered {
        text: vec![0xff],
        below: false,
        equal: false,
        above: true,
    };
    let found = Examples::of(&[(above.clone(), true)], false).expect("decided");
    assert_eq!(found.shortest().map(|bytes| bytes.len()), Some(2));
    assert_eq!(
        Examples::of(&[(above, true)], true)
            .expect("decided")
            .shortest(),
        None
    );
}
