//! `ScenarioMaker`: what scenarios are made with, at one scale of their capacities.
//!
//! Kept separate from `catalogue` and `further`, which both make them.

use super::best::phases;
use super::scenario::{Load, MS, Phase, SECOND, Scenario, ServerModel, Service, Steps};

pub(super) const NEVER: (u64, u64) = (0, 0);

/// Maker of one scenario at one scale.
pub(super) struct ScenarioMaker {
    pub(super) name: &'static str,
    pub(super) scale: f64,
}

impl ScenarioMaker {
    pub(super) fn of(&self, capacity: u64) -> u64 {
        scaled(capacity, self.scale)
    }

    pub(super) fn constant(&self, capacity: u64) -> Steps {
        Steps::constant(self.of(capacity))
    }

    /// Return capacities by seconds.
    pub(super) fn steps(&self, steps: &[(u64, u64)]) -> Steps {
        Steps(
            steps
                .iter()
                .map(|(at, capacity)| (at * SECOND, self.of(*capacity)))
                .collect(),
        )
    }

    pub(super) fn made(
        &self,
        seconds: u64,
        target_ms: u64,
        server: ServerModel,
        oracle: Vec<Phase>,
    ) -> Scenario {
        Scenario {
            name: self.name.into(),
            scale: self.scale,
            duration_ns: seconds * SECOND,
            server,
            load: Load::Saturating,
            joins: vec![0],
            leaves: Vec::new(),
            timeout_ns: None,
            target_ns: target_ms * MS,
            oracle,
        }
    }

    /// Return a scenario of calls that queue for workers, so that the best limit is their number.
    pub(super) fn queueing(
        &self,
        seconds: u64,
        target_ms: u64,
        workers: Steps,
        service: Service,
    ) -> Scenario {
        let oracle = phases(&workers);
        let server = ServerModel::Workers {
            workers,
            service,
            failing: 0.0,
            outage: NEVER,
        };
        self.made(seconds, target_ms, server, oracle)
    }
}

pub(super) fn served(milliseconds: u64) -> Service {
    Service::Steps(Steps::constant(milliseconds * MS))
}

pub(super) fn phase(from_ns: u64, limit: u64) -> Phase {
    Phase {
        from_ns,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "capacities are small and positive"
)]
fn scaled(capacity: u64, scale: f64) -> u64 {
    ((capacity as f64 * scale).round() as u64).max(1)
}
