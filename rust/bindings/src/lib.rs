//! `factflow_engine._native`: conversions between Python and `factflow-core`, and nothing else.

use pyo3::prelude::*;

/// Rust half of factflow-engine. Import it through `factflow_engine.native`.
#[pymodule]
mod _native {}
