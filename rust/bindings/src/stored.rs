//! `LeasedFrame`: a frame that a store has handed out; the conversion of many frames to rows of bytes and back; and the
//! header of a stored frame.
//!
//! Kept separate from `frame` because a store moves hundreds at a time: here that is one call from Python, not one a message.

use factflow_core::frames::{DEFAULT_MAX_BYTES, Decoder, FrameRef, peek};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::frame::Frame;
use crate::{codec, errors};

/// The msgpack value nil.
const NIL: u8 = 0xc0;

/// A frame that a store has handed out under a lease.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LeasedFrame {
    #[pyo3(get)]
    message: Py<Frame>,
    /// Number of the frame in the store.
    #[pyo3(get)]
    seq: i64,
    /// Token of the lease.
    #[pyo3(get)]
    token: i64,
}

#[pymethods]
impl LeasedFrame {
    #[new]
    #[pyo3(signature = (message, seq, token, /))]
    fn new(message: Py<Frame>, seq: i64, token: i64) -> Self {
        Self {
            message,
            seq,
            token,
        }
    }
}

/// Return the frames that the bytes are, one behind the other, under one lease and with ascending numbers.
#[pyfunction]
#[pyo3(signature = (data, first, token, /))]
pub fn leased_frames<'py>(
    data: &Bound<'py, PyBytes>,
    first: i64,
    token: i64,
) -> PyResult<Bound<'py, PyList>> {
    let py = data.py();
    errors::guarded(py, || {
        let mut decoder = Decoder::new(DEFAULT_MAX_BYTES, codec::LIMITS);
        decoder.feed(data.as_bytes());
        let mut leased = Vec::new();
        let refused = |error| errors::not_a_frame(py, &error);
        for seq in first.. {
            let Some(frame) = decoder.next_frame().map_err(refused)? else {
                break;
            };
            let message = Py::new(py, Frame::of(py, &frame))?;
            leased.push(Bound::new(py, LeasedFrame::new(message, seq, token))?);
        }
        decoder.finish().map_err(refused)?;
        PyList::new(py, leased)
    })
}

/// Return the ids of frames, and their bytes.
#[pyfunction]
#[pyo3(signature = (frames, /))]
pub fn encoded_frames<'py>(frames: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyTuple>> {
    let py = frames.py();
    let mut ids = Vec::with_capacity(frames.len());
    let mut encoded = Vec::with_capacity(frames.len());
    for frame in frames {
        let frame = frame.cast_into::<Frame>()?;
        ids.push(PyBytes::new(py, &frame.get().0.message_id));
        encoded.push(frame.get().encode(py)?);
    }
    (PyList::new(py, ids)?, PyList::new(py, encoded)?).into_pyobject(py)
}

/// Return the frame whose beginning this is, with nil for its payload, and how many bytes its payload has.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub fn peeked_frame(data: &Bound<'_, PyBytes>) -> PyResult<(Frame, usize)> {
    let py = data.py();
    errors::guarded(py, || {
        let (header, size) = peek(data.as_bytes(), DEFAULT_MAX_BYTES, codec::LIMITS)
            .map_err(|error| errors::not_a_frame(py, &error))?;
        let frame = FrameRef {
            header,
            payload: &[NIL],
        };
        Ok((Frame::of(py, &frame), size))
    })
}
