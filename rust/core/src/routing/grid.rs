//! Index over sorted numbers: equal steps from the least to the greatest, and for each the count of numbers before it.
//!
//! Numbers that are spread at all evenly have one or two of a step, so that two looks find what a binary search finds
//! in a dozen. Where all crowd into one step the search is as long as without a grid.

/// Equal steps over sorted numbers. The default has none: one stretch of all.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    least: f64,
    /// Steps in one unit.
    scale: f64,
    /// Count of the numbers before each step, and one end more.
    before: Vec<u32>,
}

impl Grid {
    /// Return a grid over sorted numbers, none of them NaN.
    pub fn new(sorted: &[f64]) -> Self {
        let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else {
            return Self::default();
        };
        let steps = u32::try_from(sorted.len() - 1).unwrap_or(u32::MAX);
        let mut grid = Self {
            least,
            scale: f64::from(steps) / (greatest - least),
            before: Vec::new(),
        };
        // Not so if one of them is infinite, all are the same, or they are so near that the scale overflows.
        if !(greatest - least).is_finite() || !grid.scale.is_normal() {
            return Self::default();
        }
        let mut before = vec![0; sorted.len() + 2];
        for &number in sorted {
            before[grid.step(number, sorted.len()) + 1] += 1;
        }
        for step in 1..before.len() {
            before[step] += before[step - 1];
        }
        grid.before = before;
        grid
    }

    /// Return the first of so many numbers that may not be below this one, and the first that is certainly above.
    #[inline]
    pub fn stretch(&self, number: f64, count: usize) -> (usize, usize) {
        let Some(last) = self.before.len().checked_sub(2) else {
            return (0, count);
        };
        let step = self.step(number, last);
        (self.before[step] as usize, self.before[step + 1] as usize)
    }

    /// Return the step of a number; of two numbers the greater's is not below the other's.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast takes what is outside to the nearer end"
    )]
    fn step(&self, number: f64, last: usize) -> usize {
        (((number - self.least) * self.scale) as usize).min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-20..20_i32).prop_map(f64::from),
            -1e300..1e300,
            -1e-300..1e-300,
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::MAX),
            Just(f64::MIN),
        ]
    }

    proptest! {
        #[test]
        fn what_is_not_in_a_stretch_is_on_its_side(
            mut numbers in proptest::collection::vec(number(), 0..20),
            asked in number(),
        ) {
            numbers.sort_unstable_by(f64::total_cmp);
            let (first, behind) = Grid::new(&numbers).stretch(asked, numbers.len());
            prop_assert!(first <= behind && behind <= numbers.len());
            prop_assert!(numbers[..first].iter().all(|&number| number < asked));
            prop_assert!(numbers[behind..].iter().all(|&number| number > asked));
        }
    }
}
