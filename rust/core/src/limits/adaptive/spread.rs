//! `Spread`: whether the services of calls differ by themselves, or whatever latencies differ by is a queue's.

/// Spread of services that differ, as a share of latency: where no queue is expected, and anywhere.
const ROUGH: (f64, f64) = (0.3, 0.6);
/// Windows in a row with that spread after which services are taken to differ.
const ROUGH_WINDOWS: u32 = 2;
/// Spread of services that are all alike, and the windows in a row with it after which they are taken to be again.
const CALM: f64 = 0.15;
const CALM_WINDOWS: u32 = 4;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// Latency of the last success, the sum of squared differences between neighbours, and their number.
    previous_ns: Option<f64>,
    differences: f64,
    pairs: f64,
    is_narrow: bool,
    calm: u32,
    rough: u32,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            previous_ns: None,
            differences: 0.0,
            pairs: 0.0,
            is_narrow: true,
            calm: 0,
            rough: 0,
        }
    }
}

impl Spread {
    /// True while services are taken to be all alike.
    pub(super) const fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    /// Take services to differ.
    pub(super) fn widen(&mut self) {
        self.is_narrow = false;
        self.calm = 0;
    }

    /// Begin a window.
    pub(super) fn begin(&mut self) {
        self.previous_ns = None;
        self.differences = 0.0;
        self.pairs = 0.0;
    }

    /// Add the latency of a success.
    pub(super) fn add(&mut self, latency_ns: f64) {
        if let Some(previous_ns) = self.previous_ns.replace(latency_ns) {
            let difference = latency_ns - previous_ns;
            self.differences += difference * difference;
            self.pairs += 1.0;
        }
    }

    /// Return the deviation of the services' own, of that of all latencies.
    ///
    /// A queue moves the latencies of calls that follow one another together; services differ from call to call. So half
    /// of the mean squared difference between neighbours (von Neumann, 1941) is the services' variance alone.
    pub(super) fn own(&self, deviation_ns: f64) -> f64 {
        deviation_ns.min((self.differences / (2.0 * self.pairs.max(1.0))).sqrt())
    }

    /// Judge the services by a window's spread, as a share of latency; `is_base` if no queue is expected.
    pub(super) fn judge(&mut self, spread: f64, is_base: bool) {
        if spread > if is_base { ROUGH.0 } else { ROUGH.1 } {
            self.rough += 1;
            self.is_narrow &= self.rough < ROUGH_WINDOWS;
            self.calm = 0;
        } else {
            self.rough = 0;
            self.calm = if spread < CALM { self.calm + 1 } else { 0 };
            self.is_narrow |= self.calm >= CALM_WINDOWS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::draw;

    #[test]
    fn a_queue_that_builds_up_is_no_spread_of_services() {
        let mut spread = Spread::default();
        (1..=40).for_each(|call| spread.add(f64::from(call) * 1e7));
        // Forty latencies from 10 to 400 ms deviate by 115 ms, and neighbours by 10 ms.
        assert!((spread.own(115e6) - 1e7 / 2.0_f64.sqrt()).abs() < 1.0);
    }

    #[test]
    fn services_that_differ_from_call_to_call_have_their_whole_deviation() {
        let mut spread = Spread::default();
        (1..=4000).for_each(|call| spread.add(1e7 * draw(1, call)));
        let deviation = 1e7 / 12.0_f64.sqrt();
        let own = spread.own(2.0 * deviation);
        assert!((own / deviation - 1.0).abs() < 0.05, "{own}");
        assert!(spread.own(1.0) <= 1.0);
    }

    #[test]
    fn two_rough_windows_in_a_row_widen_and_four_calm_ones_narrow() {
        let mut spread = Spread::default();
        let mut after = |share: f64, is_base: bool| {
            spread.judge(share, is_base);
            spread.is_narrow()
        };
        assert_eq!(
            [0.7, 0.2, 0.7, 0.7].map(|share| after(share, false)),
            [true, true, true, false]
        );
        assert_eq!(
            [0.1, 0.1, 0.2, 0.1, 0.1, 0.1].map(|share| after(share, false)),
            [false; 6]
        );
        assert!(after(0.1, false));
        assert_eq!([0.4, 0.4].map(|share| after(share, true)), [true, false]);
    }
}
