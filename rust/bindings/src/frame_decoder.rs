//! `FrameDecoder`: frames out of a stream that comes in pieces of any size.

use factflow_core::frames::{DEFAULT_MAX_BYTES, Decoder};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::frame::Frame;
use crate::{codec, errors};

/// Decoder that takes bytes as they arrive and returns frames as they are complete.
#[pyclass(module = "factflow_engine._native")]
pub struct FrameDecoder {
    decoder: Decoder,
}

#[pymethods]
impl FrameDecoder {
    #[new]
    #[pyo3(signature = (*, max_frame_bytes=DEFAULT_MAX_BYTES), text_signature = "(*, max_frame_bytes=67108864)")]
    fn new(max_frame_bytes: u64) -> Self {
        Self {
            decoder: Decoder::new(max_frame_bytes, codec::LIMITS),
        }
    }

    #[pyo3(signature = (data, /))]
    fn feed(&mut self, data: &Bound<'_, PyBytes>) {
        self.decoder.feed(data.as_bytes());
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Frame>> {
        errors::guarded(py, || match self.decoder.next_frame() {
            Ok(frame) => Ok(frame.map(|frame| Frame::of(py, &frame))),
            Err(error) => Err(errors::not_a_frame(py, &error)),
        })
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.decoder
            .finish()
            .map_err(|error| errors::not_a_frame(py, &error))
    }

    #[getter]
    fn pending_bytes(&self) -> usize {
        self.decoder.pending_bytes()
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Frame>> {
        self.next(py)
    }
}
