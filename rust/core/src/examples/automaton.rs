//! One demand as an automaton over bytes: a start, a step, and whether a text may end in a state.

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use super::demand::Demand;
use super::error::ExamplesError;

/// Memory of one demand's automaton, and as much again while it is made, in bytes.
const MAX_AUTOMATON_BYTES: usize = 1 << 20;
/// Length above which counting would take too many states.
const MAX_COUNTED: u64 = 16_000;

/// State of a text in which a match was found, whatever follows.
const FOUND: u32 = u32::MAX;
const BELOW: u32 = u32::MAX - 1;
const ABOVE: u32 = u32::MAX - 2;

/// One demand, and whether it is to be met or not.
pub(super) struct Automaton {
    kind: Acceptor,
    is_wanted: bool,
}

enum Acceptor {
    Search(Box<dense::DFA<Vec<u32>>>, u32),
    Order {
        text: Vec<u8>,
        below: bool,
        equal: bool,
        above: bool,
    },
    Length {
        lowest: u32,
        highest: Option<u32>,
        counts_characters: bool,
    },
}

impl Automaton {
    /// Return the automaton of a demand that is to be met (`is_wanted`) or not to be met.
    pub(super) fn new(
        demand: &Demand,
        is_wanted: bool,
        is_text: bool,
    ) -> Result<Self, ExamplesError> {
        let kind = match demand {
            Demand::Matches(pattern) => search(
                &regex_syntax::parse(pattern)
                    .map_err(|error| ExamplesError::new(error.to_string()))?,
            )?,
            Demand::StartsWith(text) => search(&Hir::concat(vec![
                Hir::look(Look::Start),
                Hir::literal(text.clone()),
            ]))?,
            Demand::EndsWith(text) => search(&Hir::concat(vec![
                Hir::literal(text.clone()),
                Hir::look(Look::End),
            ]))?,
            Demand::Contains(text) => search(&Hir::literal(text.clone()))?,
            Demand::Ordered {
                text,
                below,
                equal,
                above,
            } => {
                counted(text.len() as u64)?;
                Acceptor::Order {
                    text: text.clone(),
                    below: *below,
                    equal: *equal,
                    above: *above,
                }
            }
            Demand::Length { lowest, highest } => Acceptor::Length {
                lowest: counted(*lowest)?,
                highest: highest.map(counted).transpose()?,
                counts_characters: is_text,
            },
        };
        Ok(Self { kind, is_wanted })
    }

    /// Return the automaton of bytes that are text.
    pub(super) fn of_text() -> Result<Self, ExamplesError> {
        let every_text = regex_syntax::parse(r"(?s)\A.*\z")
            .map_err(|error| ExamplesError::new(error.to_string()))?;
        Ok(Self {
            kind: search(&every_text)?,
            is_wanted: true,
        })
    }

    /// Return the state of the empty text.
    pub(super) const fn start(&self) -> u32 {
        match &self.kind {
            Acceptor::Search(_, start) => *start,
            Acceptor::Order { .. } | Acceptor::Length { .. } => 0,
        }
    }

    /// Return the state after one more byte; `None` if no text that goes on from it is accepted.
    pub(super) fn step(&self, state: u32, byte: u8) -> Option<u32> {
        let (next, is_settled) = match &self.kind {
            Acceptor::Search(dfa, _) => {
                if state == FOUND {
                    return Some(FOUND);
                }
                let next = dfa.next_state(state_id(state), byte);
                if dfa.is_match_state(next) {
                    (FOUND, Some(true))
                } else {
                    let is_dead = dfa.is_dead_state(next);
                    (next.as_u32(), is_dead.then_some(false))
                }
            }
            Acceptor::Order {
                text,
                below,
                equal: _,
                above,
            } => {
                let next = compared(text, state, byte);
                let answer = match next {
                    BELOW => Some(*below),
                    ABOVE => Some(*above),
                    _ => None,
                };
                (next, answer)
            }
            Acceptor::Length {
                lowest,
                highest,
                counts_characters,
            } => {
                let is_counted = !counts_characters || byte & 0xc0 != 0x80;
                // Past the bounds every further count is the same.
                let most = highest.map_or(*lowest, |highest| highest + 1);
                let next = (state + u32::from(is_counted)).min(most);
                let is_above = highest.is_some_and(|highest| next > highest);
                (next, is_above.then_some(false))
            }
        };
        (is_settled != Some(!self.is_wanted)).then_some(next)
    }

    /// True if a text that ends in this state does as wanted.
    pub(super) fn accepts(&self, state: u32) -> bool {
        let holds = match &self.kind {
            Acceptor::Search(dfa, _) => {
                state == FOUND || dfa.is_match_state(dfa.next_eoi_state(state_id(state)))
            }
            Acceptor::Order {
                text,
                below,
                equal,
                above,
            } => match state {
                BELOW => *below,
                ABOVE => *above,
                at if at as usize == text.len() => *equal,
                _ => *below, // a part of the text, so below it
            },
            Acceptor::Length {
                lowest, highest, ..
            } => state >= *lowest && highest.is_none_or(|highest| state <= highest),
        };
        holds == self.is_wanted
    }

    /// Return a number that is the same for bytes after which no state differs.
    pub(super) fn class(&self, byte: u8) -> u16 {
        match &self.kind {
            Acceptor::Search(dfa, _) => u16::from(dfa.byte_classes().get(byte)),
            // Its own number for each byte of the text; for those between, how many of them are lower.
            Acceptor::Order { text, .. } => {
                let lower = text.iter().filter(|at| **at < byte).count();
                let is_there = text.contains(&byte);
                u16::try_from(2 * lower).unwrap_or(u16::MAX) + u16::from(is_there)
            }
            Acceptor::Length {
                counts_characters, ..
            } => u16::from(*counts_characters && byte & 0xc0 == 0x80),
        }
    }
}

fn counted(length: u64) -> Result<u32, ExamplesError> {
    if length > MAX_COUNTED {
        return Err(ExamplesError::new(format!(
            "a length of {length} is too great to try"
        )));
    }
    Ok(u32::try_from(length).unwrap_or(u32::MAX))
}

fn compared(text: &[u8], state: u32, byte: u8) -> u32 {
    match state {
        BELOW | ABOVE => state,
        at => match text.get(at as usize) {
            None => ABOVE,
            Some(there) if byte < *there => BELOW,
            Some(there) if byte > *there => ABOVE,
            Some(_) => at + 1,
        },
    }
}

fn state_id(state: u32) -> StateID {
    StateID::new_unchecked(state as usize)
}

fn search(hir: &Hir) -> Result<Acceptor, ExamplesError> {
    let too_large = |error: &dyn core::fmt::Display| {
        ExamplesError::new(format!("a pattern cannot be taken apart: {error}"))
    };
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(thompson::WhichCaptures::None)
                .nfa_size_limit(Some(MAX_AUTOMATON_BYTES)),
        )
        .build_from_hir(hir)
        .map_err(|error| too_large(&error))?;
    let dfa = dense::Builder::new()
        .configure(
            dense::Config::new()
                .accelerate(false)
                .start_kind(StartKind::Unanchored)
                .dfa_size_limit(Some(MAX_AUTOMATON_BYTES))
                .determinize_size_limit(Some(MAX_AUTOMATON_BYTES)),
        )
        .build_from_nfa(&nfa)
        .map_err(|error| too_large(&error))?;
    let start = dfa
        .start_state_forward(&Input::new(b"").anchored(Anchored::No))
        .map_err(|error| too_large(&error))?;
    Ok(Acceptor::Search(Box::new(dfa), start.as_u32()))
}
