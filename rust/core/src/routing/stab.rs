//! Index of the intervals that hold a value, of any kind of ends.
//!
//! The ends are replaced by their ranks: `2i + 1` is the i-th end itself, `2i` the gap before it. So an interval is a
//! range of whole numbers, and a value is compared with ends only to find its rank.

use core::cmp::Ordering;

use crate::conditions::interval::Bounds;

use super::ranges::Ranges;

/// Intervals of one kind of value, each with a number.
#[derive(Clone, Debug)]
pub struct Stab<T> {
    ends: Ends<T>,
    ranges: Ranges,
}

/// Number of the intervals that hold a value, with the name of a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// None.
    None,
    /// One, by its number.
    One(u32),
    /// More than one.
    Several,
}

/// The ends of some intervals.
#[derive(Clone, Debug)]
pub struct Ends<T> {
    /// Distinct, in order.
    ends: Vec<T>,
}

impl<T: Clone> Ends<T> {
    /// Return the ends of these intervals.
    pub fn new(intervals: &[(&Bounds<T>, u32)], order: impl Fn(&T, &T) -> Ordering) -> Self {
        let mut ends: Vec<T> = intervals
            .iter()
            .flat_map(|(bounds, _)| [&bounds.lower, &bounds.upper])
            .filter_map(|bound| bound.as_ref().map(|bound| bound.at.clone()))
            .collect();
        ends.sort_unstable_by(&order);
        ends.dedup_by(|one, two| order(one, two) == Ordering::Equal);
        Self { ends }
    }

    /// Return the lowest and the highest rank of the values inside; the lowest is above the highest if there are none.
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

    /// Return the lowest and the highest rank and the number of every interval that holds a value.
    fn ranges(
        &self,
        intervals: &[(&Bounds<T>, u32)],
        order: impl Fn(&T, &T) -> Ordering,
    ) -> Vec<(u32, u32, u32)> {
        intervals
            .iter()
            .map(|(bounds, number)| {
                let (low, high) = self.ranks(bounds, &order);
                (low, high, *number)
            })
            .filter(|(low, high, _)| low <= high)
            .collect()
    }

    /// Return the rank of a value, given its order relative to an end; `None` if it has no order.
    fn rank(&self, order: impl Fn(&T) -> Option<Ordering>) -> Option<u32> {
        self.rank_within(0, self.ends.len(), order)
    }

    /// Return the rank of a value that is not below the end before `low` and not above the end at `high`.
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
}

/// Return the rank of the gap before an end.
pub fn rank_of(index: usize) -> u32 {
    u32::try_from(2 * index).unwrap_or(u32::MAX - 1)
}

/// Return the holders of each of so many ranks.
///
/// At the start of a range its name is added to a sum, and subtracted at its end: if one is open, its name is what
/// is left of all of them. So this is linear however much they overlap.
fn holders(ranges: &[(u32, u32, u32)], count: usize) -> Vec<Holders> {
    let mut changes = vec![(0_i64, 0_i64); count + 1];
    for &(low, high, name) in ranges {
        let first = (low as usize).min(count);
        let behind = (high as usize).saturating_add(1).min(count);
        changes[first].0 += 1;
        changes[first].1 += i64::from(name);
        changes[behind].0 -= 1;
        changes[behind].1 -= i64::from(name);
    }
    let (mut open, mut names) = (0, 0);
    changes[..count]
        .iter()
        .map(|&(opened, added)| {
            open += opened;
            names += added;
            match open {
                0 => Holders::None,
                1 => u32::try_from(names).map_or(Holders::Several, Holders::One),
                _ => Holders::Several,
            }
        })
        .collect()
}

impl<T: Clone> Stab<T> {
    /// File intervals, given with their numbers. Those that hold nothing are left out.
    pub fn new(intervals: &[(&Bounds<T>, u32)], order: impl Fn(&T, &T) -> Ordering) -> Self {
        let ends = Ends::new(intervals, &order);
        let ranges = ends.ranges(intervals, &order);
        let most = rank_of(ends.ends.len());
        Self {
            ends,
            ranges: Ranges::new(ranges, most),
        }
    }

    /// Return the index, and for each rank the intervals that hold it: in turns a gap, and the end behind it.
    pub fn with_holders(
        intervals: &[(&Bounds<T>, u32)],
        order: impl Fn(&T, &T) -> Ordering,
    ) -> (Self, Vec<Holders>) {
        let ends = Ends::new(intervals, &order);
        let ranges = ends.ranges(intervals, &order);
        let holders = holders(&ranges, 2 * ends.ends.len() + 1);
        let most = rank_of(ends.ends.len());
        let stab = Self {
            ends,
            ranges: Ranges::new(ranges, most),
        };
        (stab, holders)
    }

    /// Return the distinct ends, in order.
    pub fn ends(&self) -> &[T] {
        &self.ends.ends
    }

    /// Call `found` with the number of every interval that holds a value, given its order relative to an end.
    #[inline]
    pub fn find(&self, order: impl Fn(&T) -> Option<Ordering>, found: &mut impl FnMut(u32)) {
        self.find_within((0, self.ends.ends.len()), order, found);
    }

    /// Call `found` as [`Stab::find`] does, for a value that is not below the end before `low` and not above the end at `high`.
    #[inline]
    pub fn find_within(
        &self,
        (low, high): (usize, usize),
        order: impl Fn(&T) -> Option<Ordering>,
        found: &mut impl FnMut(u32),
    ) {
        if let Some(rank) = self.ends.rank_within(low, high, order) {
            self.ranges.find(rank, found);
        }
    }

    /// Call `found` as [`Stab::find`] does, for a value of that rank.
    #[inline]
    pub fn find_rank(&self, rank: u32, found: &mut impl FnMut(u32)) {
        self.ranges.find(rank, found);
    }
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
            stab.find(|end| Some(value.cmp(end)), &mut |number| found.push(number));
            found.sort_unstable();
            let expected: Vec<u32> = numbered
                .iter()
                .filter(|(bounds, _)| bounds.admits(|end| Some(value.cmp(end))))
                .map(|&(_, number)| number)
                .collect();
            prop_assert_eq!(&found, &expected);
            let (stab, holders) = Stab::with_holders(&numbered, Ord::cmp);
            let rank = stab.ends.rank(|end| Some(value.cmp(end))).unwrap();
            let expected = match expected[..] {
                [] => Holders::None,
                [one] => Holders::One(one),
                _ => Holders::Several,
            };
            prop_assert_eq!(holders[rank as usize], expected);
        }
    }
}
