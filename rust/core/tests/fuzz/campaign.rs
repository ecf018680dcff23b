//! A run of one target: mutations of inputs that are kept, for some seconds of the wall clock.
//!
//! An input is kept if it ends in a way that none before it did; so the run feels its way behind the first checks
//! without measuring coverage. A failure is made smaller, and printed with the seed that draws it again.

use std::collections::HashSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::mutation::Mutator;

/// Most time that one input may take. Far above any that is right, and measured again before it is believed.
const SLOWEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
/// Most inputs that are kept besides the seeds.
const MOST_KEPT: usize = 20_000;
const MOST_SHRINKS: usize = 20_000;

/// A target, and what its inputs are made of.
pub struct Target {
    /// Name, as failures give it.
    pub name: &'static str,
    /// Check of an input, which panics if something is wrong; it returns in which way the input ended.
    pub run: fn(&[u8]) -> String,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces to put into inputs.
    pub words: &'static [&'static [u8]],
    /// Inputs that failed once: a line of hexadecimal digits each, besides comments after `#`.
    pub kept: &'static str,
}

/// Run a target for so many seconds, or for `FUZZ_SECONDS`, from a new seed or from `FUZZ_SEED`.
///
/// Panics with the smallest failing input that was found.
pub fn campaign(target: &Target, seconds: u64) {
    quieten();
    let seconds = from_environment("FUZZ_SECONDS").unwrap_or(seconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = from_environment("FUZZ_SEED")
        .unwrap_or_else(|| now.map_or(0, |now| u64::from(now.subsec_nanos())));
    let mut pool = (target.seeds)();
    let mut ways = HashSet::new();
    for input in regressions(target.kept).iter().chain(&pool) {
        ways.extend(attempt(target, input).inspect_err(|fault| fail(target, input, fault, seed)));
    }
    let (begun, mut runs) = (Instant::now(), 0_u64);
    let budget = Duration::from_secs(seconds);
    while begun.elapsed() < budget {
        // Each input has a generator of its own, so that a seed and a number name it within a run.
        let mut mutator = Mutator::new(seed.wrapping_add(runs), target.words);
        let input = mutator.mutated(&pool);
        runs += 1;
        match attempt(target, &input) {
            Err(fault) => fail(target, &input, &fault, seed),
            Ok(way) => {
                if ways.len() < MOST_KEPT && ways.insert(way) {
                    pool.push(input);
                }
            }
        }
    }
    let spent = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = runs as f64 / spent;
    let name = target.name;
    println!(
        "{name}: {runs} inputs, {rate:.0}/s, {} ways to end, seed {seed}",
        ways.len()
    );
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: expected a whole number, got {text:?}")),
    )
}

/// Return the way in which an input ends, or what is wrong.
fn attempt(target: &Target, input: &[u8]) -> Result<String, String> {
    let run = || {
        INSIDE.set(true);
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        INSIDE.set(false);
        ended.map_err(|fault| match fault.downcast::<String>() {
            Ok(text) => *text,
            Err(fault) => fault
                .downcast::<&str>()
                .map_or_else(|_| "no text".into(), |text| (*text).into()),
        })
    };
    let is_quick = |()| {
        let begun = Instant::now();
        let ended = run();
        (begun.elapsed() < SLOWEST, ended)
    };
    let (quick, ended) = is_quick(());
    if quick || (0..2).any(|_| is_quick(()).0) {
        return ended;
    }
    Err(format!("it took longer than {SLOWEST:?}, three times"))
}

fn fail(target: &Target, input: &[u8], fault: &str, seed: u64) -> ! {
    let small = shrunk(input, |smaller| attempt(target, smaller).is_err());
    let fault = attempt(target, &small)
        .err()
        .unwrap_or_else(|| fault.into());
    let name = target.name;
    panic!(
        "{name}: {} (seed {seed}): {fault}\nappend it to tests/fuzz/regressions/{name}.txt",
        hex(&small)
    );
}

/// Return a small part of a failing input that still fails: ranges are left out, then bytes set to zero.
pub fn shrunk(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut tries = 0;
    let mut size = best.len();
    while size > 0 && tries < MOST_SHRINKS {
        let before = best.len();
        let mut at = 0;
        while at + size <= best.len() && tries < MOST_SHRINKS {
            let smaller = [&best[..at], &best[at + size..]].concat();
            tries += 1;
            if fails(&smaller) {
                best = smaller;
            } else {
                at += 1;
            }
        }
        size = if best.len() < before {
            size.min(best.len())
        } else {
            size / 2
        };
    }
    for at in 0..best.len() {
        let byte = std::mem::take(&mut best[at]);
        if !fails(&best) {
            best[at] = byte;
        }
    }
    best
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn regressions(kept: &str) -> Vec<Vec<u8>> {
    let digits = kept
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(text, 16).expect("hexadecimal digits")
    };
    digits
        .filter(|line| !line.is_empty())
        .map(|line| line.as_bytes().chunks(2).map(byte).collect())
        .collect()
}

thread_local! {
    static INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Let panics within a target be silent: one that counts is panicked again, once it is small.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                loud(panic);
            }
        }));
    });
}
