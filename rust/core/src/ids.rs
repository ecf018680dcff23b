//! Identities that a repeat makes again: what a message emits is named by where it came from.
//!
//! A redelivered message must emit children of the *same* ids, so that storage keys, lineage rows and de-duplicating
//! queues collapse the repeat. So a child's id is a function of its parent's id, of the place that emitted it (a
//! label, the hash of a name) and of its number among what was emitted there.
//!
//! The hash is SipHash-1-3 (Aumasson and Bernstein) with a fixed key: it is no secret and resists no attacker who
//! chooses parents, but 80 of its bits collide by chance once in a trillion messages with a probability below one
//! half, and only among messages of the same millisecond. Changing key, function or layout changes every id of every
//! stored message: the tests pin values.

use std::hash::Hasher;

use siphasher::{sip, sip128};

/// Bytes of an identity that are its time: milliseconds since the Unix epoch, big-endian.
pub const TIME_BYTES: usize = 6;

const KEY: (u64, u64) = (0x6661_6374_666c_6f77, 0x2d65_6e67_696e_6531);

/// Id of the `ordinal`-th message that `parent` emitted at `label`: the parent's time, then 80 bits of a hash.
#[must_use]
pub fn derive(parent: &[u8; 16], label: u64, ordinal: u64) -> [u8; 16] {
    use sip128::Hasher128;
    let mut input = [0; 32];
    input[..16].copy_from_slice(parent);
    input[16..24].copy_from_slice(&label.to_le_bytes());
    input[24..].copy_from_slice(&ordinal.to_le_bytes());
    let mut hasher = sip128::SipHasher13::new_with_keys(KEY.0, KEY.1);
    hasher.write(&input);
    let hash = hasher.finish128().as_bytes();
    let mut id = *parent;
    id[TIME_BYTES..].copy_from_slice(&hash[..16 - TIME_BYTES]);
    id
}

/// A stable 64-bit name of a text: the same in every process, version and machine.
#[must_use]
pub fn label(text: &str) -> u64 {
    let mut hasher = sip::SipHasher13::new_with_keys(KEY.0, KEY.1);
    hasher.write(text.as_bytes());
    hasher.finish()
}
