//! Logarithm, exponential, cosine and hypotenuse by operations that are exactly rounded: the same bits on every machine.
//!
//! Those of the standard library are the platform's, and differ in the last bit from one to the next; one bit of one
//! service time is enough for a simulation to go another way. Kept separate because algorithms and the simulation both
//! need them. Errors stay below 2e-15 of the result.

use std::f64::consts::{FRAC_PI_2, SQRT_2};

/// High and low part of the logarithm of 2: small multiples of the high one are exact.
const LN_2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);

/// Return the natural logarithm; what is not above 0 has minus infinity.
#[expect(clippy::cast_precision_loss, reason = "an exponent has eleven bits")]
pub(super) fn ln(x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if !x.is_finite() {
        return x;
    }
    let (x, shift) = if x < f64::MIN_POSITIVE {
        (x * 18_014_398_509_481_984.0, -54)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let mut exponent = i64::try_from(bits >> 52).unwrap_or(0) - 1023 + shift;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for odd in (1..=23).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(odd);
    }
    let k = exponent as f64;
    k * LN_2.0 + (2.0 * s * sum + k * LN_2.1)
}

/// Return the exponential.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a small whole number"
)]
pub(super) fn exp(x: f64) -> f64 {
    if x.is_nan() || x > 709.0 {
        return if x.is_nan() { x } else { f64::INFINITY };
    }
    if x < -708.0 {
        return 0.0;
    }
    let k = (x / (LN_2.0 + LN_2.1)).round();
    let rest = (x - k * LN_2.0) - k * LN_2.1;
    let mut sum = 1.0;
    for n in (1..=16).rev() {
        sum = 1.0 + sum * rest / f64::from(n);
    }
    sum * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

/// Return the root of the sum of two squares, which must be far from the greatest number.
pub(super) fn hypot(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// Return the cosine of so many turns, from 0 up to 1.
pub(super) fn cos_of_turns(turns: f64) -> f64 {
    let quarters = turns * 4.0;
    let whole = quarters.floor();
    let angle = (quarters - whole) * FRAC_PI_2;
    let square = angle * angle;
    let series = |first: i32| {
        let mut sum = 1.0;
        for n in (1..=11).rev() {
            sum = 1.0 - sum * square / f64::from((2 * n - 1 + first) * (2 * n + first));
        }
        sum
    };
    match whole.rem_euclid(4.0) {
        0.0 => series(0),
        1.0 => -angle * series(1),
        2.0 => -series(0),
        _ => angle * series(1),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the platform's, for comparison")]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_the_platforms_to_the_last_bits(
            x in 1e-300_f64..1e300, y in -700.0_f64..700.0, turns in 0.0_f64..1.0
        ) {
            prop_assert!((ln(x) - x.ln()).abs() <= 2e-15 * x.ln().abs().max(1.0));
            prop_assert!((exp(y) - y.exp()).abs() <= 2e-15 * y.exp());
            prop_assert!((cos_of_turns(turns) - (TAU * turns).cos()).abs() <= 2e-15);
        }

        #[test]
        fn a_logarithm_near_one_keeps_its_bits(x in 0.9_f64..1.1) {
            prop_assert!((ln(x) - x.ln()).abs() <= 2e-15 * x.ln().abs());
        }
    }

    #[test]
    fn the_ends_are_those_of_the_mathematics() {
        assert_eq!(ln(0.0).to_bits(), f64::NEG_INFINITY.to_bits());
        assert_eq!(ln(1.0).to_bits(), 0.0_f64.to_bits());
        assert!((ln(5e-324) - -744.440_071_921_381_3).abs() < 1e-12);
        assert_eq!(exp(0.0).to_bits(), 1.0_f64.to_bits());
        assert!(exp(1000.0).is_infinite() && exp(-1000.0) == 0.0 && exp(f64::NAN).is_nan());
        assert!((cos_of_turns(0.25)).abs() < 1e-15 && (cos_of_turns(0.5) + 1.0).abs() < 1e-15);
    }
}
