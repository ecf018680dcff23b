//! Injected randomness of algorithms that probe at random times.

/// A source of numbers from 0 up to 1, or from a half up to 1 where an algorithm says so.
pub enum Jitter {
    /// Numbers given in advance, taken in turn and then again from the first. Not empty.
    Cycle(Vec<f64>, usize),
    /// A function.
    Call(Box<dyn FnMut() -> f64 + Send + Sync>),
    /// The draws of a seed, spread over a range.
    Seeded {
        /// Beginning of the range.
        from: f64,
        /// The seed.
        seed: u64,
        /// Draws so far.
        drawn: u64,
    },
}

impl Jitter {
    /// Return the next number.
    pub fn take(&mut self) -> f64 {
        match self {
            Self::Cycle(numbers, place) => {
                let number = numbers[*place % numbers.len()];
                *place = place.wrapping_add(1);
                number
            }
            Self::Call(draw) => draw(),
            Self::Seeded { from, seed, drawn } => {
                *drawn += 1;
                *from + (1.0 - *from) * crate::random::draw(*seed, *drawn)
            }
        }
    }
}
