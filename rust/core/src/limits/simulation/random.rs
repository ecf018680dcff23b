//! Random numbers of a simulated call: the n-th of a seed, whichever algorithm makes it.

use crate::limits::arithmetic::{cos_of_turns, ln};
use crate::random::draw;

/// Streams of numbers of one call.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// Time of service.
    Service = 0,
    /// Second number for it.
    Second = 1,
    /// Failure.
    Failure = 2,
    /// Time until the next arrival.
    Arrival = 3,
}

/// Return a number from 0 up to 1.
pub(super) fn uniform(seed: u64, ordinal: u64, stream: Stream) -> f64 {
    draw(seed, ordinal.wrapping_mul(4).wrapping_add(stream as u64))
}

/// Return a standard normal number (Box and Muller 1958).
pub(super) fn normal(seed: u64, ordinal: u64) -> f64 {
    let radius = (-2.0 * ln(1.0 - uniform(seed, ordinal, Stream::Service))).sqrt();
    radius * cos_of_turns(uniform(seed, ordinal, Stream::Second))
}
