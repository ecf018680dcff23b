//! Mutations of bytes that know what msgpack and texts are made of.

use factflow_core::random::mixed;

const MOST_BYTES: usize = 4_096;

/// A generator of inputs.
pub struct Mutator {
    state: u64,
    words: &'static [&'static [u8]],
}

impl Mutator {
    /// Return the generator of a seed, which puts these pieces into inputs.
    pub fn new(seed: u64, words: &'static [&'static [u8]]) -> Self {
        Self {
            state: mixed(seed),
            words,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    /// Return a number below `end`, which is at least 1.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end
    }

    /// Return some range within so many bytes; short ones are likelier.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let most = if self.below(4) == 0 {
            length
        } else {
            length.min(8)
        };
        let size = self.below(most + 1);
        (self.below(length - size + 1), size)
    }

    /// Return a mutation of one of the inputs.
    pub fn mutated(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let from = self.below(pool.len());
        let mut bytes = pool[from].clone();
        for _ in 0..=self.below(4) {
            self.mutate(&mut bytes, pool);
        }
        bytes.truncate(MOST_BYTES);
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let length = bytes.len();
        let (at, size) = self.range(length);
        match self.below(12) {
            0 if length > 0 => {
                let place = self.below(length);
                bytes[place] ^= 1 << self.below(8);
            }
            1 if length > 0 => {
                let place = self.below(length);
                bytes[place] = self.next().to_le_bytes()[0];
            }
            2 => drop(bytes.drain(at..at + size)),
            3 => {
                let piece = bytes[at..at + size].to_vec();
                let to = self.below(length + 1);
                bytes.splice(to..to, piece);
            }
            // Deep, or long: one piece many times.
            4 => {
                let size = size.min(4);
                let times = self.below(300);
                let piece = bytes[at..at + size].repeat(times);
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = self.below(pool.len());
                let other = &pool[other];
                let (from, size) = self.range(other.len());
                bytes.splice(at..at, other[from..from + size].iter().copied());
            }
            6 => {
                let other = self.below(pool.len());
                let other = &pool[other];
                let cut = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[cut..]);
            }
            7 => bytes.truncate(at),
            // A length, or a number, that is far from right or just beside it.
            8 if length > 0 => {
                let place = self.below(length);
                let delta = [1, 0xff, 2, 0x7f, 0x80][self.below(5)];
                bytes[place] = bytes[place].wrapping_add(delta);
            }
            9 if length >= 4 => {
                let place = self.below(length - 3);
                let number = [u32::MAX, 0, 1, 0x7fff_ffff, 0x8000_0000, 0x10_0000][self.below(6)];
                bytes[place..place + 4].copy_from_slice(&number.to_be_bytes());
            }
            10 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                bytes.splice(at..at + size, word.iter().copied());
            }
            _ if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {}
        }
    }
}
