//! Best limits of servers whose latency is known by the calls that are there: of the greatest power, `X(L)^2 / L`.

use super::scenario::{Excess, Phase, RecordedLevel, ServerModel, Steps};
use super::service::float;

/// Most calls in flight that are tried.
const MOST: u32 = 10_000;

/// Return the best limit by time, for a server that is alone with one route.
#[must_use]
pub fn best_limits(server: &ServerModel) -> Vec<Phase> {
    match server {
        ServerModel::Workers { workers, .. } => phases(workers),
        ServerModel::Knee { knee, .. } => phases(&Steps::constant(*knee)),
        ServerModel::Sharing { streams, .. } => phases(&Steps::constant(*streams)),
        ServerModel::Breaking { workers, .. } => phases(&Steps::constant(*workers)),
        ServerModel::Refusing { room, .. } => phases(&Steps::constant(*room)),
        ServerModel::Batch { most, .. } => phases(&Steps::constant(*most)),
        ServerModel::Usl { alpha, beta, .. } => phases(&Steps::constant(of_usl(*alpha, *beta))),
        ServerModel::Link { by_calls, .. } => {
            let most = by_calls
                .limit
                .or(by_calls.knee.map(|(start, _)| (start, Excess::Defer)));
            phases(&Steps::constant(most.map_or(1, |(level, _)| level)))
        }
        ServerModel::Recorded { levels } => phases(&Steps::constant(of_levels(levels))),
    }
}

/// Return the phases of limits that are given by time.
pub(super) fn phases(limits: &Steps) -> Vec<Phase> {
    let phase = |(from_ns, limit): &(u64, u64)| Phase {
        from_ns: *from_ns,
        limit: u32::try_from(*limit).unwrap_or(u32::MAX),
    };
    limits.0.iter().map(phase).collect()
}

/// Return the best limit under contention and coherence.
pub(super) fn of_usl(alpha: f64, beta: f64) -> u64 {
    let power = |n: &u32| {
        let (n, others) = (f64::from(*n), f64::from(*n - 1));
        let latency = 1.0 + alpha * others + beta * n * others;
        n / (latency * latency)
    };
    let best = (1..MOST).max_by(|a, b| power(a).total_cmp(&power(b)));
    u64::from(best.unwrap_or(1))
}

/// Return the best of the levels that were recorded; what was dropped is no throughput.
fn of_levels(levels: &[RecordedLevel]) -> u64 {
    let power = |level: &&RecordedLevel| {
        let sum: u128 = level.calls.iter().map(|(ns, _)| u128::from(*ns)).sum();
        let good = level.calls.iter().filter(|(_, dropped)| !dropped).count() as u64;
        let all = level.calls.len() as u64;
        if all == 0 || sum == 0 {
            return 0.0;
        }
        let mean = float(u64::try_from(sum).unwrap_or(u64::MAX)) / float(all);
        let rate = float(level.in_flight) / mean * (float(good) / float(all));
        rate * rate / float(level.in_flight)
    };
    let best = levels.iter().max_by(|a, b| power(a).total_cmp(&power(b)));
    best.map_or(1, |level| level.in_flight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_is_the_last_one_before_latency_grows() {
        let level = |in_flight, ns, dropped| RecordedLevel {
            in_flight,
            calls: vec![(ns, dropped)],
        };
        let levels = [
            level(1, 50, false),
            level(8, 50, false),
            level(16, 100, false),
        ];
        assert_eq!(of_levels(&levels), 8);
        assert_eq!(of_levels(&[level(1, 50, false), level(8, 50, true)]), 1);
    }
}
