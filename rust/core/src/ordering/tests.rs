use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Identified, KeyedQueue};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item(Option<&'static str>, u128);

impl Identified for Item {
    fn id(&self) -> [u8; 16] {
        self.1.to_be_bytes()
    }
}

/// The rule as a plain list: what waits, in order, and what was taken of each key.
#[derive(Default)]
struct Model {
    waiting: Vec<Item>,
    taken: Vec<Item>,
}

impl Model {
    fn is_held(&self, place: usize) -> bool {
        let Item(Some(key), _) = self.waiting[place] else {
            return false;
        };
        self.taken.iter().any(|item| item.0 == Some(key))
            || self.waiting[..place].iter().any(|item| item.0 == Some(key))
    }

    fn ready(&self) -> usize {
        (0..self.waiting.len())
            .filter(|&place| !self.is_held(place))
            .count()
    }

    fn take(&mut self) -> Option<Item> {
        let place = (0..self.waiting.len()).find(|&place| !self.is_held(place))?;
        let item = self.waiting.remove(place);
        self.taken.push(item.clone());
        Some(item)
    }
}

#[derive(Clone, Debug)]
enum Move {
    Push(Option<&'static str>),
    Take,
    End(usize),
    EndStranger(&'static str),
    GiveBack(usize),
    Clear,
}

fn key() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        1 => Just(None),
        5 => prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Some),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => key().prop_map(Move::Push),
        6 => Just(Move::Take),
        4 => any::<usize>().prop_map(Move::End),
        1 => Just(Move::EndStranger("a")),
        2 => any::<usize>().prop_map(Move::GiveBack),
        1 => Just(Move::Clear),
    ]
}

proptest! {
    #[test]
    fn it_is_the_list_of_what_waits_with_one_of_each_key_at_a_time(steps in vec(step(), 0..200)) {
        let mut queue = KeyedQueue::default();
        let mut model = Model::default();
        let mut number = 0;
        for step in steps {
            match step {
                Move::Push(key) => {
                    number += 1;
                    queue.push(key, Item(key, number));
                    model.waiting.push(Item(key, number));
                }
                Move::Take => prop_assert_eq!(queue.take(), model.take()),
                Move::End(which) if !model.taken.is_empty() => {
                    let item = model.taken.remove(which % model.taken.len());
                    let before = model.ready();
                    if let Some(key) = item.0 {
                        let freed = queue.end(key, &item.id());
                        prop_assert_eq!(freed, model.waiting.iter().any(|other| other.0 == item.0));
                        prop_assert!(!queue.end(key, &item.id()), "nothing ends twice");
                    }
                    prop_assert!(model.ready() >= before);
                }
                Move::EndStranger(key) => prop_assert!(!queue.end(key, &[0xFF; 16])),
                Move::GiveBack(which) if !model.taken.is_empty() => {
                    let item = model.taken.remove(which % model.taken.len());
                    queue.give_back(item.0, item.clone());
                    model.waiting.insert(0, item);
                }
                Move::Clear => prop_assert_eq!(queue.clear(), core::mem::take(&mut model.waiting)),
                Move::End(_) | Move::GiveBack(_) => {}
            }
            prop_assert_eq!(queue.len(), model.waiting.len());
            prop_assert_eq!(queue.is_empty(), model.waiting.is_empty());
            prop_assert_eq!(queue.ready(), model.ready());
            prop_assert_eq!(queue.items(), model.waiting.iter().collect::<Vec<_>>());
            let mut known: HashMap<_, usize> = HashMap::new();
            for item in model.waiting.iter().chain(&model.taken) {
                if let Some(key) = item.0 {
                    *known.entry(key).or_default() += 1;
                }
            }
            prop_assert_eq!(queue.keys.len(), known.len(), "a key is known while an item of it is there");
        }
    }
}

#[test]
fn an_item_that_was_never_taken_goes_behind_the_one_that_is_on_its_way() {
    let mut queue = KeyedQueue::default();
    queue.push(Some("a"), Item(Some("a"), 1));
    queue.push(Some("a"), Item(Some("a"), 2));
    assert_eq!(queue.take(), Some(Item(Some("a"), 1)));
    queue.give_back(Some("a"), Item(Some("a"), 9));
    assert_eq!((queue.len(), queue.ready()), (2, 0));
    assert!(queue.end("a", &Item(None, 1).id()));
    assert_eq!(queue.take(), Some(Item(Some("a"), 9)));
    assert!(queue.end("a", &Item(None, 9).id()));
    assert_eq!(queue.take(), Some(Item(Some("a"), 2)));
}

#[test]
fn a_key_that_keeps_coming_overtakes_nobody() {
    let mut queue = KeyedQueue::default();
    for number in 0..4 {
        queue.push(Some("hot"), Item(Some("hot"), number));
    }
    queue.push(None, Item(None, 10));
    queue.push(Some("hot"), Item(Some("hot"), 11));
    queue.push(Some("cold"), Item(Some("cold"), 12));
    let mut order = Vec::new();
    while let Some(item) = queue.take() {
        order.push(item.1);
        queue.end(item.0.unwrap_or_default(), &item.id());
    }
    assert_eq!(order, [0, 1, 2, 3, 10, 11, 12]);
}
