//! `KeyedQueue`: a first-in-first-out queue that hands out one item of a key at a time.
//!
//! An item whose key is free is *ready*; one that comes while another item of its key is ready or taken is *parked*
//! behind it. When the taken item of a key has ended, the first that is parked behind it becomes ready. What is taken
//! is always the ready item that came first, so that items without keys, and items of different keys, overtake only
//! what must not be taken yet, and a key whose items keep coming overtakes nobody.
//!
//! Parking happens when an item is added, not when it is looked for: an item is moved at most once before it is taken,
//! and no operation looks through what is parked. Adding and taking an item without a key costs a place in a deque;
//! one with a key, a look into a hash table; ending one that others are parked behind, a place in a heap that is as
//! long as there are keys with an item that became ready so and was not taken.
//!
//! Invariants (each is asserted by the tests after every operation, against a model that is a plain list):
//!
//! 1. Of the items of a key at most one is ready or taken. Those that are parked came after it.
//! 2. A key is in the table while an item of it is ready or taken, and then only.
//! 3. An item that is given back is the first of all that are ready, and before all that are parked behind it.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// An item that says which message it is; another attempt at the same message says the same.
pub trait Identified {
    /// Return the message's id.
    fn id(&self) -> [u8; 16];
}

/// An item in its place; places are compared, never items.
struct Ranked<T> {
    place: i64,
    key: Option<Arc<str>>,
    item: T,
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T> Eq for Ranked<T> {}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// A key of which an item is ready or taken.
struct KeyState<T> {
    /// The item that was taken and has not ended; None while it is ready.
    taken: Option<[u8; 16]>,
    /// Items that came after it, in order.
    parked: VecDeque<Ranked<T>>,
}

/// First-in-first-out queue that hands out one item of a key at a time; `factflow_core::ordering` has its invariants.
///
/// ```
/// use factflow_core::ordering::{Identified, KeyedQueue};
///
/// #[derive(Debug, PartialEq)]
/// struct Item(u8);
///
/// impl Identified for Item {
///     fn id(&self) -> [u8; 16] {
///         [self.0; 16]
///     }
/// }
///
/// let mut queue = KeyedQueue::default();
/// queue.push(Some("user"), Item(1));
/// queue.push(Some("user"), Item(2));
/// queue.push(None, Item(3));
/// assert_eq!(queue.take(), Some(Item(1)));
/// assert_eq!(queue.take(), Some(Item(3)), "the second of the key waits for the first");
/// assert!(queue.end("user", &Item(1).id()));
/// assert_eq!(queue.take(), Some(Item(2)));
/// ```
pub struct KeyedQueue<T> {
    /// Items that were ready when they came, or were given back, in order.
    ready: VecDeque<Ranked<T>>,
    /// Items that were parked and are ready.
    freed: BinaryHeap<Reverse<Ranked<T>>>,
    keys: HashMap<Arc<str>, KeyState<T>>,
    parked: usize,
    /// Places of the next item to be added, and of the next to be given back.
    last: i64,
    first: i64,
}

impl<T> Default for KeyedQueue<T> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            freed: BinaryHeap::new(),
            keys: HashMap::new(),
            parked: 0,
            last: 0,
            first: -1,
        }
    }
}

impl<T: Identified> KeyedQueue<T> {
    /// Return the number of items that wait, ready or parked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready() + self.parked
    }

    /// True if no item waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Return how many items could be taken now, one after the other.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len() + self.freed.len()
    }

    /// Add an item at the end.
    pub fn push(&mut self, key: Option<&str>, item: T) {
        let place = self.last;
        self.last += 1;
        let Some(key) = key else {
            self.ready.push_back(Ranked {
                place,
                key: None,
                item,
            });
            return;
        };
        if let Some(held) = self.keys.get_mut(key) {
            held.parked.push_back(Ranked {
                place,
                key: None, // set when it becomes ready
                item,
            });
            self.parked += 1;
            return;
        }
        let key: Arc<str> = key.into();
        self.hold(Arc::clone(&key));
        self.ready.push_back(Ranked {
            place,
            key: Some(key),
            item,
        });
    }

    /// Take the item that is ready and came first.
    pub fn take(&mut self) -> Option<T> {
        let freed = self.freed.peek_mut();
        let entry = match (self.ready.front(), freed) {
            (Some(ready), Some(freed)) if freed.0 < *ready => PeekMut::pop(freed).0,
            (None, Some(freed)) => PeekMut::pop(freed).0,
            _ => self.ready.pop_front()?,
        };
        if let Some(held) = entry.key.and_then(|key| self.keys.get_mut(&*key)) {
            held.taken = Some(entry.item.id());
        }
        Some(entry.item)
    }

    /// End a message, if it is the one of its key that was taken; return true if another became ready.
    pub fn end(&mut self, key: &str, id: &[u8; 16]) -> bool {
        let Some(held) = self.keys.get_mut(key) else {
            return false;
        };
        if held.taken.as_ref() != Some(id) {
            return false; // a message that it led to, or one that came from elsewhere
        }
        let Some(mut entry) = held.parked.pop_front() else {
            self.keys.remove(key);
            return false;
        };
        held.taken = None;
        entry.key = self.keys.get_key_value(key).map(|(key, _)| Arc::clone(key));
        self.parked -= 1;
        self.freed.push(Reverse(entry));
        true
    }

    /// Put an item that was taken before everything else.
    pub fn give_back(&mut self, key: Option<&str>, item: T) {
        let place = self.first;
        self.first -= 1;
        let key: Option<Arc<str>> = match key {
            None => None,
            Some(key) => match self.keys.get_mut(key) {
                Some(held) if held.taken != Some(item.id()) => {
                    // It is not the one that was taken: another is on its way, which nothing can call back.
                    held.parked.push_front(Ranked {
                        place,
                        key: None,
                        item,
                    });
                    self.parked += 1;
                    return;
                }
                Some(held) => {
                    held.taken = None;
                    self.keys.get_key_value(key).map(|(key, _)| Arc::clone(key))
                }
                None => {
                    let key: Arc<str> = key.into();
                    self.hold(Arc::clone(&key));
                    Some(key)
                }
            },
        };
        self.ready.push_front(Ranked { place, key, item });
    }

    /// Remove all items that wait, and return them in order; what was taken stays so until it ends or is given back.
    pub fn clear(&mut self) -> Vec<T> {
        let mut entries: Vec<Ranked<T>> = self.ready.drain(..).collect();
        entries.extend(self.freed.drain().map(|Reverse(entry)| entry));
        for held in self.keys.values_mut() {
            entries.extend(held.parked.drain(..));
        }
        self.keys.retain(|_, held| held.taken.is_some());
        self.parked = 0;
        entries.sort();
        entries.into_iter().map(|entry| entry.item).collect()
    }

    /// Return all items that wait, in the order in which they came.
    #[must_use]
    pub fn items(&self) -> Vec<&T> {
        let mut entries: Vec<&Ranked<T>> = self.ready.iter().collect();
        entries.extend(self.freed.iter().map(|Reverse(entry)| entry));
        entries.extend(self.keys.values().flat_map(|held| &held.parked));
        entries.sort();
        entries.into_iter().map(|entry| &entry.item).collect()
    }

    fn hold(&mut self, key: Arc<str>) {
        self.keys.insert(
            key,
            KeyState {
                taken: None,
                parked: VecDeque::new(),
            },
        );
    }
}
