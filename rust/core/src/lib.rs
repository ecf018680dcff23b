//! The part of factflow-engine that is paid per message, as pure functions and plain data.
//!
//! No Python, no clock, no randomness, no I/O: time and identity are arguments. Each module is one concept; this
//! file is their index.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod breaker;
pub mod conditions;
pub mod examples;
pub mod frames;
pub mod ids;
pub mod limits;
pub mod ordering;
pub mod random;
pub mod routing;
pub mod value;
