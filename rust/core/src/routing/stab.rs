//! All intervals that hold a value, in time proportional to their number and the logarithm of all.
//!
//! The ends are replaced by their ranks: `2i + 1` is the i-th end itself, `2i` the gap before it. So an interval is a
//! pair of whole numbers whatever its ends are made of, and a value is compared with ends only to find its rank. The
//! intervals are sorted by their lower rank; over their upper ranks lies a tree of maxima, which a search enters only
//! where something high enough is below. Segments with a list each would be quicker for intervals that do not overlap,
//! but take quadratic room when they do.

use core::cmp::Ordering;

use crate::conditions::interval::Bounds;

/// Intervals of one kind of value, each with a number.
#[derive(Clone, Debug)]
pub struct Stab<T> {
    /// Distinct ends in order.
    ends: Vec<T>,
    /// For ends that are numbers: about where each is, in the same order. Denser in memory, so quicker to search.
    rough: Vec<f64>,
    /// Lower ranks in order.
    lows: Vec<u32>,
    /// A binary tree in an array, root at 1, leaves in the order of `lows`: the greatest upper rank below each node.
    highs: Vec<u32>,
    /// Numbers of the intervals in the order of `lows`.
    numbers: Vec<u32>,
}

impl<T: Clone> Stab<T> {
    /// Files intervals, given with their numbers. Those that hold nothing are left out.
    pub fn new(intervals: &[(&Bounds<T>, u32)], order: impl Fn(&T, &T) -> Ordering) -> Self {
        let mut ends: Vec<T> = intervals
            .iter()
            .flat_map(|(bounds, _)| [&bounds.lower, &bounds.upper])
            .filter_map(|bound| bound.as_ref().map(|bound| bound.at.clone()))
            .collect();
        ends.sort_unstable_by(&order);
        ends.dedup_by(|one, two| order(one, two) == Ordering::Equal);
        let mut stab = Self {
            ends,
            rough: Vec::new(),
            lows: Vec::new(),
            highs: Vec::new(),
            numbers: Vec::new(),
        };
        let mut ranked: Vec<(u32, u32, u32)> = intervals
            .iter()
            .map(|(bounds, number)| {
                let (low, high) = stab.ranks(bounds, &order);
                (low, high, *number)
            })
            .filter(|(low, high, _)| low <= high)
            .collect();
        ranked.sort_unstable();
        let leaves = ranked.len().next_power_of_two();
        stab.highs = vec![0; 2 * leaves];
        for (at, &(low, high, number)) in ranked.iter().enumerate() {
            stab.lows.push(low);
            stab.highs[leaves + at] = high;
            stab.numbers.push(number);
        }
        for at in (1..leaves).rev() {
            stab.highs[at] = stab.highs[2 * at].max(stab.highs[2 * at + 1]);
        }
        stab
    }

    /// The same with about where each end is: of two ends the greater's place is not below the other's.
    pub fn with_rough_places(mut self, place: impl Fn(&T) -> f64) -> Self {
        self.rough = self.ends.iter().map(place).collect();
        self
    }

    /// The lowest and the highest rank of the values inside.
    pub fn ranks(&self, bounds: &Bounds<T>, order: impl Fn(&T, &T) -> Ordering) -> (u32, u32) {
        let low = bounds.lower.as_ref().map_or(0, |bound| {
            let rank = self.rank(|end| Some(order(&bound.at, end))).unwrap_or(0);
            if bound.inclusive { rank } else { rank + 1 }
        });
        let high = bounds.upper.as_ref().map_or(u32::MAX, |bound| {
            let rank = self.rank(|end| Some(order(&bound.at, end))).unwrap_or(0);
            if bound.inclusive { rank } else { rank - 1 }
        });
        (low, high)
    }

    /// The rank of a value, given how it stands to an end; `None` if it has no order.
    fn rank(&self, order: impl Fn(&T) -> Option<Ordering>) -> Option<u32> {
        self.rank_within(0, self.ends.len(), order)
    }

    /// The rank of a value that is not below the end before `low` and not above the end at `high`.
    fn rank_within(
        &self,
        mut low: usize,
        mut high: usize,
        order: impl Fn(&T) -> Option<Ordering>,
    ) -> Option<u32> {
        while low < high {
            let middle = usize::midpoint(low, high);
            match order(&self.ends[middle])? {
                Ordering::Less => high = middle,
                Ordering::Equal => return Some(rank_of(middle) + 1),
                Ordering::Greater => low = middle + 1,
            }
        }
        Some(rank_of(low))
    }

    /// Calls `found` as [`Stab::find`] does, for a value that is about at `place`; NaN is in no interval.
    pub fn find_near<E>(
        &self,
        place: f64,
        order: impl Fn(&T) -> Option<Ordering>,
        found: &mut impl FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        if place.is_nan() {
            return Ok(());
        }
        // Ends at another place are on that side of the value; those at the same place are compared exactly.
        let low = self.rough.partition_point(|&end| end < place);
        let high = low + self.rough[low..].partition_point(|&end| end <= place);
        match self.rank_within(low, high, order) {
            Some(rank) => self.find_rank(rank, found),
            None => Ok(()),
        }
    }

    /// Calls `found` with the number of every interval that holds the value which stands so to an end.
    pub fn find<E>(
        &self,
        order: impl Fn(&T) -> Option<Ordering>,
        found: &mut impl FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.rank(order) {
            Some(rank) => self.find_rank(rank, found),
            None => Ok(()),
        }
    }

    fn find_rank<E>(
        &self,
        rank: u32,
        found: &mut impl FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.lows.partition_point(|&low| low <= rank);
        if before == 0 {
            return Ok(());
        }
        let leaves = self.highs.len() / 2;
        // From leaf to leaf: down to the next one that is high enough, then over what was seen.
        let mut at = 1;
        loop {
            if self.highs[at] >= rank {
                if at < leaves {
                    at *= 2;
                    continue;
                }
                if at - leaves >= before {
                    return Ok(());
                }
                found(self.numbers[at - leaves])?;
            }
            // The next node that is not below one that was seen.
            while at & 1 == 1 {
                if at == 1 {
                    return Ok(());
                }
                at >>= 1;
            }
            at += 1;
            // Its leftmost leaf is behind the last interval that begins early enough.
            let height = leaves.ilog2() - at.ilog2();
            if (at << height) - leaves >= before {
                return Ok(());
            }
        }
    }
}

fn rank_of(index: usize) -> u32 {
    u32::try_from(2 * index).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::interval::Bound;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = Option<Bound<i32>>> {
        proptest::option::weighted(0.8, (0..12_i32, any::<bool>())).prop_map(|bound| {
            bound.map(|(at, inclusive)| Bound {
                at: at * 2,
                inclusive,
            })
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_asking_each_interval_finds(
            intervals in proptest::collection::vec((bound(), bound()), 0..20),
            value in -1..26_i32,
        ) {
            let intervals: Vec<Bounds<i32>> =
                intervals.into_iter().map(|(lower, upper)| Bounds { lower, upper }).collect();
            let numbered: Vec<_> = intervals.iter().zip(0..).collect();
            let stab = Stab::new(&numbered, Ord::cmp);
            let mut found = Vec::new();
            stab.find(|end| Some(value.cmp(end)), &mut |number| {
                found.push(number);
                Ok::<(), ()>(())
            })
            .unwrap();
            found.sort_unstable();
            let expected: Vec<u32> = numbered
                .iter()
                .filter(|(bounds, _)| bounds.admits(|end| Some(value.cmp(end))))
                .map(|&(_, number)| number)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
