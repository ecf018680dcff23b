//! Identities that a repeat makes again: what a message emits is named by where it came from and what it says.
//!
//! A redelivered message must emit children of the *same* ids, so that storage keys, lineage rows and de-duplicating
//! queues collapse the repeat; and a child that says something else must never have an id that was given away, or it
//! would be taken for a repeat and lost. So a child's id is a function of its parent's id, of the place that emitted it
//! (a label, the hash of a name), and of
//!
//! - its ordinal among what was emitted there, and its payload; or
//! - the key that its adapter gave it, and its payload: then its id does not depend on what else was emitted.
//!
//! A payload that is the parent's own adds nothing, for the parent's id stands for it: a message that is passed on is
//! not hashed.
//!
//! The hash is SipHash-1-3 (Aumasson and Bernstein) with a fixed key, over XXH3-128 (Collet) of the payload, which
//! reads some ten bytes a nanosecond. Neither is a secret or resists an attacker who chooses parents and payloads; 80
//! bits of the result collide by chance once in a trillion messages with a probability below one half, and only among
//! messages of the same millisecond. Changing key, function or layout changes every id of every stored message: the
//! tests pin values.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHashSet};
use siphasher::sip128::Hasher128;
use siphasher::{sip, sip128};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of an identity that are its time: milliseconds since the Unix epoch, big-endian.
pub const TIME_BYTES: usize = 6;

/// Number of keyed children of one parent that are distinguished by their keys; see [`ChildIds`].
pub const MAX_KEYED: usize = 1 << 20;

const NANOSECONDS: i64 = 1_000_000;

const KEY: (u64, u64) = (0x6661_6374_666c_6f77, 0x2d65_6e67_696e_6531);

/// Added to the ordinal of a keyed element: it counts equal elements from 0, or all elements once there were too
/// many.
const BEYOND: u64 = 1 << 63;

/// Return the id of the `ordinal`-th message that `parent` emitted at `label`: the parent's time, then 80 bits of a
/// hash.
///
/// `payload`: None if it is the parent's own, byte for byte; the caller sees to that.
///
/// ```
/// use factflow_core::ids::{TIME_BYTES, derive, label};
///
/// let (parent, stage) = ([7; 16], label("split"));
/// let first = derive(&parent, stage, 0, Some(b"payload"));
/// assert_eq!(first, derive(&parent, stage, 0, Some(b"payload")), "a repeat makes it again");
/// assert_ne!(first, derive(&parent, stage, 0, Some(b"another")));
/// assert_eq!(first[..TIME_BYTES], parent[..TIME_BYTES]);
/// ```
#[must_use]
pub fn derive(parent: &[u8; 16], label: u64, ordinal: u64, payload: Option<&[u8]>) -> [u8; 16] {
    // The lengths of what is hashed, 32, 48 and more, distinguish the three kinds.
    let [early, late] = halves(u128::from_le_bytes(*parent));
    match payload {
        None => named(parent, hash_of([early, late, label, ordinal])),
        Some(payload) => {
            let [low, high] = halves(xxh3_128(payload));
            named(parent, hash_of([early, late, label, ordinal, low, high]))
        }
    }
}

/// Return the id of a message with an adapter's key; `number` distinguishes those that are equal in key and payload.
fn derive_keyed(parent: &[u8; 16], label: u64, number: u64, payload: &[u8], key: &str) -> [u8; 16] {
    let mut input = [0; 49];
    input[..16].copy_from_slice(parent);
    input[16..24].copy_from_slice(&label.to_le_bytes());
    input[24..32].copy_from_slice(&number.to_le_bytes());
    input[32..48].copy_from_slice(&xxh3_128(payload).to_le_bytes());
    let mut hasher = sip128::SipHasher13::new_with_keys(KEY.0, KEY.1);
    hasher.write(&input);
    hasher.write(key.as_bytes());
    named(parent, hasher.finish128().as_bytes())
}

/// Return the lower and the upper half.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off is the other half"
)]
fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

#[inline]
fn named(parent: &[u8; 16], hash: [u8; 16]) -> [u8; 16] {
    let mut id = *parent;
    id[TIME_BYTES..].copy_from_slice(&hash[..16 - TIME_BYTES]);
    id
}

/// Return the SipHash-1-3 of so many words, with 128 bits of result.
///
/// The same as `siphasher`'s, which is ready for texts that come in parts and takes half as long again: it is paid for each
/// message at each hop.
#[inline]
fn hash_of<const WORDS: usize>(words: [u64; WORDS]) -> [u8; 16] {
    let mut state = [
        KEY.0 ^ 0x736f_6d65_7073_6575,
        KEY.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        KEY.0 ^ 0x6c79_6765_6e65_7261,
        KEY.1 ^ 0x7465_6462_7974_6573,
    ];
    for word in words {
        absorb(&mut state, word);
    }
    absorb(&mut state, (WORDS as u64 * 8) << 56);
    state[2] ^= 0xee;
    let first = squeezed(&mut state);
    state[1] ^= 0xdd;
    let second = squeezed(&mut state);
    (u128::from(second) << 64 | u128::from(first)).to_le_bytes()
}

#[inline]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline]
fn squeezed(state: &mut [u64; 4]) -> u64 {
    round(state);
    round(state);
    round(state);
    let [a, b, c, d] = *state;
    a ^ b ^ c ^ d
}

#[inline]
fn round(state: &mut [u64; 4]) {
    let [a, b, c, d] = *state;
    let a = a.wrapping_add(b);
    let b = b.rotate_left(13) ^ a;
    let a = a.rotate_left(32);
    let c = c.wrapping_add(d);
    let d = d.rotate_left(16) ^ c;
    let a = a.wrapping_add(d);
    let d = d.rotate_left(21) ^ a;
    let c = c.wrapping_add(b);
    let b = b.rotate_left(17) ^ c;
    *state = [a, b, c.rotate_left(32), d];
}

/// Return a stable 64-bit name of a text: the same in every process, version and machine.
#[must_use]
pub fn label(text: &str) -> u64 {
    let mut hasher = sip::SipHasher13::new_with_keys(KEY.0, KEY.1);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Generator of the ids of the messages that one message emits at one place.
///
/// Children that are equal in key and payload are numbered, so that each is a message of its own; what is remembered
/// for that are 8 bytes a keyed child (twice that in the table). There may be [`MAX_KEYED`] of them; the ids of those
/// beyond derive from their ordinals as well: they, too, are never taken for each other, but if what comes before them
/// has changed they are handled again.
///
/// ```
/// use factflow_core::ids::{ChildIds, label};
///
/// let mut ids = ChildIds::new([7; 16], label("split"));
/// let page = ids.next_keyed(b"text", "page 1");
/// assert_ne!(page, ids.next_keyed(b"text", "page 1"), "each is a message of its own");
///
/// let mut again = ChildIds::new([7; 16], label("split"));
/// again.next(Some(b"something new before it"));
/// assert_eq!(page, again.next_keyed(b"text", "page 1"), "a key makes it independent of its ordinal");
/// ```
#[derive(Debug)]
pub struct ChildIds {
    parent: [u8; 16],
    label: u64,
    /// Number of ids returned so far.
    ordinal: u64,
    /// Ends of the ids that keyed ones were given at first. Two ids of one end only make a number skip.
    keyed: FxHashSet<u64>,
    /// Number of repetitions of an end after the first, by end.
    repeated: FxHashMap<u64, u64>,
    most: usize,
}

impl ChildIds {
    /// Return a generator for a parent and a label.
    #[must_use]
    pub fn new(parent: [u8; 16], label: u64) -> Self {
        Self::remembering(parent, label, MAX_KEYED)
    }

    /// Return a generator with another bound on remembered keys.
    #[must_use]
    pub fn remembering(parent: [u8; 16], label: u64, most: usize) -> Self {
        Self {
            parent,
            label,
            ordinal: 0,
            keyed: FxHashSet::default(),
            repeated: FxHashMap::default(),
            most,
        }
    }

    /// Return the number of ids returned so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ordinal
    }

    /// Return the next id; `payload` as for [`derive()`].
    pub fn next(&mut self, payload: Option<&[u8]>) -> [u8; 16] {
        let id = derive(&self.parent, self.label, self.ordinal, payload);
        self.ordinal += 1;
        id
    }

    /// Return the next id, of a message with a key.
    pub fn next_keyed(&mut self, payload: &[u8], key: &str) -> [u8; 16] {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let first = derive_keyed(&self.parent, self.label, 0, payload, key);
        let end = first.last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
        let number = if self.keyed.contains(&end) {
            let repeated = self.repeated.entry(end).or_default();
            *repeated += 1;
            *repeated
        } else if self.keyed.len() >= self.most {
            ordinal | BEYOND
        } else {
            self.keyed.insert(end);
            return first;
        };
        derive_keyed(&self.parent, self.label, number, payload, key)
    }
}

/// Generator of the ids of root messages: 48 bits of milliseconds since the Unix epoch, then randomness from which a
/// counter goes up within a millisecond, so that all ids of one source are strictly ordered.
///
/// ```
/// use factflow_core::ids::TimeOrdered;
///
/// let mut ids = TimeOrdered::default();
/// assert!(ids.is_over(1_000_000), "it has no randomness yet");
/// ids.renew(1_000_000, [0xff; 10]);
/// assert!(!ids.is_over(1_999_999), "that is enough for a millisecond");
/// let first = ids.take(1);
/// assert_eq!(first[..6], [0, 0, 0, 0, 0, 1]);
/// assert_eq!(u128::from_be_bytes(ids.take(1)), u128::from_be_bytes(first) + 1);
/// ```
#[derive(Debug, Default)]
pub struct TimeOrdered {
    /// The next id, as a number.
    next: u128,
    /// Wall time from which another millisecond counts, in nanoseconds.
    until_ns: i64,
}

impl TimeOrdered {
    /// True if the millisecond of the last ids is over, so that `renew` comes before `take`.
    #[must_use]
    pub fn is_over(&self, wall_ns: i64) -> bool {
        wall_ns >= self.until_ns
    }

    /// Begin the millisecond of this time with these random bits, if the last one is over.
    pub fn renew(&mut self, wall_ns: i64, random: [u8; 10]) {
        if !self.is_over(wall_ns) {
            return;
        }
        let ms = wall_ns.div_euclid(NANOSECONDS);
        self.until_ns = (ms + 1).saturating_mul(NANOSECONDS);
        let mut id = [0; 16];
        id[TIME_BYTES..].copy_from_slice(&random);
        // The top bit of the randomness stays clear: room to count in.
        let random = u128::from_be_bytes(id) >> 1;
        self.next = u128::try_from(ms).unwrap_or(0) << 80 | random;
    }

    /// Return the first of so many ids that follow each other as numbers.
    pub fn take(&mut self, count: u64) -> [u8; 16] {
        let first = self.next;
        self.next = first.wrapping_add(u128::from(count));
        first.to_be_bytes()
    }
}
