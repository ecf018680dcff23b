//! The answer of an index: kept separate because every index gives it and the field's index holds all others.

/// A conjunction that an index names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Place of the rule in the table.
    pub rule: u32,
    /// The rest to be asked of it: a place in the table's tests.
    pub test: u32,
}

/// An answer of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A list of conjunctions.
    List(u32),
    /// A list of conjunctions that may be named as often as the value is long.
    RepeatedList(u32),
    /// One conjunction, which is named once for a message at most. Nearly every question is asked by one rule only,
    /// so all that is needed of that one lies here.
    One(Candidate),
    /// One conjunction, by its number.
    Conjunction(u32),
}

impl Default for Hit {
    fn default() -> Self {
        Self::One(Candidate::default())
    }
}
