//! `factflow_engine._native`: conversions between Python and `factflow-core`, and nothing else.
//!
//! This file is the index; `errors` is the one place where Rust errors become Python exceptions.

mod breaker;
mod codec;
mod conditions;
mod errors;
mod field_path;
mod frame;
mod frame_decoder;
mod hop;
mod routing;

use pyo3::prelude::*;

/// Rust half of factflow-engine. Import it through `factflow_engine.native`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::breaker::{Breaker, BreakerPermit, BreakerSettings};
    #[pymodule_export]
    use crate::codec::{label_of, pack, unpack, validate};
    #[pymodule_export]
    use crate::conditions::{Condition, compile_condition};
    #[pymodule_export]
    use crate::field_path::FieldPath;
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::frame_decoder::FrameDecoder;
    #[pymodule_export]
    use crate::hop::{
        Batch, Books, Carrier, Crew, Journal, Line, MessageContext, Siblings, Suspension, Worker,
    };
    #[pymodule_export]
    use crate::routing::{RouteTable, RouteTableStatistics};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::conditions::add_constants(module)?;
        crate::hop::add_steps(module)
    }
}
