//! The wire form of a message: the only thing that moves between queues, in memory, in files and through brokers.
//!
//! ```text
//! byte  0   magic and version   0xc1: format 1. No msgpack value begins with it, so raw msgpack is told at once
//!       1   flags               0: none are defined; a reader refuses those that it does not know
//!       2   length      u32     bytes of header and payload, big-endian as all of msgpack
//!       6   crc32c      u32     of bytes 0 to 5, header and payload
//!      10   header      array   of message id, correlation id or nil (the message id), parent id or nil, attempt,
//!                               time in nanoseconds, key or nil, headers (a map) or nil
//!           payload     value   any msgpack value; opaque here
//! ```
//!
//! A length and a checksum precede a format that delimits itself: the end of a frame is known without parsing it,
//! the size limit holds before anything is read, a torn file tail ("truncated") differs from a flipped bit
//! ("corrupt"), and corruption is found before a parser sees it. The checksum guards against accidents, not against
//! people: behind it everything is still validated.
//!
//! Invariants: nothing is reserved by a declared length, buffers grow as bytes arrive; the length is compared with the
//! limit as soon as it is known; a decoder that found corruption stays corrupt, since the next frame's beginning is
//! not known any more.

mod decoder;
mod error;
mod header;
mod wire;

pub use decoder::Decoder;
pub use error::FrameError;
pub use header::Header;
pub use wire::{
    DEFAULT_MAX_BYTES, FrameRef, MAX_HEADERS_BYTES, MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, PREFIX_BYTES,
    decode, encode, peek,
};
