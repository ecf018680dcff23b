//! Seeds of failures of the property tests beside this folder.

use proptest::test_runner::{Config, FileFailurePersistence};

/// Return so many cases, with the seeds that failed kept in `<test>.proptest-regressions` beside the test.
///
/// The default place is found from a `lib.rs` above the source, which these tests do not have: their failures would be
/// forgotten.
pub fn kept(cases: u32) -> Config {
    let place = FileFailurePersistence::WithSource("proptest-regressions");
    Config {
        cases,
        failure_persistence: Some(Box::new(place)),
        ..Config::default()
    }
}
