//! Simulation of limits: a server, a load and a limit, in virtual time, compared with an oracle that knows the server.
//!
//! Time is integer nanoseconds, events are ordered by time, kind and sequence, and random numbers are keyed by the seed
//! and the ordinal of the call, so that every algorithm meets the same service times, and a run is the same on every
//! machine.
//!
//! `scenario` is what is simulated, `catalogue` the published ones, `further` those outside their table, `maker` what both
//! are made with, `variants` others like them, `best` their limits; `server` is the dependency, `sharing` a
//! link in it, `service` and `random` its service times; `run` is the loop, `calls` what its events are about, `arrivals` the
//! times at which calls want to be made, `measure` what it counts, `series` what can be drawn of it,
//! and `score` compares a run with the oracle's; `contender` makes the algorithms that are compared.

mod arrivals;
mod best;
mod calls;
mod catalogue;
mod contender;
mod further;
mod levels;
mod maker;
mod measure;
mod random;
mod run;
mod scenario;
mod score;
mod series;
mod server;
mod service;
mod sharing;
mod variants;
mod vector;

#[cfg(test)]
mod tests;

pub use best::best_limits;
pub use catalogue::{SCALES, SCENARIOS, scenario};
pub use contender::contender;
pub use further::FURTHER;
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
