//! The calls on which the rates are based: the last calls, or those of the last seconds.

use super::settings::Sliding;
use super::tally::Tally;

/// Buckets of a time window: the current, partly elapsed one and nine before it.
const BUCKETS: usize = 10;

/// The past calls, as far as they are remembered. Invariant: `total` is the sum of the calls inside.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Count(Ring),
    Time(Box<Buckets>),
}

impl Window {
    pub(super) fn new(sliding: Sliding) -> Self {
        match sliding {
            Sliding::Calls(size) => Self::Count(Ring::new(size as usize)),
            Sliding::Seconds(size) => {
                Self::Time(Box::new(Buckets::new(u64::from(size) * 100_000_000)))
            }
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Count(ring) => ring.clear(),
            Self::Time(buckets) => buckets.clear(),
        }
    }

    /// Add a call that ended at that time, which is not before any given earlier; return the whole window.
    pub(super) fn record(&mut self, now_ns: u64, failed: bool, slow: bool) -> Tally {
        match self {
            Self::Count(ring) => ring.record(failed, slow),
            Self::Time(buckets) => buckets.record(now_ns, failed, slow),
        }
    }

    /// Return what the window holds at that time.
    pub(super) fn tally(&self, now_ns: u64) -> Tally {
        match self {
            Self::Count(ring) => ring.total,
            Self::Time(buckets) => buckets.tally(now_ns),
        }
    }
}

/// The last `size` calls, two bits each.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    /// Four calls a byte: the lower bit of a pair says failed, the upper one slow. Below `total.calls` calls were
    /// written since the ring was cleared; what lies behind them is old and never read.
    pairs: Box<[u8]>,
    size: usize,
    /// Index of the next call: below `size`.
    next: usize,
    total: Tally,
}

impl Ring {
    fn new(size: usize) -> Self {
        Self {
            pairs: vec![0; size.div_ceil(4)].into_boxed_slice(),
            size,
            next: 0,
            total: Tally::default(),
        }
    }

    fn clear(&mut self) {
        self.next = 0;
        self.total = Tally::default();
    }

    fn record(&mut self, failed: bool, slow: bool) -> Tally {
        let shift = (self.next % 4) * 2;
        let byte = &mut self.pairs[self.next / 4];
        if self.total.calls == self.size as u64 {
            let oldest = *byte >> shift;
            self.total.subtract(Tally {
                calls: 1,
                failed: u64::from(oldest & 1),
                slow: u64::from(oldest >> 1 & 1),
            });
        }
        *byte = *byte & !(3 << shift) | (u8::from(failed) | u8::from(slow) << 1) << shift;
        self.next += 1;
        if self.next == self.size {
            self.next = 0;
        }
        self.total.add(failed, slow);
        self.total
    }
}

/// The calls of the last ten buckets, a tenth of the window's length each: the window covers between nine and ten
/// tenths of its length.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    width_ns: u64,
    /// The bucket of epoch e (its number since time zero) lies at e modulo `BUCKETS`.
    past: [Tally; BUCKETS],
    /// Epoch of the latest record. Buckets hold the ten epochs that end with it.
    epoch: u64,
    total: Tally,
}

impl Buckets {
    fn new(width_ns: u64) -> Self {
        Self {
            width_ns,
            past: [Tally::default(); BUCKETS],
            epoch: 0,
            total: Tally::default(),
        }
    }

    fn clear(&mut self) {
        self.past = [Tally::default(); BUCKETS];
        self.total = Tally::default();
    }

    fn record(&mut self, now_ns: u64, failed: bool, slow: bool) -> Tally {
        let epoch = now_ns / self.width_ns;
        // Beyond ten steps every bucket has been emptied.
        for step in 1..=epoch.saturating_sub(self.epoch).min(BUCKETS as u64) {
            let index = at(self.epoch + step);
            self.total.subtract(core::mem::take(&mut self.past[index]));
        }
        self.epoch = self.epoch.max(epoch);
        self.past[at(self.epoch)].add(failed, slow);
        self.total.add(failed, slow);
        self.total
    }

    fn tally(&self, now_ns: u64) -> Tally {
        let elapsed = (now_ns / self.width_ns).saturating_sub(self.epoch);
        if elapsed == 0 {
            return self.total;
        }
        let mut inside = Tally::default();
        for age in 0..(BUCKETS as u64).saturating_sub(elapsed) {
            if let Some(epoch) = self.epoch.checked_sub(age) {
                inside.merge(self.past[at(epoch)]);
            }
        }
        inside
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below ten"
)]
fn at(epoch: u64) -> usize {
    (epoch % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted<'a>(calls: impl Iterator<Item = &'a (bool, bool)>) -> Tally {
        let mut tally = Tally::default();
        for &(failed, slow) in calls {
            tally.add(failed, slow);
        }
        tally
    }

    proptest! {
        #[test]
        fn a_ring_counts_the_last_calls(
            size in 1_u32..40,
            lives in prop::collection::vec(prop::collection::vec(any::<(bool, bool)>(), 0..100), 1..4),
        ) {
            let mut window = Window::new(Sliding::Calls(size));
            for calls in lives {
                window.clear();
                for (index, &(failed, slow)) in calls.iter().enumerate() {
                    let expected = counted(calls[..=index].iter().rev().take(size as usize));
                    prop_assert_eq!(window.record(0, failed, slow), expected);
                    prop_assert_eq!(window.tally(0), expected);
                }
            }
        }

        #[test]
        fn a_time_window_counts_the_last_ten_tenths(
            size in 1_u32..4,
            calls in prop::collection::vec((0_u64..700_000_000, any::<(bool, bool)>()), 0..100),
            later in 0_u64..5_000_000_000,
        ) {
            let width = u64::from(size) * 100_000_000;
            let mut window = Window::new(Sliding::Seconds(size));
            let mut seen: Vec<(u64, (bool, bool))> = Vec::new();
            let mut now = 0;
            let inside = |seen: &[(u64, (bool, bool))], now: u64| {
                counted(seen.iter().filter(|(time, _)| now / width - time / width < 10).map(|(_, call)| call))
            };
            for (step, call) in calls {
                now += step;
                seen.push((now, call));
                prop_assert_eq!(window.record(now, call.0, call.1), inside(&seen, now));
            }
            prop_assert_eq!(window.tally(now + later), inside(&seen, now + later));
        }
    }

    #[test]
    fn the_end_of_time_is_a_time() {
        let mut window = Window::new(Sliding::Seconds(1));
        window.record(0, true, true);
        assert_eq!(window.record(u64::MAX, false, false).calls, 1);
        assert_eq!(window.record(u64::MAX, false, false).calls, 2);
    }
}
