//! The name that an author probably meant.

/// Return the candidate nearest to `name`, if one is near enough to be worth a question.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.to_lowercase().chars().take(64).collect();
    let allowed = (name.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, candidate), candidate))
        .filter(|&(distance, candidate)| {
            distance <= allowed && distance < candidate.chars().count()
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Count insertions, deletions, replacements and swaps of neighbours between the two (optimal string alignment).
fn distance(one: &[char], two: &str) -> usize {
    let two: Vec<char> = two.to_lowercase().chars().collect();
    let mut before_last = vec![0; two.len() + 1];
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (i, &a) in one.iter().enumerate() {
        let mut row = vec![i + 1; two.len() + 1];
        for (j, &b) in two.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a == two[j - 1] && one[i - 1] == b {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row[j + 1] = cost;
        }
        before_last = core::mem::replace(&mut last, row);
    }
    last[two.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_keys_finds_its_name() {
        let names = ["eq", "neq", "value", "operator", "starts_with"];
        assert_eq!(nearest("vlaue", names), Some("value"));
        assert_eq!(nearest("oprator", names), Some("operator"));
        assert_eq!(nearest("startswith", names), Some("starts_with"));
        assert_eq!(nearest("EQ", names), Some("eq"));
    }

    #[test]
    fn what_is_far_from_everything_finds_nothing() {
        assert_eq!(nearest("colour", ["eq", "in", "value"]), None);
        assert_eq!(nearest("", ["eq"]), None);
        assert_eq!(nearest("x", ["a"]), None);
    }
}
