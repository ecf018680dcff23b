//! Simulation of limits: a server, a load and a limit, in virtual time, compared with an oracle that knows the server.
//!
//! Time is integer nanoseconds, events are ordered by time, kind and sequence, and random numbers are keyed by the seed
//! and the ordinal of the call, so that every algorithm meets the same service times, and a run is the same on every
//! machine.
//!
//! `scenario` is what is simulated, `catalogue` the published ones, `variants` others like them; `server` is the dependency, `random` its service
//! times; `run` is the loop, `measure` what it counts, and `score` compares a run with the oracle's.

mod catalogue;
mod measure;
mod random;
mod run;
mod scenario;
mod score;
mod server;
mod variants;

#[cfg(test)]
mod tests;

pub use catalogue::{SCALES, SCENARIOS, scenario};
pub use measure::Measured;
pub use run::{Controlled, run};
pub use scenario::{Load, Phase, Scenario, ServerModel, Service, Steps};
pub use score::{Cell, cell, oracle};
pub use variants::{Half, Variant, variant};
