//! Conditions on messages: read from what an author wrote, evaluated on the messages' bytes without decoding them.
//!
//! The language in five rules. A condition never fails on a message: every operator is total, and what cannot be right
//! is refused when the condition is compiled. There are two truth values, and `not`, `neq`, `not_in` are exact
//! complements, for a field that is not there too. Types are compared and never coerced, except that all numbers lie
//! on one line and are compared exactly. A missing field is not nil. An array is searched only where `[*]`,
//! `contains` or `any_element` says so.
//!
//! Evaluating is linear in the message: places are found in one walk ([`Scope`]), each leaf then looks at its own
//! value, patterns are linear-time. Compiling is bounded in depth, size and the memory of patterns.
//!
//! Evaluation takes bytes that were validated where they came in. Others cannot make it panic, hang or read past the
//! end: it answers with an error if it meets malformed bytes, and takes no notice of those that it does not look at.

mod base64;
pub(crate) mod choices;
mod compile;
pub(crate) mod equality;
mod field_path;
mod finding;
mod instant;
pub(crate) mod interval;
mod kind;
mod length;
pub(crate) mod literal;
pub(crate) mod network;
mod node;
pub(crate) mod number;
mod operator;
mod path;
mod path_error;
pub(crate) mod pattern;
mod pattern_size;
mod place;
pub(crate) mod predicate;
pub(crate) mod scalar;
mod scope;
mod shape;
mod slots;
mod source;
pub(crate) mod stride;
mod suggest;
pub(crate) mod text;
mod text_cache;
pub(crate) mod texts;

pub use compile::{
    Compiler, MAX_DEPTH, MAX_NODES, MAX_PATTERNS_BYTES, NoOperators, Operators, compile,
};
pub use field_path::FieldLocator;
pub use finding::{Code, Finding};
pub use node::{AnyElement, Body, Leaf, Node};
pub use operator::BUILT_IN;
pub use path::{Segment, parse as parse_path};
pub use path_error::PathError;
pub use place::Place;
pub use predicate::{BuiltInOnly, Host, Predicate};
pub use scope::Scope;
pub use slots::{MISSING, Slots};
pub use source::{Integer, PathStep, Source};
pub(crate) use stride::past;
pub use text_cache::TextCache;

#[cfg(test)]
mod tests;
