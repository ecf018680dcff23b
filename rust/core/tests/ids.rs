//! Ids are functions of where a message came from, and may never change for what is stored.

mod regressions;

use factflow_core::ids::{ChildIds, TIME_BYTES, label};
use proptest::prelude::*;
use siphasher::sip128::SipHasher13;
use std::collections::{HashMap, HashSet};

const PARENT: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn derive(parent: &[u8; 16], label: u64, ordinal: u64) -> [u8; 16] {
    factflow_core::ids::derive(parent, label, ordinal, None)
}

proptest! {
    #![proptest_config(regressions::kept(256))]

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

proptest! {
    /// Messages were named with the crate's function, and are named with one for these lengths alone.
    #[test]
    fn the_hash_is_siphash(
        parent in any::<[u8; 16]>(), place in any::<u64>(), ordinal in any::<u64>(),
        payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
    ) {
        let mut input = [&parent[..], &place.to_le_bytes(), &ordinal.to_le_bytes()].concat();
        if let Some(payload) = &payload {
            input.extend(xxhash_rust::xxh3::xxh3_128(payload).to_le_bytes());
        }
        let key = (0x6661_6374_666c_6f77, 0x2d65_6e67_696e_6531);
        let hash = SipHasher13::new_with_keys(key.0, key.1).hash(&input).as_bytes();
        let child = factflow_core::ids::derive(&parent, place, ordinal, payload.as_deref());
        prop_assert_eq!(&child[TIME_BYTES..], &hash[..16 - TIME_BYTES]);
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
    let mut siblings = ChildIds::new(PARENT, 1);
    let said = [
        siblings.next(None),
        siblings.next(Some(b"\xa5hello")),
        siblings.next_keyed(b"\xa5hello", "a/b.txt"),
        siblings.next_keyed(b"\xa5hello", "a/b.txt"),
    ];
    assert_eq!(said.map(u128::from_be_bytes), SAID);
}

/// Elements that are emitted: a key, if it has one, and a payload.
fn elements() -> impl Strategy<Value = Vec<(Option<String>, Vec<u8>)>> {
    let key = proptest::option::of("[ab]{0,2}");
    let payload = proptest::collection::vec(0u8..3, 0..3);
    proptest::collection::vec((key, payload), 0..40)
}

fn named(elements: &[(Option<String>, Vec<u8>)], most: usize) -> Vec<[u8; 16]> {
    let mut siblings = ChildIds::remembering(PARENT, 7, most);
    let name = |(key, payload): &(Option<String>, Vec<u8>)| match key {
        Some(key) => siblings.next_keyed(payload, key),
        None => siblings.next(Some(payload)),
    };
    elements.iter().map(name).collect()
}

proptest! {
    /// Whatever is emitted the second time: no two share an id, and an id stands for one payload and one key.
    #[test]
    fn no_element_is_taken_for_another(first in elements(), second in elements(), most in 0usize..50) {
        let mut said = HashMap::new();
        for elements in [&first, &second] {
            let ids = named(elements, most);
            prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
            prop_assert_eq!(&named(elements, most), &ids);
            for (id, element) in ids.into_iter().zip(elements) {
                prop_assert_eq!(said.entry(id).or_insert_with(|| element.clone()), element);
            }
        }
    }

    /// Keyed elements are named by what they are, however many others come before: the obvious way to say it.
    #[test]
    fn a_keyed_element_is_named_by_its_key_and_its_number_among_its_equals(
        first in elements(), second in elements(),
    ) {
        let mut known = HashMap::new();
        for elements in [&first, &second] {
            let mut numbers = HashMap::new();
            for (id, element) in named(elements, usize::MAX).into_iter().zip(elements) {
                let number = numbers.entry(element).or_insert(0);
                if element.0.is_some() {
                    prop_assert_eq!(*known.entry((element.clone(), *number)).or_insert(id), id);
                }
                *number += 1;
            }
        }
    }

    #[test]
    fn beyond_what_is_remembered_ids_differ_all_the_same(elements in elements(), most in 0usize..5) {
        let ids: HashSet<_> = named(&elements, most).into_iter().collect();
        prop_assert_eq!(ids.len(), elements.len());
    }
}

/// Computed with another implementation of both functions, too.
const SAID: [u128; 4] = [
    5_233_100_607_070_585_805_621_612_547_931_950,
    5_233_100_606_580_364_701_062_521_650_462_610,
    5_233_100_607_255_271_327_353_286_431_997_167,
    5_233_100_606_874_091_977_798_679_323_678_124,
];

const LABEL_OF_NOTHING: u64 = 0x8331_7cc0_5b3e_55cd;
const LABEL_OF_A_STAGE: u64 = 0x58b8_d71a_afe1_c165;
const CHILD: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0xe7, 0xce, 0xec, 0x37, 0x92, 0xd2, 0x76, 0x0f, 0x1f, 0x43,
];
