//! `SharedLink`: calls that share a link fairly, each as fast as alone up to a number of them (processor sharing).
//!
//! Kept separate from `server`, whose other models know the end of a call once it begins; here each that comes or goes moves
//! the ends of all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Number of a call.
pub(super) type CallNumber = usize;

/// Bits of progress below a nanosecond: a share of a link is no whole number.
const FRACTION: u32 = 20;

/// Calls on a link.
#[derive(Debug, Default)]
pub(super) struct SharedLink {
    /// Nanoseconds of its own size that a call which was always there has had by now, shifted by `FRACTION`.
    progress: u128,
    now_ns: u64,
    /// Progress at which each ends.
    calls: BinaryHeap<Reverse<(u128, CallNumber)>>,
}

impl SharedLink {
    /// A call comes, which alone would take so long.
    pub(super) fn begin(&mut self, call: CallNumber, alone_ns: u64, now_ns: u64, streams: u64) {
        self.advance(now_ns, streams);
        let end = self.progress + (u128::from(alone_ns) << FRACTION);
        self.calls.push(Reverse((end, call)));
    }

    /// Return a call that ends by now, if there is one more.
    pub(super) fn ended(&mut self, now_ns: u64, streams: u64) -> Option<CallNumber> {
        self.advance(now_ns, streams);
        let Reverse((end, _)) = self.calls.peek()?;
        if *end > self.progress {
            return None;
        }
        self.calls.pop().map(|Reverse((_, call))| call)
    }

    /// Return when the next call ends if none comes before: never too early.
    pub(super) fn next_ns(&self, streams: u64) -> Option<u64> {
        let Reverse((end, _)) = self.calls.peek()?;
        let missing = end.saturating_sub(self.progress) * u128::from(self.slowness(streams).0);
        let rate = u128::from(self.slowness(streams).1) << FRACTION;
        let wait_ns = u64::try_from(missing.div_ceil(rate)).unwrap_or(u64::MAX);
        Some(self.now_ns.saturating_add(wait_ns))
    }

    /// Return the factor by which each call is slower than alone, as a fraction.
    fn slowness(&self, streams: u64) -> (u64, u64) {
        let there = self.calls.len() as u64;
        (there.max(streams), streams)
    }

    fn advance(&mut self, now_ns: u64, streams: u64) {
        let lasted_ns = now_ns.saturating_sub(self.now_ns);
        let (slower, streams) = self.slowness(streams);
        self.progress +=
            (u128::from(lasted_ns) << FRACTION) * u128::from(streams) / u128::from(slower);
        self.now_ns = self.now_ns.max(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Return the end of each call that comes at a time with a size, by the order in which they end.
    fn ends(streams: u64, calls: &[(u64, u64)]) -> Vec<(u64, CallNumber)> {
        let (mut link, mut found) = (SharedLink::default(), Vec::new());
        let mut coming = calls.iter().enumerate().peekable();
        loop {
            let next = coming.peek().map(|(_, (at_ns, _))| *at_ns);
            match (link.next_ns(streams), next) {
                (Some(end_ns), next) if next.is_none_or(|at_ns| end_ns <= at_ns) => {
                    while let Some(call) = link.ended(end_ns, streams) {
                        found.push((end_ns, call));
                    }
                }
                (_, Some(at_ns)) => {
                    if let Some((call, (_, alone_ns))) = coming.next() {
                        link.begin(call, *alone_ns, at_ns, streams);
                    }
                }
                _ => return found,
            }
        }
    }

    #[test]
    fn up_to_its_streams_a_call_is_as_fast_as_alone() {
        assert_eq!(ends(2, &[(0, 100), (30, 50)]), [(80, 1), (100, 0)]);
    }

    #[test]
    fn beyond_its_streams_all_are_slower_in_proportion() {
        assert_eq!(
            ends(2, &[(0, 100), (0, 100), (0, 100), (0, 100)]),
            [(200, 0), (200, 1), (200, 2), (200, 3)]
        );
        // Alone for 50, at half for 100 while the other has its 50, alone for the last 0.
        assert_eq!(ends(1, &[(0, 100), (50, 50)]), [(150, 0), (150, 1)]);
        // At half until 100, where the short one ends, and then alone.
        assert_eq!(ends(1, &[(0, 50), (0, 200)]), [(100, 0), (250, 1)]);
    }

    #[test]
    fn shares_that_are_no_whole_number_end_in_the_nanosecond_after() {
        assert_eq!(
            ends(2, &[(0, 100), (0, 100), (0, 101)]),
            [(150, 0), (150, 1), (151, 2)]
        );
    }
}
