//! Long histories of every kind of trouble: no algorithm leaves its bounds, stops being a number, or stays wedged.

use std::collections::VecDeque;

use super::MS;
use crate::limits::{Limit, NAMES, Parameters, Sample, Value, new_limit};
use crate::random::draw;

const SECOND: u64 = 1000 * MS;
const MAX: u32 = 150;

/// Trouble of a part of a history.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// Every call is dropped.
    Drops,
    /// Every call is cancelled.
    Cancellations,
    /// Time does not go on, and calls take none.
    Standstill,
    /// Time jumps by minutes.
    Jumps,
    /// Calls take minutes, among others that take no time.
    Extremes,
    /// Few calls, none of which has to wait.
    Idleness,
    /// Times and latencies that cannot be, up to the greatest number.
    Nonsense,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::None,
    Trouble::Drops,
    Trouble::Cancellations,
    Trouble::Standstill,
    Trouble::Jumps,
    Trouble::Extremes,
    Trouble::Idleness,
    Trouble::Nonsense,
];

/// All algorithms that change their limit, by name, and whether windows are in front of them.
fn all() -> impl Iterator<Item = (&'static str, bool)> {
    NAMES
        .into_iter()
        .filter(|name| *name != "fixed")
        .flat_map(|name| {
            let both = matches!(name, "aimd" | "vegas" | "gradient" | "gradient2");
            [false, true]
                .into_iter()
                .filter(move |windowed| both || !windowed)
                .map(move |windowed| (name, windowed))
        })
}

fn made(name: &str, windowed: bool, min: u32) -> Box<dyn Limit> {
    let mut given = vec![
        ("initial", Value::Number(20.0)),
        ("max", Value::Number(MAX.into())),
    ];
    if !matches!(name, "vegas" | "arc") {
        given.push(("min", Value::Number(min.into())));
    }
    if name == "adaptive" {
        given.push(("target_latency_ns", Value::Number(1e9)));
    }
    if windowed {
        given.push(("window", Value::Table([].into())));
    }
    let given = given
        .into_iter()
        .map(|(parameter, value)| (parameter.to_owned(), value))
        .collect();
    new_limit(name, Parameters::new(name, given, None, 5)).expect("parameters are valid")
}

/// Calls of one algorithm, at times that do not go back.
struct CallHistory {
    name: &'static str,
    min: u32,
    limit: Box<dyn Limit>,
    /// Start and calls in flight at it, of each that has not ended.
    running: VecDeque<(u64, u32)>,
    now_ns: u64,
    seed: u64,
    draws: u64,
    /// Digest of all limits so far.
    digest: u64,
}

impl CallHistory {
    fn new(name: &'static str, windowed: bool, min: u32, seed: u64) -> Self {
        Self {
            name,
            min: if matches!(name, "vegas" | "arc") {
                1
            } else {
                min
            },
            limit: made(name, windowed, min),
            running: VecDeque::new(),
            now_ns: SECOND,
            seed,
            draws: 0,
            digest: 0,
        }
    }

    fn draw(&mut self) -> f64 {
        self.draws += 1;
        draw(self.seed, self.draws)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number from 0 up to another"
    )]
    fn below(&mut self, most: u64) -> u64 {
        (self.draw() * most as f64) as u64
    }

    fn is_start(&mut self, trouble: Trouble) -> bool {
        let share = if matches!(trouble, Trouble::Idleness) {
            0.45
        } else {
            0.7
        };
        self.running.is_empty() || self.draw() < share
    }

    /// Start a call if the limit allows one more; it has to wait if not.
    fn start(&mut self, trouble: Trouble) {
        let in_flight = u32::try_from(self.running.len()).expect("they are few");
        if in_flight < self.limit.limit() {
            self.limit.started(self.now_ns);
            self.running.push_back((self.now_ns, in_flight + 1));
        } else if !matches!(trouble, Trouble::Idleness) {
            self.limit.blocked(self.now_ns);
        }
    }

    /// End one of the calls.
    fn end(&mut self, trouble: Trouble) {
        let place = self.below(self.running.len() as u64);
        let place = usize::try_from(place).expect("they are few");
        let Some((start_ns, in_flight)) = self.running.remove(place) else {
            return;
        };
        let chance = self.draw();
        if matches!(trouble, Trouble::Cancellations) || chance < 0.05 {
            self.limit.ignored(self.now_ns);
            return;
        }
        let mut sample = Sample {
            start_ns,
            rtt_ns: self.now_ns - start_ns,
            in_flight,
            dropped: matches!(trouble, Trouble::Drops) || chance > 0.97,
        };
        match trouble {
            Trouble::Extremes if chance < 0.5 => sample.start_ns = self.now_ns,
            Trouble::Extremes => {
                sample.start_ns = self.now_ns.saturating_sub(self.below(100 * SECOND));
            }
            Trouble::Nonsense => {
                sample.start_ns = self.below(u64::MAX);
                sample.rtt_ns = self.below(u64::MAX);
                sample.in_flight = u32::try_from(self.below(1 << 32)).unwrap_or(u32::MAX);
            }
            _ => {}
        }
        if matches!(trouble, Trouble::Extremes) {
            sample.rtt_ns = self.now_ns - sample.start_ns;
        }
        self.limit.sampled(&sample);
    }

    /// Go on for some calls, with troubles of this many kinds in turn.
    fn go(&mut self, steps: u64, kinds: u64) {
        let mut trouble = Trouble::None;
        for step in 0..steps {
            if step % 500 == 0 {
                trouble = TROUBLES[usize::try_from(self.below(kinds)).expect("they are few")];
            }
            self.now_ns += match trouble {
                Trouble::Standstill => 0,
                Trouble::Jumps if step % 50 == 0 => self.below(600 * SECOND),
                _ => self.below(5 * MS),
            };
            if self.is_start(trouble) {
                self.start(trouble);
            } else {
                self.end(trouble);
            }
            self.check(step, trouble);
        }
    }

    fn check(&mut self, step: u64, trouble: Trouble) {
        let limit = self.limit.limit();
        assert!(
            (self.min..=MAX).contains(&limit),
            "{}, step {step} of seed {}, {trouble:?}: {limit}",
            self.name,
            self.seed
        );
        self.digest = self.digest.wrapping_mul(31).wrapping_add(limit.into());
        if let Some(change) = self.limit.last_change() {
            let wrong = change
                .statistics()
                .iter()
                .find(|(_, number)| !number.is_finite());
            assert_eq!(
                wrong, None,
                "{}, step {step} of seed {}",
                self.name, self.seed
            );
        }
    }

    /// Let a server without end take calls of about 10 ms, as many as the limit allows; true if that grows.
    fn recovers(&mut self) -> bool {
        for (start_ns, _) in std::mem::take(&mut self.running) {
            self.limit.ignored(start_ns.max(self.now_ns));
        }
        for _ in 0..3_000_000 {
            if self.limit.limit() >= 4 {
                return true;
            }
            while self.running.len() < self.limit.limit() as usize {
                self.start(Trouble::None);
            }
            self.limit.blocked(self.now_ns);
            let Some((start_ns, in_flight)) = self.running.pop_front() else {
                return false;
            };
            self.now_ns = self.now_ns.max(start_ns + 10 * MS) + self.below(MS);
            self.limit.sampled(&Sample {
                start_ns,
                rtt_ns: self.now_ns - start_ns,
                in_flight,
                dropped: false,
            });
        }
        false
    }
}

/// Histories of so many calls: with nonsense for the bounds, without it for the end of all trouble.
fn histories(calls: u64, seed: u64) {
    let kinds = TROUBLES.len() as u64;
    for (name, windowed) in all() {
        let digests = [0, 1].map(|_| {
            let mut history = CallHistory::new(name, windowed, 2, seed);
            history.go(calls, kinds);
            history.digest
        });
        assert_eq!(digests[0], digests[1], "{name}: the same again");
        for min in [1, 2] {
            let mut history = CallHistory::new(name, windowed, min, seed + 1);
            history.go(calls, kinds - 1);
            assert!(
                history.recovers(),
                "{name}, windowed {windowed}, seed {seed}, from {min}: {}",
                history.limit.limit()
            );
        }
    }
}

#[test]
fn no_algorithm_leaves_its_bounds_or_stays_wedged() {
    for seed in 0..3 {
        histories(10_000, seed);
    }
}

#[test]
#[ignore = "minutes; `make test-slow` runs it"]
fn no_algorithm_leaves_its_bounds_or_stays_wedged_in_a_million_calls() {
    for seed in 100..103 {
        histories(1_000_000, seed);
    }
}
