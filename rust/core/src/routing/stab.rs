//! Index of the intervals that hold a value, of any kind of ends.
//!
//! The ends are replaced by their ranks: `2i + 1` is the i-th end itself, `2i` the gap before it. So an interval is a
//! range of whole numbers, and a value is compared with ends only to find its rank.

use core::cmp::Ordering;

use crate::conditions::interval::Bounds;

use super::grid::Grid;
use super::ranges::Ranges;

/// Intervals of one kind of value, each with a number.
#[derive(Clone, Debug)]
pub struct Stab<T> {
    ends: Ends<T>,
    ranges: Ranges,
    /// The one interval that holds a gap, [`NONE`] or [`MORE`], by gap; emptied once `places` has them.
    gaps: Vec<u32>,
    /// Rounded ends, if the ends are numbers.
    places: Vec<EndPlace>,
    /// Index over the rounded ends.
    grid: Grid,
}

/// A rounded end, beside the answer of nearly every search that stops there.
#[derive(Clone, Copy, Debug)]
struct EndPlace {
    /// The end, rounded monotonically.
    at: f64,
    /// The one interval that holds the gap before the end, [`NONE`] or [`MORE`].
    gap: u32,
}

/// Marker of no interval.
const NONE: u32 = u32::MAX;
/// Marker of more than one interval.
const MORE: u32 = u32::MAX - 1;

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

fn rank_of(index: usize) -> u32 {
    u32::try_from(2 * index).unwrap_or(u32::MAX - 1)
}

/// Return for each of so many gaps the one range that holds it, [`NONE`] or [`MORE`].
///
/// At the start of a range its name is added to a sum, and subtracted at its end: if one is open, its name is what
/// is left of all of them. So this is linear however much they overlap.
fn gaps(ranges: &[(u32, u32, u32)], count: usize) -> Vec<u32> {
    let mut changes = vec![(0_i64, 0_i64); count + 1];
    for &(low, high, name) in ranges {
        // Gap `i` has the rank `2i`.
        let first = (low as usize).div_ceil(2).min(count);
        let behind = (high as usize / 2 + 1).min(count);
        if first < behind {
            changes[first].0 += 1;
            changes[first].1 += i64::from(name);
            changes[behind].0 -= 1;
            changes[behind].1 -= i64::from(name);
        }
    }
    let (mut open, mut names) = (0, 0);
    changes[..count]
        .iter()
        .map(|&(opened, added)| {
            open += opened;
            names += added;
            match open {
                0 => NONE,
                1 => u32::try_from(names).unwrap_or(MORE),
                _ => MORE,
            }
        })
        .collect()
}

impl<T: Clone> Stab<T> {
    /// File intervals, given with their numbers. Those that hold nothing are left out.
    pub fn new(intervals: &[(&Bounds<T>, u32)], order: impl Fn(&T, &T) -> Ordering) -> Self {
        let ends = Ends::new(intervals, &order);
        let ranked: Vec<(u32, u32, u32)> = intervals
            .iter()
            .map(|(bounds, number)| {
                let (low, high) = ends.ranks(bounds, &order);
                (low, high, *number)
            })
            .filter(|(low, high, _)| low <= high)
            .collect();
        let gaps = gaps(&ranked, ends.ends.len() + 1);
        let ranges = Ranges::new(ranked, rank_of(ends.ends.len()));
        Self {
            ends,
            ranges,
            gaps,
            places: Vec::new(),
            grid: Grid::default(),
        }
    }

    /// Return the index with rounded ends: of two ends the greater's is not below the other's.
    pub fn with_places(mut self, place: impl Fn(&T) -> f64) -> Self {
        let places: Vec<f64> = self.ends.ends.iter().map(place).collect();
        self.grid = Grid::new(&places);
        // Behind the last end is a gap too.
        self.places = places
            .into_iter()
            .chain([f64::INFINITY])
            .zip(&self.gaps)
            .map(|(at, &gap)| EndPlace { at, gap })
            .collect();
        self.gaps = Vec::new();
        self
    }

    /// Call `found` with the number of every interval that holds a value, given its order relative to an end.
    #[inline]
    pub fn find(&self, order: impl Fn(&T) -> Option<Ordering>, found: &mut impl FnMut(u32)) {
        if let Some(rank) = self.ends.rank(order) {
            self.ranges.find(rank, found);
        }
    }

    /// Call `found` as [`Stab::find`] does, for a value that is rounded to `place`; needs [`Stab::with_places`].
    #[inline]
    pub fn find_near(
        &self,
        place: f64,
        order: impl Fn(&T) -> Option<Ordering>,
        found: &mut impl FnMut(u32),
    ) {
        if place.is_nan() {
            return;
        }
        let count = self.ends.ends.len();
        let (first, behind) = self.grid.stretch(place, count);
        let low = first + self.places[first..behind].partition_point(|end| end.at < place);
        let end = self.places[low];
        // Ends at another place are on that side of the value; those at the same place are compared exactly.
        if low < behind && end.at <= place {
            let same = self.places[low..behind].partition_point(|end| end.at <= place);
            if let Some(rank) = self.ends.rank_within(low, low + same, order) {
                self.ranges.find(rank, found);
            }
            return;
        }
        match end.gap {
            NONE => {}
            MORE => self.ranges.find(rank_of(low), found),
            number => found(number),
        }
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
            found.clear();
            // Several ends and values share a place.
            let stab = stab.with_places(|&end| f64::from(end / 4));
            stab.find_near(f64::from(value.div_euclid(4)), |end| Some(value.cmp(end)), &mut |number| found.push(number));
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
