//! Arrivals: when calls want to be made, and are made again.
//!
//! Kept separate from `run`, which starts them when the limits allow.

use super::random::{Stream, uniform};
use super::scenario::Load;
use crate::limits::arithmetic::ln;

/// Return the seconds before an attempt that follows on so many others.
pub(super) fn fibonacci(attempts: u32) -> u64 {
    let (mut now, mut next) = (1, 1);
    for _ in 0..attempts.min(40) {
        (now, next) = (next, now + next);
    }
    now
}

/// Return the time at which the next call of a load at random arrives; None if there is always one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of nanoseconds"
)]
pub(super) fn next_arrival_ns(load: Load, seed: u64, ordinal: u64, now_ns: u64) -> Option<u64> {
    let (rate, until_ns) = match load {
        Load::PoissonUntil { rate, until_ns } | Load::Pausing { rate, until_ns, .. } => {
            (rate, until_ns)
        }
        Load::Retrying { rate, .. } => (rate, u64::MAX),
        Load::Saturating | Load::Every { .. } => return None,
    };
    let seconds = -ln(1.0 - uniform(seed, ordinal, Stream::Arrival)) / rate;
    Some(now_ns.saturating_add((seconds * 1e9) as u64).min(until_ns))
}
