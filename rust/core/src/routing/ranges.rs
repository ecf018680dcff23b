//! Index of the ranges of whole numbers that hold a number.
//!
//! Ranges that overlap little are kept as a list for each number: one look finds them. That takes room for every number
//! of every range, so ranges that overlap much are sorted by where they begin, and over where they end lies a tree of
//! maxima, which a search enters only where something ends late enough below: linear room, and the logarithm of all
//! ranges for each that is found.

/// Room that the lists may take, as numbers for each range.
const MOST_NUMBERS: u64 = 16;

/// Ranges, each with a name.
#[derive(Clone, Debug)]
pub enum Ranges {
    /// Names of the ranges that hold a number, by number.
    Lists {
        /// Start of each number's list in `names`, and one end more.
        begins: Vec<u32>,
        /// The names of all lists, one list after another.
        names: Vec<u32>,
    },
    /// Sorted by their beginning.
    Tree {
        /// Beginnings in order.
        lows: Vec<u32>,
        /// A binary tree in an array, root at 1, leaves in the order of `lows`: the latest end below each node.
        highs: Vec<u32>,
        /// Names in the order of `lows`.
        names: Vec<u32>,
    },
}

impl Ranges {
    /// Return an index of ranges given as first and last number and name; none is empty. Numbers above `most` are never
    /// asked for.
    pub fn new(mut ranges: Vec<(u32, u32, u32)>, most: u32) -> Self {
        ranges.sort_unstable();
        let numbers: u64 = ranges
            .iter()
            .map(|&(low, high, _)| u64::from(high.min(most)) + 1 - u64::from(low.min(most)))
            .sum();
        if numbers <= MOST_NUMBERS * (ranges.len() as u64 + 1) {
            Self::lists(&ranges, most)
        } else {
            Self::tree(&ranges)
        }
    }

    fn lists(ranges: &[(u32, u32, u32)], most: u32) -> Self {
        let mut begins = vec![0_u32; most as usize + 2];
        for &(low, high, _) in ranges {
            for number in low..=high.min(most) {
                begins[number as usize + 1] += 1;
            }
        }
        for number in 1..begins.len() {
            begins[number] += begins[number - 1];
        }
        let mut next = begins.clone();
        let mut names = vec![0; begins.last().map_or(0, |&end| end as usize)];
        for &(low, high, name) in ranges {
            for number in low..=high.min(most) {
                names[next[number as usize] as usize] = name;
                next[number as usize] += 1;
            }
        }
        Self::Lists { begins, names }
    }

    fn tree(ranges: &[(u32, u32, u32)]) -> Self {
        let leaves = ranges.len().next_power_of_two();
        let mut highs = vec![0; 2 * leaves];
        for (leaf, &(_, high, _)) in highs[leaves..].iter_mut().zip(ranges) {
            *leaf = high;
        }
        for at in (1..leaves).rev() {
            highs[at] = highs[2 * at].max(highs[2 * at + 1]);
        }
        Self::Tree {
            lows: ranges.iter().map(|&(low, _, _)| low).collect(),
            highs,
            names: ranges.iter().map(|&(_, _, name)| name).collect(),
        }
    }

    /// Call `found` with the name of every range that holds the number.
    #[inline]
    pub fn find(&self, number: u32, found: &mut impl FnMut(u32)) {
        match self {
            Self::Lists { begins, names } => {
                let at = number as usize;
                let list = &names[begins[at] as usize..begins[at + 1] as usize];
                for &name in list {
                    found(name);
                }
            }
            Self::Tree { lows, highs, names } => {
                let before = lows.partition_point(|&low| low <= number);
                find_in_tree(highs, &names[..before], number, found);
            }
        }
    }
}

/// Go from leaf to leaf among the first ones, as many as there are names: down where something ends late enough, then
/// over what was seen.
fn find_in_tree(highs: &[u32], names: &[u32], number: u32, found: &mut impl FnMut(u32)) {
    let leaves = highs.len() / 2;
    let mut at = 1;
    loop {
        if highs[at] >= number {
            if at < leaves {
                at *= 2;
                continue;
            }
            match names.get(at - leaves) {
                Some(&name) => found(name),
                None => return,
            }
        }
        // The next node that is not below one that was seen.
        while at & 1 == 1 {
            if at == 1 {
                return;
            }
            at >>= 1;
        }
        at += 1;
        // Its leftmost leaf is behind the last range that begins early enough.
        let height = leaves.ilog2() - at.ilog2();
        if (at << height) - leaves >= names.len() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(ranges: &Ranges, number: u32) -> Vec<u32> {
        let mut names = Vec::new();
        ranges.find(number, &mut |name| names.push(name));
        names.sort_unstable();
        names
    }

    proptest! {
        #[test]
        fn lists_and_tree_find_what_looking_at_each_range_finds(
            ends in proptest::collection::vec((0..=20_u32, 0..=20_u32), 0..20),
            number in 0..=20_u32,
        ) {
            let mut ranges: Vec<_> = ends
                .iter()
                .zip(0..)
                .map(|(&(one, two), name)| (one.min(two), one.max(two), name))
                .collect();
            ranges.sort_unstable();
            let mut expected: Vec<u32> = ranges
                .iter()
                .filter(|(low, high, _)| (low..=high).contains(&&number))
                .map(|&(_, _, name)| name)
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found(&Ranges::lists(&ranges, 20), number), &expected[..]);
            prop_assert_eq!(found(&Ranges::tree(&ranges), number), &expected[..]);
        }
    }
}
