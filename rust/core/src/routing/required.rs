//! Texts one of which every match of a pattern holds, read off the pattern's syntax tree.
//!
//! The `regex` crates extract prefixes and suffixes for their own search; a rule is better filed under the rarest text
//! anywhere in its pattern, so this looks at the middle too. Which one is the rarest only the other rules tell: the
//! longest may be a word that thousands of patterns share. So all candidates are offered.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Most alternatives that are followed.
const MOST_TEXTS: usize = 32;
/// Longest text that is offered: longer ones exclude hardly more messages.
const LONGEST: usize = 64;
/// Most sets that are offered.
const MOST_SETS: usize = 16;

/// Texts, one of which is part of every match; none of them is empty.
pub type TextSet = Vec<Vec<u8>>;

/// Return all such sets, those of the longest texts first.
pub fn required(hir: &Hir) -> Vec<TextSet> {
    let mut sets = sets(hir);
    for texts in &mut sets {
        texts.sort_unstable();
        texts.dedup();
    }
    sets.sort_by_key(|texts| core::cmp::Reverse(worth(texts)));
    sets.truncate(MOST_SETS);
    sets
}

fn sets(hir: &Hir) -> Vec<TextSet> {
    if let Some(texts) = exactly(hir) {
        return useful(texts).into_iter().collect();
    }
    match hir.kind() {
        HirKind::Capture(capture) => sets(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => sets(&repetition.sub),
        HirKind::Alternation(branches) => alternation(branches).into_iter().collect(),
        HirKind::Concat(parts) => concatenation(parts),
        _ => Vec::new(),
    }
}

/// Return the best set of each branch.
fn alternation(branches: &[Hir]) -> Option<TextSet> {
    let mut all = Vec::new();
    for branch in branches {
        all.extend(sets(branch).into_iter().max_by_key(|texts| worth(texts))?);
    }
    (all.len() <= MOST_TEXTS).then_some(all)
}

/// Return the sets that each run of exactly known parts requires, and those that the other parts require.
fn concatenation(parts: &[Hir]) -> Vec<TextSet> {
    let mut found = Vec::new();
    let mut stretch = vec![Vec::new()];
    for part in parts {
        if matches!(part.kind(), HirKind::Look(_)) {
            continue; // it matches no text: the parts before and after it are adjacent
        }
        let Some(texts) = exactly(part) else {
            found.extend(useful(core::mem::replace(&mut stretch, vec![Vec::new()])));
            found.extend(sets(part));
            continue;
        };
        match crossed(&stretch, &texts) {
            Some(longer) => stretch = longer,
            None => found.extend(useful(core::mem::replace(&mut stretch, texts))),
        }
    }
    found.extend(useful(stretch));
    found
}

/// Estimate how rare these texts are: the shortest decides, then their number.
fn worth(texts: &[Vec<u8>]) -> (usize, core::cmp::Reverse<usize>) {
    let shortest = texts.iter().map(Vec::len).min().unwrap_or(0);
    (shortest, core::cmp::Reverse(texts.len()))
}

fn useful(texts: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    (!texts.is_empty() && texts.iter().all(|text| !text.is_empty())).then_some(texts)
}

/// Return every text of one followed by every text of the other, if they are few and short.
fn crossed(first: &[Vec<u8>], second: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if first.len() * second.len() > MOST_TEXTS {
        return None;
    }
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or(0);
    if longest(first) + longest(second) > LONGEST && longest(first) > 0 {
        return None;
    }
    let pairs = first.iter().flat_map(|head| {
        second
            .iter()
            .map(move |tail| [head.as_slice(), tail].concat())
    });
    Some(pairs.collect())
}

/// Return all texts that this part can match, if they are few.
fn exactly(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(class) => characters(class),
        HirKind::Capture(capture) => exactly(&capture.sub),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(exactly(branch)?);
                if all.len() > MOST_TEXTS {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                all = crossed(&all, &exactly(part)?)?;
            }
            Some(all)
        }
        _ => None,
    }
}

/// Return the characters of a small class, as the cases of a letter are.
fn characters(class: &Class) -> Option<Vec<Vec<u8>>> {
    const MOST: usize = 4;
    let Class::Unicode(class) = class else {
        return None;
    };
    let mut all = Vec::new();
    for range in class.ranges() {
        if range.len() > MOST || all.len() + range.len() > MOST {
            return None;
        }
        all.extend(
            (range.start()..=range.end()).map(|character| character.to_string().into_bytes()),
        );
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::required;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        sets(pattern).into_iter().next()
    }

    fn sets(pattern: &str) -> Vec<Vec<String>> {
        let text = |text| String::from_utf8(text).unwrap();
        required(&regex_syntax::parse(pattern).unwrap())
            .into_iter()
            .map(|texts| texts.into_iter().map(text).collect())
            .collect()
    }

    #[test]
    fn every_stretch_of_text_is_offered() {
        assert_eq!(
            sets("customer.*(id7|no8).*(x.*yz)"),
            [vec!["customer"], vec!["id7", "no8"], vec!["yz"], vec!["x"]]
        );
    }

    #[test]
    fn the_longest_text_is_found_wherever_it_stands() {
        let one = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(texts("abc"), one("abc"));
        assert_eq!(texts(r"^.*ab.*cdef.*g$"), one("cdef"));
        assert_eq!(texts(r".*\.site7\.example/x/.*"), one(".site7.example/x/"));
        assert_eq!(texts("(abc)+x?"), one("abc"));
        assert_eq!(texts(r"a\bbc"), one("abc"));
        assert_eq!(texts("[0-9]+ab[0-9]+"), one("ab"));
        assert_eq!(texts("ab|cd"), Some(vec!["ab".into(), "cd".into()]));
        assert_eq!(texts("x(ab|cd)y"), Some(vec!["xaby".into(), "xcdy".into()]));
        assert_eq!(
            texts("(?i)ab"),
            Some(vec!["AB".into(), "Ab".into(), "aB".into(), "ab".into()])
        );
    }

    #[test]
    fn a_pattern_that_matches_without_any_text_requires_none() {
        for pattern in [
            "", ".*", "a*", "a?", "(abc)?", "ab|", r"\d+", "^$", "[a-z]", "(a|b*)", "[^a]",
        ] {
            assert_eq!(texts(pattern), None, "{pattern}");
        }
    }
}
