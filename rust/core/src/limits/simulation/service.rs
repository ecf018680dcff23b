//! Durations of calls: by the distribution of a service, the growth of a link, or what was recorded.
//!
//! Kept separate from `server`, which says which calls are served.

use super::random::{Stream, normal, uniform};
use super::scenario::{Excess, Growth, RecordedLevel, Service};
use super::sharing::CallNumber;
use crate::limits::arithmetic::{exp, ln};

/// Return the time for which a call is served.
pub(super) fn duration_ns(service: &Service, seed: u64, call: CallNumber, now_ns: u64) -> u64 {
    let ordinal = call as u64;
    match service {
        Service::Steps(steps) => steps.at(now_ns),
        Service::LogNormal { mean_ns, sigma } => {
            let mu = ln(*mean_ns) - sigma * sigma / 2.0;
            whole(exp(mu + sigma * normal(seed, ordinal)))
        }
        Service::Bimodal {
            fast_ns,
            slow_ns,
            slow_share,
        } => {
            let is_slow = uniform(seed, ordinal, Stream::Service) < *slow_share;
            if is_slow { *slow_ns } else { *fast_ns }
        }
        Service::Warming {
            warm_ns,
            cold_ns,
            constant_ns,
        } => warm_ns + scaled(*cold_ns, exp(-float(now_ns) / float(*constant_ns))),
        Service::Sizes(sizes) => {
            let mut at = uniform(seed, ordinal, Stream::Service);
            let size = sizes.iter().find(|(share, _)| {
                at -= share;
                at < 0.0
            });
            size.or(sizes.last()).map_or(1, |(_, served_ns)| *served_ns)
        }
    }
}

impl Growth {
    /// Return what a level adds to the latency, in that of a call alone.
    pub(super) fn at(&self, level: u64) -> f64 {
        let beyond = self.knee.map_or(0.0, |(start, base)| {
            let over = level.saturating_sub(start).min(1_000);
            (0..over).fold(1.0, |power, _| power * base) - 1.0
        });
        float(level.saturating_sub(1)) * self.scale + beyond
    }

    pub(super) fn excess(&self, level: u64) -> Option<Excess> {
        self.limit
            .filter(|(most, _)| level > *most)
            .map(|(_, excess)| excess)
    }
}

/// Return the duration of a call, and whether it succeeds: those of one that was recorded with as many in flight.
///
/// Between two levels it is the lower one's. Above the last one it takes longer in proportion: what is beyond the most
/// that was ever seen is taken for a queue.
pub(super) fn recorded(levels: &[RecordedLevel], n: u64, at: f64) -> (u64, bool) {
    let after = levels.partition_point(|level| level.in_flight <= n);
    let Some(level) = levels.get(after.max(1) - 1) else {
        return (1, false);
    };
    let place = whole(float(level.calls.len() as u64) * at + 0.5) - 1;
    let place = usize::try_from(place).unwrap_or(0);
    let Some((duration_ns, dropped)) = level.calls.get(place).or(level.calls.last()) else {
        return (1, false);
    };
    let beyond = if after == levels.len() {
        (float(n) / float(level.in_flight.max(1))).max(1.0)
    } else {
        1.0
    };
    (scaled(*duration_ns, beyond), !dropped)
}

pub(super) fn scaled(nanoseconds: u64, factor: f64) -> u64 {
    whole(float(nanoseconds) * factor)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// Return nanoseconds, 1 at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates"
)]
fn whole(nanoseconds: f64) -> u64 {
    (nanoseconds.round() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_call_is_one_of_its_level_and_waits_beyond_the_last() {
        let level = |in_flight, calls: &[(u64, bool)]| RecordedLevel {
            in_flight,
            calls: calls.to_vec(),
        };
        let levels = [
            level(1, &[(10, false), (20, false)]),
            level(4, &[(30, false), (40, true)]),
        ];
        assert_eq!(recorded(&levels, 1, 0.0), (10, true));
        assert_eq!(recorded(&levels, 1, 0.49), (10, true));
        assert_eq!(recorded(&levels, 3, 0.51), (20, true));
        assert_eq!(recorded(&levels, 4, 0.999), (40, false));
        assert_eq!(recorded(&levels, 8, 0.0), (60, true));
        assert_eq!(recorded(&levels[1..], 1, 0.0), (30, true));
    }
}
