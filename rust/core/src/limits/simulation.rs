//! Simulation of limits: a server, a load and a limit, in virtual time, compared with an oracle that knows the server.
//!
//! Time is integer nanoseconds, events are ordered by time, kind and sequence, and random numbers are keyed by the seed
//! and the ordinal of the call, so that every algorithm meets the same service times, and a run is the same on every
//! machine.
//!
//! `scenario` is what is simulated, `catalogue` the published ones, `variants` others like them, `best` their limits;
//! `server` is the dependency, `random` its service times; `run` is the loop, `measure` what it counts, `series` what can
//! be drawn of it, and `score` compares a run with the oracle's; `contender` makes the algorithms that are compared.

mod best;
mod catalogue;
mod contender;
mod levels;
mod measure;
mod random;
mod run;
mod scenario;
mod score;
mod series;
mod server;
mod variants;
mod vector;

#[cfg(test)]
mod tests;

pub use best::best_limits;
pub use catalogue::{FURTHER, SCALES, SCENARIOS, scenario};
pub use contender::contender;
pub use levels::{Histogram, TimedLevels};
pub use measure::Measured;
pub use run::{Controlled, run, run_levels, run_unless};
pub use scenario::{
    Excess, Growth, Load, Phase, RecordedLevel, Scenario, ServerModel, Service, Steps,
};
pub use score::{Cell, cell, oracle};
pub use series::{Bin, LATENCY_CLASSES, Outcomes, Series};
pub use variants::{Half, Variant, variant};
pub use vector::{VECTOR, vector};
