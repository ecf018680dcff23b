//! Tables of conditions: which of thousands hold for a message, at about the price of asking a few.
//!
//! Prior art: Kreps and Fabret's "access predicates" of publish/subscribe systems, and two engines that were measured,
//! `event-ruler` and `quamina`. Those merge all rules into one automaton over fields in a fixed order, and go linear
//! when many rules begin with the same value. Here each rule is filed under its *rarest* part only:
//!
//! 1. A rule is brought to negation normal form and split at its outermost `any_of` (`normal`). Nothing is multiplied
//!    out: an `any_of` further in is filed under all of its alternatives at once.
//! 2. Of each conjunction the part that the fewest rules share is chosen (`access`, `cost`): an equality, a prefix or
//!    suffix, an interval, a network, a text that must occur (`required` reads it off patterns), or mere presence.
//! 3. Each field has an index for each of these (`field`): a hash map, a hash taken along the lengths, a grid over
//!    interval ends, one Aho-Corasick automaton, a hash map for each length of networks' prefixes.
//! 4. What lies behind a wildcard or within `any_element` is filed in the same way, under slots of each element
//!    (`levels`).
//! 5. A message is walked once; the indices of the fields that it has name candidates; what remains of each candidate
//!    is asked of it (`table`). A conjunction with nothing to file it under (all its parts are negative) is always
//!    asked: these are the linear part, and the statistics count them.
//!
//! Matching allocates nothing besides what the caller collects results in, once its [`Scratch`] has grown. Building
//! takes time proportional to `n log n` of the rules' size. A table never changes: build another and swap them.
//!
//! Invariant, held by a test against asking every rule: a conjunction that holds is either always asked or is named by
//! the index; `exact` is said only where being named means that the part holds.

mod access;
mod affix;
mod build;
mod cost;
mod error;
mod field;
mod grid;
mod hit;
mod levels;
mod networks;
mod normal;
mod numbers;
mod ranges;
mod required;
mod search;
mod stab;
mod table;

pub use build::build;
pub use error::TableError;
pub use table::{Scratch, Statistics, Table};
