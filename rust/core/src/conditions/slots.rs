//! Slots for the offsets that a walk finds: kept separate because both the walk and the places read them.

/// A slot whose value is not in the message.
pub const MISSING: usize = usize::MAX;

/// Destination of the offsets that a walk finds.
pub trait Slots {
    /// Return what is in a slot; [`MISSING`] before anything was written.
    fn get(&self, slot: usize) -> usize;

    /// Write a slot. A walk writes each at most once.
    fn set(&mut self, slot: usize, at: usize);
}

impl Slots for [usize] {
    #[inline]
    fn get(&self, slot: usize) -> usize {
        self[slot]
    }

    #[inline]
    fn set(&mut self, slot: usize, at: usize) {
        self[slot] = at;
    }
}
