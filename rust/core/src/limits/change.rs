//! `Change`: a change of a limit, with its reason and the statistics that led to it.

use super::parameters::LimitRange;

/// Most statistics that a change carries.
const MOST: usize = 6;

/// A change of the integer limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Time of the change.
    pub at_ns: u64,
    /// Limit before.
    pub from: u32,
    /// Limit after.
    pub to: u32,
    /// Reason, in a few words.
    pub reason: &'static str,
    statistics: [(&'static str, f64); MOST],
    count: usize,
}

impl Change {
    /// Return the same change between other limits.
    pub(super) const fn between(mut self, from: u32, to: u32) -> Self {
        self.from = from;
        self.to = to;
        self
    }

    /// Return a change without statistics.
    pub(super) const fn plain(at_ns: u64, from: u32, to: u32, reason: &'static str) -> Self {
        Self {
            at_ns,
            from,
            to,
            reason,
            statistics: [("", 0.0); MOST],
            count: 0,
        }
    }

    /// Statistics behind the decision, by name.
    #[must_use]
    pub fn statistics(&self) -> &[(&'static str, f64)] {
        &self.statistics[..self.count]
    }
}

/// The integer limit of an algorithm, and how it last changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracked {
    limit: u32,
    last: Option<Change>,
}

impl Tracked {
    pub(super) const fn new(limit: u32) -> Self {
        Self { limit, last: None }
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) const fn last(&self) -> Option<&Change> {
        self.last.as_ref()
    }

    /// Bring the limit within its bounds, which the first one need not be; return it.
    pub(super) fn bounded(&mut self, range: &LimitRange, at_ns: u64) -> u32 {
        let limit = range.clamp(self.limit);
        self.set(limit, at_ns, "bounds", &[]);
        limit
    }

    /// Say of the limit, which stays, what is known of it now.
    pub(super) fn restate(&mut self, at_ns: u64, reason: &'static str) {
        let limit = self.limit;
        let last = self
            .last
            .get_or_insert(Change::plain(at_ns, limit, limit, reason));
        last.reason = reason;
    }

    /// Set the limit; remember why, if that changes it. At most six statistics are kept.
    pub(super) fn set(
        &mut self,
        limit: u32,
        at_ns: u64,
        reason: &'static str,
        statistics: &[(&'static str, f64)],
    ) {
        if limit == self.limit {
            return;
        }
        let count = statistics.len().min(MOST);
        let mut kept = [("", 0.0); MOST];
        kept[..count].copy_from_slice(&statistics[..count]);
        self.last = Some(Change {
            at_ns,
            from: self.limit,
            to: limit,
            reason,
            statistics: kept,
            count,
        });
        self.limit = limit;
    }
}
