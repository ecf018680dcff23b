//! Index of the intervals that hold a number: the rounded ends in order, each beside the answer of nearly every search
//! that stops there.
//!
//! Kept separate from `stab` because it compares ends as floats, exact below 2^53. Beyond, and where several intervals
//! hold the number, it asks the general index, which is kept only if a table needs it.

use crate::conditions::interval::Bounds;
use crate::conditions::number::{Number, NumberLiteral, compare, compare_literals};

use super::grid::Grid;
use super::hit::{Candidate, Hit};
use super::stab::{Holders, Stab, rank_of};

/// Intervals of numbers, each with its conjunction.
#[derive(Clone, Debug)]
pub struct NumberIndex {
    /// In order; a last one stands for the gap behind the last end.
    places: Vec<EndPlace>,
    /// Index over the rounded ends.
    grid: Grid,
    /// Answers where a place has [`Inside::SEVERAL`] or [`Inside::UNSURE`]; none if no place has.
    all: Option<Box<Stab<NumberLiteral>>>,
}

/// A rounded end, beside the intervals there.
#[derive(Clone, Copy, Debug)]
struct EndPlace {
    /// The end, rounded monotonically.
    at: f64,
    /// Intervals that hold the gap before the end.
    before: Inside,
    /// Intervals that hold the end itself.
    on: Inside,
}

/// The conjunction of the one interval that holds a number, or one of the constants, whose rule no table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inside(Candidate);

impl Inside {
    /// No interval.
    const NONE: Self = Self::special(0);
    /// Several intervals, or one that a message may name more than once.
    const SEVERAL: Self = Self::special(1);
    /// Undecided: floats do not tell the numbers there apart.
    const UNSURE: Self = Self::special(2);

    const fn special(test: u32) -> Self {
        Self(Candidate {
            rule: u32::MAX,
            test,
        })
    }
}

/// Least magnitude at which floats do not tell all integers apart: 2^53.
const ROUNDED: f64 = 9_007_199_254_740_992.0;

impl NumberIndex {
    /// Return the index of intervals, each with the number of its conjunction; `hit` returns the answer that names one
    /// conjunction alone.
    pub fn new(intervals: &[(&Bounds<NumberLiteral>, u32)], hit: impl Fn(u32) -> Hit) -> Self {
        let (all, holders) = Stab::with_holders(intervals, compare_literals);
        let inside = |rank: usize| match holders.get(rank) {
            None | Some(Holders::None) => Inside::NONE,
            Some(Holders::Several) => Inside::SEVERAL,
            Some(&Holders::One(number)) => match hit(number) {
                Hit::One(candidate) => Inside(candidate),
                _ => Inside::SEVERAL,
            },
        };
        let ats: Vec<f64> = all.ends().iter().map(NumberLiteral::rough).collect();
        let behind = EndPlace {
            at: f64::INFINITY,
            before: inside(2 * ats.len()),
            on: Inside::NONE,
        };
        let ends = ats.iter().enumerate().map(|(index, &at)| EndPlace {
            at,
            before: inside(2 * index),
            on: if at.abs() < ROUNDED {
                inside(2 * index + 1)
            } else {
                Inside::UNSURE
            },
        });
        let places: Vec<EndPlace> = ends.chain([behind]).collect();
        let is_asked = places
            .iter()
            .flat_map(|end| [end.before, end.on])
            .any(|inside| inside == Inside::SEVERAL || inside == Inside::UNSURE);
        Self {
            places,
            grid: Grid::new(&ats),
            all: is_asked.then(|| Box::new(all)),
        }
    }

    /// Return the size of the places in bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// Read the first place that [`NumberIndex::find`] would look at, and return something of it.
    #[inline]
    pub fn touch(&self, number: Number) -> u32 {
        let place = number.rough();
        let (first, _) = self.grid.stretch(place, 0);
        self.places.get(first).map_or(0, |end| end.before.0.test)
    }

    /// Call `found` with the answer of every interval that holds the number.
    #[inline]
    pub fn find(&self, number: Number, found: &mut impl FnMut(Hit)) {
        let place = number.rough();
        if place.is_nan() {
            return;
        }
        let count = self.places.len() - 1;
        let (first, behind) = self.grid.stretch(place, count);
        let low = first + self.places[first..behind].partition_point(|end| end.at < place);
        let end = &self.places[low];
        let is_on = low < behind && end.at <= place;
        let inside = if is_on { end.on } else { end.before };
        if inside == Inside::NONE {
            return;
        }
        if inside.0.rule != u32::MAX {
            found(Hit::One(inside.0));
            return;
        }
        let Some(all) = &self.all else {
            return; // unreachable: it is kept if a place needs it
        };
        let mut found = |name| found(Hit::Conjunction(name));
        if inside == Inside::SEVERAL {
            all.find_rank(rank_of(low) + u32::from(is_on), &mut found);
            return;
        }
        // Ends at the same place are compared exactly.
        let same = self.places[low..behind].partition_point(|end| end.at <= place);
        all.find_within((low, low + same), |end| compare(number, end), &mut found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::interval::Bound;
    use proptest::prelude::*;

    const TWO_53: i128 = 1 << 53;

    /// Few integers and floats, below and above the magnitude at which floats are inexact.
    fn literal() -> impl Strategy<Value = NumberLiteral> {
        prop_oneof![
            (-6..6_i32).prop_map(|number| NumberLiteral::Int(number.into())),
            (-6..6_i32).prop_map(|number| NumberLiteral::Float(f64::from(number) / 2.0)),
            (-3..6_i128).prop_map(|number| NumberLiteral::Int(TWO_53 + number)),
            (-3..6_i128).prop_map(|number| NumberLiteral::Int(-TWO_53 - number)),
            Just(NumberLiteral::Float(ROUNDED)),
            Just(NumberLiteral::Float(f64::INFINITY)),
            Just(NumberLiteral::Huge {
                below: f64::MAX,
                exact: false,
                negative: false,
            }),
        ]
    }

    fn number() -> impl Strategy<Value = Number> {
        prop_oneof![
            10 => literal().prop_map(|literal| match literal {
                NumberLiteral::Int(number) => Number::Int(number),
                NumberLiteral::Float(number) => Number::Float(number),
                NumberLiteral::Huge { below, .. } => Number::Float(below),
            }),
            1 => Just(Number::Float(f64::NAN)),
            1 => Just(Number::Float(f64::NEG_INFINITY)),
        ]
    }

    fn bound() -> impl Strategy<Value = Option<Bound<NumberLiteral>>> {
        let bound = (literal(), any::<bool>());
        proptest::option::weighted(
            0.8,
            bound.prop_map(|(at, inclusive)| Bound { at, inclusive }),
        )
    }

    /// Every interval has an end.
    fn interval() -> impl Strategy<
        Value = (
            Option<Bound<NumberLiteral>>,
            Option<Bound<NumberLiteral>>,
            bool,
        ),
    > {
        (bound(), bound(), any::<bool>()).prop_filter("an end", |(lower, upper, _)| {
            lower.is_some() || upper.is_some()
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_asking_each_interval_finds(
            intervals in proptest::collection::vec(interval(), 0..8),
            number in number(),
        ) {
            let bounds: Vec<_> = intervals
                .iter()
                .map(|(lower, upper, _)| Bounds { lower: lower.clone(), upper: upper.clone() })
                .collect();
            let numbered: Vec<_> = bounds.iter().zip(0..).collect();
            let index = NumberIndex::new(&numbered, |name| {
                if intervals[name as usize].2 {
                    Hit::Conjunction(name)
                } else {
                    Hit::One(Candidate { rule: name, test: 7 })
                }
            });
            let mut found = Vec::new();
            index.find(number, &mut |hit| match hit {
                Hit::One(candidate) => found.push(candidate.rule),
                Hit::Conjunction(name) => found.push(name),
                _ => unreachable!(),
            });
            found.sort_unstable();
            let expected: Vec<u32> = numbered
                .iter()
                .filter(|(bounds, _)| bounds.admits(|end| compare(number, end)))
                .map(|&(_, name)| name)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
