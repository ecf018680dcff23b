//! Places of trial calls, each held until its lease ends.
//!
//! A list linked through a vector of slots: adding, removing any one, and finding the oldest take constant time, and
//! memory is that of the most leases there were at once.

const NOWHERE: u32 = u32::MAX;

/// Id of a lease, never given twice: slots are reused, serials are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaseId {
    slot: u32,
    serial: u64,
}

#[derive(Clone, Debug)]
struct LeaseSlot {
    /// Serial of the lease inside; 0 if the slot is free.
    serial: u64,
    deadline_ns: u64,
    /// Neighbours by age; in a free slot, `newer` is the next free one.
    older: u32,
    newer: u32,
}

/// Leases in the order in which they end.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    slots: Vec<LeaseSlot>,
    oldest: u32,
    newest: u32,
    free: u32,
    len: u32,
    last_serial: u64,
}

impl Leases {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            oldest: NOWHERE,
            newest: NOWHERE,
            free: NOWHERE,
            len: 0,
            last_serial: 0,
        }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// End all leases. Serials continue, so that no old id matches a new lease.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.oldest = NOWHERE;
        self.newest = NOWHERE;
        self.free = NOWHERE;
        self.len = 0;
    }

    /// Add a lease that ends no earlier than any that was added before.
    pub(super) fn add(&mut self, deadline_ns: u64) -> LeaseId {
        self.last_serial += 1;
        let lease = LeaseSlot {
            serial: self.last_serial,
            deadline_ns,
            older: self.newest,
            newer: NOWHERE,
        };
        let slot = self.free;
        let slot = if let Some(place) = self.slots.get_mut(slot as usize) {
            self.free = place.newer;
            *place = lease;
            slot
        } else {
            self.slots.push(lease);
            // There are at most as many slots as trial calls, which are counted in 32 bits.
            u32::try_from(self.slots.len() - 1).unwrap_or(NOWHERE)
        };
        match self.slots.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        self.len += 1;
        LeaseId {
            slot,
            serial: self.last_serial,
        }
    }

    /// End a lease; return false if it had ended before.
    pub(super) fn remove(&mut self, lease: LeaseId) -> bool {
        let Some(place) = self
            .slots
            .get_mut(lease.slot as usize)
            .filter(|place| place.serial == lease.serial)
        else {
            return false;
        };
        let (older, newer) = (place.older, place.newer);
        place.serial = 0;
        place.newer = self.free;
        self.free = lease.slot;
        match self.slots.get_mut(older as usize) {
            Some(place) => place.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(place) => place.older = older,
            None => self.newest = older,
        }
        self.len -= 1;
        true
    }

    /// Return the time at which the first lease ends.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.slots
            .get(self.oldest as usize)
            .map(|place| place.deadline_ns)
    }

    /// End leases that have expired; return their number.
    pub(super) fn expire(&mut self, now_ns: u64) -> u32 {
        let mut expired = 0;
        while let Some(place) = self.slots.get(self.oldest as usize) {
            if place.deadline_ns > now_ns {
                break;
            }
            let lease = LeaseId {
                slot: self.oldest,
                serial: place.serial,
            };
            self.remove(lease);
            expired += 1;
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain list: 0 adds, 1 removes some lease (perhaps an ended one), 2 lets time pass, 3 clears.
        #[test]
        fn leases_are_a_list_in_order(steps in prop::collection::vec((0_u8..8, any::<prop::sample::Index>()), 0..200)) {
            let mut leases = Leases::new();
            let mut now = 0;
            let mut alive: Vec<(LeaseId, u64)> = Vec::new();
            let mut ever: Vec<LeaseId> = Vec::new();
            let mut most = 0;
            for (step, choice) in steps {
                match step {
                    0..=3 => {
                        let lease = leases.add(now + 10);
                        alive.push((lease, now + 10));
                        ever.push(lease);
                    }
                    4 | 5 if !ever.is_empty() => {
                        let lease = ever[choice.index(ever.len())];
                        let expected = alive.iter().any(|(other, _)| *other == lease);
                        prop_assert_eq!(leases.remove(lease), expected);
                        alive.retain(|(other, _)| *other != lease);
                    }
                    6 => {
                        now += choice.index(8) as u64;
                        let before = alive.len();
                        alive.retain(|(_, deadline)| *deadline > now);
                        prop_assert_eq!(leases.expire(now) as usize, before - alive.len());
                    }
                    7 if choice.index(10) == 0 => {
                        leases.clear();
                        alive.clear();
                    }
                    _ => {}
                }
                most = most.max(alive.len());
                prop_assert_eq!(leases.len() as usize, alive.len());
                prop_assert_eq!(leases.next_deadline(), alive.first().map(|(_, deadline)| *deadline));
                prop_assert!(leases.slots.len() <= most);
            }
        }
    }
}
