//! The walk over the product of the demands' automata.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::automaton::Automaton;
use super::demand::Demand;
use super::error::ExamplesError;

/// Greatest number of states of the product.
const MAX_STATES: usize = 20_000;
/// No way from a state to the end of a text that does.
const NONE: u32 = u32::MAX;

/// The texts that meet all demands.
///
/// ```
/// use factflow_core::examples::{Demand, Examples};
///
/// let url = Demand::Matches("^https?://[a-z]+[.]".into());
/// let secure = Demand::StartsWith(b"https".into());
/// let plain = Examples::of(&[(url.clone(), true), (secure.clone(), false)], true)?;
/// assert_eq!(plain.shortest(), Some(b"http://a.".to_vec()));
/// assert_eq!(plain.chosen(&[7, 90]), Some(b"http://a.".to_vec()));
/// let none = Examples::of(&[(Demand::EndsWith(b"x".into()), true), (Demand::Contains(b"x".into()), false)], true)?;
/// assert_eq!(none.shortest(), None);
/// # Ok::<(), factflow_core::examples::ExamplesError>(())
/// ```
pub struct Examples {
    states: Vec<Beginning>,
    classes: Vec<Vec<u8>>,
}

struct Beginning {
    is_end: bool,
    /// Bytes to the nearest end.
    distance: u32,
    steps: Vec<Letter>,
}

#[derive(Clone, Copy)]
struct Letter {
    class: u16,
    next: u32,
}

impl Examples {
    /// Find the texts that meet the demands beside which `true` stands, and none of the others.
    ///
    /// `is_text` is false for bytes that need not be UTF-8.
    ///
    /// # Errors
    ///
    /// It cannot be found out within the bounds of memory whether there is one.
    pub fn of(demands: &[(Demand, bool)], is_text: bool) -> Result<Self, ExamplesError> {
        let mut automata = demands
            .iter()
            .map(|(demand, is_wanted)| Automaton::new(demand, *is_wanted, is_text))
            .collect::<Result<Vec<_>, _>>()?;
        if is_text {
            automata.push(Automaton::of_text()?);
        }
        let classes = classes_of(&automata, is_text);
        let (states, is_whole) = explored(&automata, &classes);
        let found = Self {
            states: measured(states),
            classes,
        };
        if !is_whole && found.states[0].distance == NONE {
            return Err(ExamplesError::new(format!(
                "{MAX_STATES} beginnings of texts were tried, and there are more"
            )));
        }
        Ok(found)
    }

    /// Return the shortest text, of the plainest characters; `None` if no text meets the demands.
    #[must_use]
    pub fn shortest(&self) -> Option<Vec<u8>> {
        self.chosen(&[])
    }

    /// Return a text that choices lead to: each takes one step among those from which an end can be reached, zero the
    /// plainest. After the last choice the nearest end is taken.
    #[must_use]
    pub fn chosen(&self, choices: &[u8]) -> Option<Vec<u8>> {
        if self.states[0].distance == NONE {
            return None;
        }
        let mut text = Vec::new();
        let mut at = 0_u32;
        for choice in choices {
            let live = self.live(at);
            let width: usize = live
                .iter()
                .map(|step| self.classes[usize::from(step.class)].len())
                .sum();
            if width == 0 {
                break; // an end that nothing can follow
            }
            let mut index = usize::from(*choice) * width / 256;
            for step in live {
                let members = &self.classes[usize::from(step.class)];
                if let Some(byte) = members.get(index) {
                    text.push(*byte);
                    at = step.next;
                    break;
                }
                index -= members.len();
            }
        }
        while !self.states[at as usize].is_end {
            let nearest = self
                .live(at)
                .into_iter()
                .min_by_key(|step| self.states[step.next as usize].distance)?;
            text.push(self.classes[usize::from(nearest.class)][0]);
            at = nearest.next;
        }
        Some(text)
    }

    fn live(&self, at: u32) -> Vec<Letter> {
        self.states[at as usize]
            .steps
            .iter()
            .copied()
            .filter(|step| self.states[step.next as usize].distance != NONE)
            .collect()
    }
}

/// Return the bytes in classes that no automaton tells apart, the plainest first.
fn classes_of(automata: &[Automaton], is_text: bool) -> Vec<Vec<u8>> {
    let mut places = FxHashMap::default();
    let mut classes: Vec<Vec<u8>> = Vec::new();
    for byte in plainest(is_text) {
        let signature: Vec<u16> = automata
            .iter()
            .map(|automaton| automaton.class(byte))
            .collect();
        let place = *places.entry(signature).or_insert_with(|| {
            classes.push(Vec::new());
            classes.len() - 1
        });
        classes[place].push(byte);
    }
    classes
}

/// Return all bytes: letters and digits, then what else can be printed, then the rest.
fn plainest(is_text: bool) -> impl Iterator<Item = u8> {
    let rank = move |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'-' | b'_' | b'.' | b'/' | b' ' => 3,
        0x21..=0x7e => 4,
        // Lead bytes of Latin and the like before other planes, and before control characters.
        0xc2..=0xdf if is_text => 5,
        0x80..=0xff => 6,
        _ => 7,
    };
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.sort_by_key(|byte| rank(*byte));
    bytes.into_iter()
}

/// Return the states of the product, nearest first, and true if these are all.
fn explored(automata: &[Automaton], classes: &[Vec<u8>]) -> (Vec<Beginning>, bool) {
    let start: Box<[u32]> = automata.iter().map(Automaton::start).collect();
    let mut places = FxHashMap::default();
    places.insert(start.clone(), 0_u32);
    let mut waiting = VecDeque::from([start]);
    let mut states = Vec::new();
    let mut is_whole = true;
    while let Some(product) = waiting.pop_front() {
        let mut steps = Vec::new();
        for (class, members) in classes.iter().enumerate() {
            let byte = members[0];
            let next: Option<Box<[u32]>> = automata
                .iter()
                .zip(&product)
                .map(|(automaton, state)| automaton.step(*state, byte))
                .collect();
            let Some(next) = next else { continue };
            let count = places.len();
            let place = if let Some(place) = places.get(&next) {
                *place
            } else if count < MAX_STATES {
                let place = u32::try_from(count).unwrap_or(NONE);
                places.insert(next.clone(), place);
                waiting.push_back(next);
                place
            } else {
                is_whole = false;
                continue;
            };
            steps.push(Letter {
                class: u16::try_from(class).unwrap_or(u16::MAX),
                next: place,
            });
        }
        states.push(Beginning {
            is_end: automata
                .iter()
                .zip(&product)
                .all(|(automaton, state)| automaton.accepts(*state)),
            distance: NONE,
            steps,
        });
    }
    (states, is_whole)
}

/// Return the states with the distance of each to its nearest end.
fn measured(mut states: Vec<Beginning>) -> Vec<Beginning> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); states.len()];
    let mut waiting = VecDeque::new();
    for (at, state) in (0_u32..).zip(&mut states) {
        for step in &state.steps {
            before[step.next as usize].push(at);
        }
        if state.is_end {
            state.distance = 0;
            waiting.push_back(at);
        }
    }
    while let Some(at) = waiting.pop_front() {
        let distance = states[at as usize].distance + 1;
        for earlier in core::mem::take(&mut before[at as usize]) {
            let state = &mut states[earlier as usize];
            if state.distance == NONE {
                state.distance = distance;
                waiting.push_back(earlier);
            }
        }
    }
    states
}
