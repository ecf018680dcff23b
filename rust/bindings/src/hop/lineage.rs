//! Lineage: rows of what happened to messages, appended by the loop and taken in batches by a writer.
//!
//! Kept separate from `journal`, which holds what must not be lost: rows are bounded, and those that do not fit are
//! counted and gone. Appending makes no Python object, waits for nothing and raises nothing; whatever costs more, the
//! reasons of skipped stages and the hashes of payloads, is done when a batch is packed, without the interpreter's lock.

pub mod batch;
pub mod causes;
pub mod log;
pub mod names;
pub mod recording;
pub mod row;
pub mod showing;
