//! Settings that are refused.

use super::super::SettingsError;
use super::*;

/// Settings with one field set, beside the field's name in reports.
macro_rules! wrong {
    ($($report:literal: $field:ident = $value:expr;)*) => {
        [$(($report, Settings { $field: $value, ..Settings::default() })),*]
    };
}

#[test]
fn every_parameter_has_bounds() {
    let wrong = wrong! {
        "failure_rate_threshold": failure_rate_threshold = 0.0;
        "failure_rate_threshold": failure_rate_threshold = 100.1;
        "failure_rate_threshold": failure_rate_threshold = f64::NAN;
        "failure_rate_threshold": failure_rate_threshold = 1e-60;
        "slow_call_rate_threshold": slow_call_rate_threshold = -1.0;
        "slow_call_duration": slow_call_duration_ns = 0;
        "sliding_window_size": window = Sliding::Calls(0);
        "sliding_window_size": window = Sliding::Seconds(0);
        "sliding_window_size": window = Sliding::Calls(1_000_001);
        "minimum_calls": minimum_calls = 0;
        "wait_duration": wait_ns = 999_999;
        "wait_multiplier": wait_multiplier = 0.9;
        "wait_multiplier": wait_multiplier = f64::INFINITY;
        "max_wait_duration": max_wait_ns = SECOND;
        "wait_jitter": wait_jitter = 1.1;
        "permitted_calls_in_half_open": trial_calls = 0;
        "max_half_open": max_half_open_ns = Some(0);
        "half_open_lease": lease_ns = 0;
    };
    for (field, settings) in wrong {
        let error: SettingsError = Machine::new(settings, 0, 0).expect_err(field);
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains("expected"));
    }
    assert!(Machine::new(Settings::default(), 0, 0).is_ok());
}
