//! Examples of texts: a text that meets several demands at once, or the proof that there is none.
//!
//! Each demand is an automaton over bytes; their product is walked as far as a bound allows. What is found is the
//! shortest text, and a plain one; other texts are found by choices, which a generator of test data draws. Nothing
//! here runs while messages flow.

mod automaton;
mod demand;
mod error;
mod walk;

pub use demand::Demand;
pub use error::ExamplesError;
pub use walk::Examples;

#[cfg(test)]
mod tests;
