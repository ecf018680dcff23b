//! Index of the networks that an address is in: one probe for each length of a prefix that some network has.
//!
//! A hash map a length, as software routers kept them before tries: lengths are few (33 and 129 at most), and tables of
//! rules use a handful.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use rustc_hash::FxBuildHasher;

use super::hit::Hit;
use crate::conditions::network::{Network, address};

/// Networks, each with what it names.
#[derive(Clone, Debug, Default)]
pub struct NetworkIndex {
    v4: Vec<Prefixes<u32>>,
    v6: Vec<Prefixes<u128>>,
}

/// Networks of one length.
#[derive(Clone, Debug)]
struct Prefixes<Bits> {
    mask: Bits,
    hits: HashMap<Bits, Hit, FxBuildHasher>,
}

impl NetworkIndex {
    /// Add a network that is not in the index yet.
    pub fn insert(&mut self, network: Network, hit: Hit) {
        match network {
            Network::V4 { prefix, mask } => insert(&mut self.v4, prefix, mask, hit),
            Network::V6 { prefix, mask } => insert(&mut self.v6, prefix, mask, hit),
        }
    }

    /// Call `found` with the value of every network that this text is an address in.
    #[inline]
    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Hit)) {
        match address(text) {
            Some(IpAddr::V4(address)) => {
                let bits = address.to_bits();
                for length in &self.v4 {
                    length.find(&(bits & length.mask), found);
                }
            }
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                for length in &self.v6 {
                    length.find(&(bits & length.mask), found);
                }
            }
            None => {}
        }
    }
}

impl<Bits: Eq + Hash> Prefixes<Bits> {
    fn find(&self, prefix: &Bits, found: &mut impl FnMut(Hit)) {
        if let Some(hit) = self.hits.get(prefix) {
            found(*hit);
        }
    }
}

fn insert<Bits: Copy + Eq + Hash>(
    lengths: &mut Vec<Prefixes<Bits>>,
    prefix: Bits,
    mask: Bits,
    hit: Hit,
) {
    let at = lengths
        .iter()
        .position(|length| length.mask == mask)
        .unwrap_or_else(|| {
            lengths.push(Prefixes {
                mask,
                hits: HashMap::default(),
            });
            lengths.len() - 1
        });
    lengths[at].hits.insert(prefix, hit);
}
