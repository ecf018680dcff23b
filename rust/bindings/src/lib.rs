//! `factflow_engine._native`: conversions between Python and `factflow-core`, and nothing else.
//!
//! This file is the index; `errors` is the one place where Rust errors become Python exceptions.

mod breaker;
mod codec;
mod conditions;
mod errors;
mod examples;
mod field_path;
mod frame;
mod frame_decoder;
mod gil_cell;
mod hop;
mod ids;
mod interpreter;
mod limit_suite;
mod limits;
mod routing;
mod stored;

use pyo3::prelude::*;

/// Rust half of factflow-engine. Import it through `factflow_engine.native`.
///
/// `gil_used`: a free-threaded interpreter turns its GIL on for this module, until it is proven without one.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::refuse_subinterpreter()?;
    module.add_class::<breaker::Breaker>()?;
    module.add_class::<breaker::BreakerPermit>()?;
    module.add_class::<breaker::BreakerSettings>()?;
    module.add_class::<conditions::Condition>()?;
    module.add_class::<conditions::PatternBudget>()?;
    module.add_class::<examples::TextExamples>()?;
    module.add_class::<field_path::FieldPath>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<frame_decoder::FrameDecoder>()?;
    module.add_class::<hop::Batch>()?;
    module.add_class::<hop::Counters>()?;
    module.add_class::<hop::Carrier>()?;
    module.add_class::<hop::WorkerPool>()?;
    module.add_class::<hop::Journal>()?;
    module.add_class::<hop::Channel>()?;
    module.add_class::<hop::Child>()?;
    module.add_class::<hop::Children>()?;
    module.add_class::<hop::Family>()?;
    module.add_class::<hop::LineageBatch>()?;
    module.add_class::<hop::LineageLog>()?;
    module.add_class::<hop::LineageRoute>()?;
    module.add_class::<hop::LoopWatch>()?;
    module.add_class::<hop::MessageContext>()?;
    module.add_class::<hop::Notifier>()?;
    module.add_class::<hop::Publisher>()?;
    module.add_class::<hop::Pull>()?;
    module.add_class::<hop::Puller>()?;
    module.add_class::<hop::Siblings>()?;
    module.add_class::<hop::Suspension>()?;
    module.add_class::<hop::WatchedCall>()?;
    module.add_class::<hop::Worker>()?;
    module.add_class::<ids::TimeOrderedIds>()?;
    module.add_class::<limits::ConcurrencyLimit>()?;
    module.add_class::<limits::controller::LimitController>()?;
    module.add_class::<limits::controller::LimitPermit>()?;
    module.add_class::<stored::LeasedFrame>()?;
    module.add_class::<routing::RouteTable>()?;
    module.add_class::<routing::RouteTableStatistics>()?;
    module.add_function(wrap_pyfunction!(codec::label_of, module)?)?;
    module.add_function(wrap_pyfunction!(codec::pack_value, module)?)?;
    module.add_function(wrap_pyfunction!(codec::unpack, module)?)?;
    module.add_function(wrap_pyfunction!(codec::validate, module)?)?;
    module.add_function(wrap_pyfunction!(conditions::compile_condition, module)?)?;
    module.add_function(wrap_pyfunction!(conditions::path_steps, module)?)?;
    module.add_function(wrap_pyfunction!(stored::encoded_frames, module)?)?;
    module.add_function(wrap_pyfunction!(stored::leased_frames, module)?)?;
    module.add_function(wrap_pyfunction!(stored::peeked_frame, module)?)?;
    module.add_function(wrap_pyfunction!(
        limits::controller::limit_parameters,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(errors::panic_on_purpose, module)?)?;
    conditions::add_constants(module)?;
    hop::add_am_send(module.py())?;
    hop::add_emitted(module)?;
    limits::add_names(module)?;
    limit_suite::add_suite(module)?;
    hop::add_ends(module)?;
    hop::add_holders(module)?;
    hop::add_kinds(module)?;
    hop::add_steps(module)?;
    hop::add_stops(module)
}
