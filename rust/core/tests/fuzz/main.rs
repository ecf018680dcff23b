//! Fuzz targets of what reads bytes of strangers: values, frames, conditions.
//!
//! Each target takes any bytes and panics if something does not hold that must hold for all bytes. `campaign` mutates
//! valid inputs for as long as it is told to; a target can be given to a fuzzer that is guided by coverage as it is.
//! A second each here; a minute each in `make test-slow`, or `FUZZ_SECONDS`.

mod allocations;
mod campaign;
mod conditions;
mod frames;
mod mutation;
mod reference;
mod sources;
mod values;

use campaign::{Target, campaign};

const VALUES: Target = Target {
    name: "values",
    run: values::check,
    seeds: values::seeds,
    words: values::WORDS,
    kept: include_str!("regressions/values.txt"),
};
const FRAMES: Target = Target {
    name: "frames",
    run: frames::check,
    seeds: frames::seeds,
    words: values::WORDS,
    kept: include_str!("regressions/frames.txt"),
};
const CONDITIONS: Target = Target {
    name: "conditions",
    run: conditions::check,
    seeds: conditions::seeds,
    words: conditions::WORDS,
    kept: include_str!("regressions/conditions.txt"),
};

#[test]
fn a_second_of_values() {
    campaign(&VALUES, 1);
}

#[test]
fn a_second_of_frames() {
    campaign(&FRAMES, 1);
}

#[test]
fn a_second_of_conditions() {
    campaign(&CONDITIONS, 1);
}

#[test]
#[ignore = "a minute"]
fn a_minute_of_values() {
    campaign(&VALUES, 60);
}

#[test]
#[ignore = "a minute"]
fn a_minute_of_frames() {
    campaign(&FRAMES, 60);
}

#[test]
#[ignore = "a minute"]
fn a_minute_of_conditions() {
    campaign(&CONDITIONS, 60);
}

#[test]
fn a_failure_is_found_made_small_and_printed_with_its_seed() {
    let planted = Target {
        name: "planted",
        run: |bytes| {
            assert!(
                !bytes.windows(2).any(|pair| pair == [0xc1, 0xdf]),
                "planted"
            );
            String::new()
        },
        ..VALUES
    };
    let failed = std::panic::catch_unwind(|| campaign(&planted, 20)).expect_err("it was planted");
    let text = failed.downcast::<String>().expect("a text");
    assert!(text.contains("planted: c1df (seed "), "{text}");
}

#[test]
fn an_input_that_asks_for_too_much_memory_is_seen() {
    let greedy = || allocations::peak_of(|| drop(Vec::<u8>::with_capacity(1 << 20))).1;
    assert!((1 << 20..1 << 21).contains(&greedy()));
    assert_eq!(allocations::peak_of(|| ()).1, 0);
}
