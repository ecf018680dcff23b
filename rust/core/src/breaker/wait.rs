//! The wait in open: exponential in the number of times that it opened, capped, jittered.

use super::settings::Settings;

/// The number of times in a row that the breaker opened, from which its wait follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// Openings since it was last closed.
    attempt: u32,
    /// Wait of this attempt before jitter, in nanoseconds; multiplied step by step, so that a step costs the same
    /// however many there were.
    level_ns: f64,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self {
            attempt: 0,
            level_ns: 0.0,
        }
    }

    pub(super) const fn attempt(self) -> u32 {
        self.attempt
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "waits are far below 2^53 ns, and need not be exact beyond"
    )]
    pub(super) fn increase(&mut self, settings: &Settings) {
        self.level_ns = if self.attempt == 0 {
            settings.wait_ns as f64
        } else {
            (self.level_ns * settings.wait_multiplier).min(settings.max_wait_ns as f64)
        };
        self.attempt = self.attempt.saturating_add(1);
    }

    /// Return the wait of this attempt. Jitter only shortens it, so that it never exceeds the cap, and breakers at
    /// the cap spread, too. `draw` is from 0 up to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are positive, finite and capped by a wait of 64 bits"
    )]
    pub(super) fn wait_ns(self, jitter: f64, draw: f64) -> u64 {
        let level = self.level_ns as u64;
        let shortened = (self.level_ns * jitter * draw) as u64;
        level.saturating_sub(shortened).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::draw;
    use proptest::prelude::*;

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "bounds need not be exact")]
        fn a_wait_lies_between_its_jittered_bounds(attempts in 1_u32..200, jitter in 0.0..=1.0, seed: u64) {
            let settings = Settings { wait_jitter: jitter, ..Settings::default() };
            let mut backoff = Backoff::new();
            for _ in 0..attempts {
                backoff.increase(&settings);
            }
            let full = 5_000_000_000_u64.saturating_mul(1_u64 << (attempts - 1).min(30)).min(60_000_000_000);
            let wait = backoff.wait_ns(jitter, draw(seed, u64::from(attempts)));
            prop_assert!(wait <= full);
            prop_assert!(wait as f64 >= full as f64 * (1.0 - jitter) - 2.0);
            prop_assert!(wait >= 1);
        }
    }
}
