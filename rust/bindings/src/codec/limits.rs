//! Bounds of every value that enters from Python: kept separate because both directions and the index need them.

use factflow_core::value::Limits;

/// Bounds of every value that is packed or unpacked.
pub const LIMITS: Limits = Limits::DEFAULT;
