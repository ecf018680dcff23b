//! Frames out of a stream that comes in pieces of any size.

use super::error::FrameError;
use super::wire::{FrameRef, measure, open, truncated};
use crate::value::Limits;

/// Decoder of a stream: takes bytes as they arrive, and returns frames as they are complete.
///
/// Memory: what was fed and not yet taken, and nothing by a declared length. A frame costs time linear in its length
/// however it was cut: an incomplete one is only measured again, never parsed again.
///
/// ```
/// use factflow_core::frames::{DEFAULT_MAX_BYTES, Decoder, Header, encode};
/// use factflow_core::value::Limits;
///
/// let id = [7; 16];
/// let header = Header {
///     message_id: id, correlation_id: id, parent_id: None, attempt: 1, time_ns: 0, key: None, headers: None,
/// };
/// let mut stream = Vec::new();
/// encode(&mut stream, &header, &[0xc0])?;
///
/// let mut decoder = Decoder::new(DEFAULT_MAX_BYTES, Limits::DEFAULT);
/// let (first, second) = stream.split_at(12);
/// decoder.feed(first);
/// assert_eq!(decoder.next_frame(), Ok(None));
/// decoder.feed(second);
/// assert_eq!(decoder.next_frame()?.expect("it is complete").payload, [0xc0]);
/// decoder.finish()?;
/// # Ok::<(), factflow_core::frames::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Offset of the next frame in the buffer.
    start: usize,
    /// Offset of the buffer in the stream.
    base: u64,
    max_frame_bytes: u64,
    limits: Limits,
    /// Set once, then returned by every call: after corruption the beginning of the next frame is unknown.
    corrupt: Option<FrameError>,
}

impl Decoder {
    /// Return a decoder to which frames longer than `max_frame_bytes`, prefix included, are corrupt.
    #[must_use]
    pub const fn new(max_frame_bytes: u64, limits: Limits) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            base: 0,
            max_frame_bytes,
            limits,
            corrupt: None,
        }
    }

    /// Add bytes. After corruption they are dropped: [`Decoder::next_frame`] says what happened.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.corrupt.is_some() {
            return;
        }
        // Moving what remains only when it is the smaller part keeps the cost linear in the bytes fed.
        if self.start > self.buffer.len() / 2 || self.start == self.buffer.len() {
            self.buffer.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Return the next frame, or None until more is fed. Its offset in errors counts from the beginning of the stream.
    pub fn next_frame(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        if let Some(error) = self.corrupt {
            return Err(error);
        }
        let from = self.start;
        let at = self.base + from as u64;
        let pending = &self.buffer[from..];
        let opened = match measure(pending, self.max_frame_bytes) {
            Ok(Some(length)) if length <= pending.len() => {
                self.start += length;
                open(&pending[..length], self.limits)
            }
            Ok(_) => return Ok(None),
            Err(error) => Err(error),
        };
        match opened {
            Ok(frame) => Ok(Some(frame)),
            Err(error) => {
                let error = error.within(at);
                self.corrupt = Some(error);
                Err(error)
            }
        }
    }

    /// Note that the stream has ended: an error if that is within a frame, or was corrupt.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(error) = self.corrupt {
            return Err(error);
        }
        let mut at = self.start;
        // Whole frames that nobody took are no error of the stream.
        loop {
            let pending = &self.buffer[at..];
            let offset = self.base + at as u64;
            match measure(pending, self.max_frame_bytes).map_err(|error| error.within(offset))? {
                Some(length) if length <= pending.len() => at += length,
                _ if pending.is_empty() => return Ok(()),
                _ => return Err(truncated(pending).within(offset)),
            }
        }
    }

    /// Return the bytes that were fed and belong to no frame that was returned.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }
}
