//! Draws of a seed: the only randomness in the core, and the same on every machine.

/// Return the n-th draw of a seed, from 0 up to 1: splitmix64 (Steele, Lea, Flood 2014), of which 53 bits are taken.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub fn draw(seed: u64, ordinal: u64) -> f64 {
    let step = ordinal.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed(seed.wrapping_add(step)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Return a number each bit of which depends on every bit of this one: the finaliser of splitmix64.
#[inline]
#[must_use]
pub const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_splitmix64() {
        // First output of the published generator for seed 0: e220a8397b1dcdaf.
        assert!((draw(0, 0) - 0.883_310_808_213_642_6).abs() < 1e-15);
    }
}
