//! Ids are functions of where a message came from, and may never change for what is stored.

use factflow_core::ids::{TIME_BYTES, derive, label};
use proptest::prelude::*;
use std::collections::HashSet;

const PARENT: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

proptest! {
    #[test]
    fn a_child_keeps_the_time_and_depends_on_all_of_its_origin(
        parent in any::<[u8; 16]>(), place in any::<u64>(), ordinal in any::<u64>(), bit in 0usize..128,
    ) {
        let child = derive(&parent, place, ordinal);
        prop_assert_eq!(child[..TIME_BYTES].to_vec(), parent[..TIME_BYTES].to_vec());
        prop_assert_eq!(child, derive(&parent, place, ordinal));
        prop_assert_ne!(child, derive(&parent, place ^ 1, ordinal));
        prop_assert_ne!(child, derive(&parent, place, ordinal ^ 1));
        prop_assert_ne!(child, derive(&parent, ordinal, place.wrapping_add(1)));
        let mut other = parent;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(child[TIME_BYTES..].to_vec(), derive(&other, place, ordinal)[TIME_BYTES..].to_vec());
    }
}

#[test]
fn many_children_are_all_different() {
    let ids: HashSet<[u8; 16]> = (0..100_000)
        .map(|ordinal| derive(&PARENT, 7, ordinal))
        .collect();
    assert_eq!(ids.len(), 100_000);
}

#[test]
fn the_functions_are_those_that_stored_messages_were_named_by() {
    assert_eq!(label(""), LABEL_OF_NOTHING);
    assert_eq!(label("parse/markdown"), LABEL_OF_A_STAGE);
    assert_eq!(derive(&PARENT, 1, 2), CHILD);
}

const LABEL_OF_NOTHING: u64 = 0x8331_7cc0_5b3e_55cd;
const LABEL_OF_A_STAGE: u64 = 0x58b8_d71a_afe1_c165;
const CHILD: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0xe7, 0xce, 0xec, 0x37, 0x92, 0xd2, 0x76, 0x0f, 0x1f, 0x43,
];
