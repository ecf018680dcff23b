//! Message values as msgpack bytes: read without copying, checked once, written without an intermediate tree.
//!
//! Kept separate from conditions and frames because both stand on it, and because it is the one place that looks at
//! hostile bytes. The division of labour:
//!
//! * [`validate`] is called once, where bytes enter. It refuses everything that a later reader could stumble over or
//!   disagree about: invalid UTF-8, duplicate or non-string keys, bad timestamps, depth, trailing bytes.
//! * [`read`] and [`skip`] are called per message and trust that. On bytes that were not validated they are still
//!   *safe* (they never panic, recurse or read out of bounds), but they check nothing that costs: no UTF-8, no keys.
//!
//! Invariants that all three keep: a declared length is compared with the bytes that remain before anything is done
//! with it (an array element takes at least one byte, a map entry two); nothing recurses; nothing is reserved by a
//! declared length.

mod error;
mod excerpt;
mod token;
mod validate;
mod write;

pub use error::ValueError;
pub use excerpt::{excerpt, quote};
pub use token::{Token, read, skip};
pub use validate::{Limits, validate, validate_at};
pub use write::{
    write_array_len, write_bin, write_bool, write_ext, write_f64, write_int, write_map_len,
    write_nil, write_str, write_timestamp, write_uint,
};
