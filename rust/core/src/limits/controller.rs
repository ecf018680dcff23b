//! `Controller`: permits for calls, as many at a time as an algorithm allows.
//!
//! An algorithm only says how many calls there may be. The controller counts those that there are, gives a permit to each,
//! and feeds the algorithm one sample a call, from its permit to its end. Its rules:
//!
//! * A permit is given while fewer calls are in flight than the limit, which is never below 1: so one is always given if
//!   none is in flight. A limit that falls takes no permit back; none is given until enough calls have ended.
//! * A permit carries the *generation* that gave it. One of before a reset changes nothing when it comes back.
//! * A call that is released, rather than recorded, gives its permit back and teaches nothing.
//! * While frozen it learns nothing from any call, and the limit stays; a cap lowers the limit beside the algorithm. Both
//!   are for circuit breakers: what an open one leaves of the calls says nothing about the dependency.
//! * Time never goes back: an earlier reading counts as the latest one.
//!
//! A call allocates nothing. `history` is the limit's past in brief, `own` the place of an algorithm that is elsewhere.

mod history;
mod own;

#[cfg(test)]
mod tests;

use super::change::Change;
use super::{Limit, Sample, Snapshot};

pub use history::History;
pub use own::own;

/// Right of one call to be in flight. Give it back with `settle`, once.
#[derive(Debug, PartialEq, Eq)]
pub struct CallPermit {
    start_ns: u64,
    in_flight: u32,
    generation: u32,
}

impl CallPermit {
    /// Time at which it was given.
    #[must_use]
    pub const fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// Calls in flight when it was given, its own included.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Begin its call later by this time, in which it waited for something else than what is limited.
    pub const fn postpone(&mut self, by_ns: u64) {
        self.start_ns = self.start_ns.saturating_add(by_ns);
    }
}

/// End of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// An answer.
    Answered,
    /// A failure from overload: a time-out, a refusal.
    Dropped,
    /// A cancellation, or a call that was never made: nothing follows from it.
    Ignored,
}

/// Calls by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Permits that were given.
    pub acquired: u64,
    /// Calls that wanted a permit and got none.
    pub refused: u64,
    /// Samples of answered calls.
    pub answered: u64,
    /// Samples of calls that failed from overload.
    pub dropped: u64,
    /// Permits that came back without a sample, those of a frozen controller included.
    pub released: u64,
    /// Permits that came back after a reset.
    pub stale: u64,
}

/// Bounds of the limit, in calls; 1 at least, and the greater one wins if they contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitBounds {
    /// The limit is never below this.
    pub min: u32,
    /// The limit is never above this.
    pub max: u32,
}

/// The last change of the limit that is applied; its statistics, if there are any, are the algorithm's.
#[derive(Clone, Copy)]
struct LastGiven {
    at_ns: u64,
    from: u32,
    reason: &'static str,
}

/// See the module.
pub struct Controller {
    algorithm: Box<dyn Limit>,
    bounds: LimitBounds,
    /// The first limit, for a reset.
    initial: u32,
    monitor_only: bool,
    frozen: bool,
    cap: u32,
    /// The algorithm's limit when it was last read.
    found: u32,
    /// The limit that is applied.
    limit: u32,
    last: Option<LastGiven>,
    in_flight: u32,
    generation: u32,
    now_ns: u64,
    counts: Counts,
    history: History,
}

impl Controller {
    /// Give permits as the algorithm says; with `monitor_only`, to every call, and only compute the limit.
    #[must_use]
    pub fn new(
        algorithm: Box<dyn Limit>,
        bounds: LimitBounds,
        monitor_only: bool,
        now_ns: u64,
    ) -> Self {
        let bounds = LimitBounds {
            min: bounds.min.clamp(1, bounds.max.max(1)),
            max: bounds.max.max(1),
        };
        let found = algorithm.limit();
        let limit = found.clamp(bounds.min, bounds.max);
        Self {
            algorithm,
            bounds,
            initial: limit,
            monitor_only,
            frozen: false,
            cap: u32::MAX,
            found,
            limit,
            last: None,
            in_flight: 0,
            generation: 0,
            now_ns,
            counts: Counts::default(),
            history: History::new(limit),
        }
    }

    /// Return a permit; None at the limit, and the algorithm then knows that a call waits.
    pub fn try_acquire(&mut self, now_ns: u64) -> Option<CallPermit> {
        let now_ns = self.told(now_ns);
        if self.in_flight >= self.limit {
            self.refuse(now_ns);
            if !self.monitor_only {
                return None;
            }
        }
        Some(self.start(now_ns))
    }

    /// Return a permit whatever the limit, for a call that has been let go already; at the limit the algorithm knows of it.
    ///
    /// It is counted as refused if the controller only monitors: one that gates has counted it before, when it waited.
    pub fn acquire_beyond(&mut self, now_ns: u64) -> CallPermit {
        let now_ns = self.told(now_ns);
        if self.in_flight >= self.limit {
            if self.monitor_only {
                self.refuse(now_ns);
            } else {
                self.crowd(now_ns);
            }
        }
        self.start(now_ns)
    }

    fn start(&mut self, now_ns: u64) -> CallPermit {
        self.in_flight += 1;
        self.counts.acquired += 1;
        self.algorithm.started(now_ns);
        CallPermit {
            start_ns: now_ns,
            in_flight: self.in_flight,
            generation: self.generation,
        }
    }

    /// Count a call that wanted a permit and got none.
    pub fn refuse(&mut self, now_ns: u64) {
        self.counts.refused += 1;
        self.crowd(now_ns);
    }

    /// Note that a call, which was counted when it was refused, still waits for a permit.
    pub fn crowd(&mut self, now_ns: u64) {
        let now_ns = self.told(now_ns);
        if !self.frozen {
            self.algorithm.blocked(now_ns);
        }
    }

    /// Give a permit back; return the sample, if there is one.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is given back once")]
    pub fn settle(&mut self, permit: CallPermit, now_ns: u64, outcome: CallEnd) -> Option<Sample> {
        let now_ns = self.told(now_ns);
        if permit.generation != self.generation {
            self.counts.stale += 1;
            return None;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        let sample = Sample {
            start_ns: permit.start_ns,
            rtt_ns: now_ns.saturating_sub(permit.start_ns),
            in_flight: permit.in_flight,
            dropped: outcome == CallEnd::Dropped,
        };
        if self.frozen || outcome == CallEnd::Ignored || !self.algorithm.accepts(&sample) {
            self.counts.released += 1;
            self.algorithm.ignored(now_ns);
            self.look(now_ns);
            return None;
        }
        if sample.dropped {
            self.counts.dropped += 1;
        } else {
            self.counts.answered += 1;
        }
        self.algorithm.sampled(&sample);
        self.look(now_ns);
        Some(sample)
    }

    /// Note the time.
    pub fn advance(&mut self, now_ns: u64) {
        self.told(now_ns);
    }

    /// Learn nothing more until `restart`; the limit stays.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Apply no limit above this until `restart`.
    pub fn cap(&mut self, cap: u32, now_ns: u64) {
        let now_ns = self.told(now_ns);
        self.cap = cap.max(1);
        self.give("half open", now_ns);
    }

    /// Go on after `freeze` and `cap`, with half of the limit from which it froze.
    pub fn restart(&mut self, now_ns: u64) {
        let now_ns = self.told(now_ns);
        self.frozen = false;
        self.cap = u32::MAX;
        let half = (self.found / 2).max(self.bounds.min);
        let learnt = self.algorithm.snapshot();
        let learnt = Snapshot {
            limit: half,
            ..learnt
        };
        self.begin("circuit closed", learnt, now_ns);
    }

    /// Return what was learnt, for `restore` in another process.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.algorithm.snapshot()
    }

    /// Begin with what an earlier one has learnt, within the present bounds.
    pub fn restore(&mut self, learnt: Snapshot, now_ns: u64) {
        let now_ns = self.told(now_ns);
        self.begin("restored", learnt, now_ns);
    }

    /// Begin anew at the first limit, with no call in flight: the permits that are out are forgotten.
    pub fn reset(&mut self, now_ns: u64) {
        let now_ns = self.told(now_ns);
        for _ in 0..self.in_flight {
            self.algorithm.ignored(now_ns);
        }
        self.in_flight = 0;
        self.generation = self.generation.wrapping_add(1);
        self.frozen = false;
        self.cap = u32::MAX;
        let first = Snapshot {
            limit: self.initial,
            baseline_ns: None,
        };
        self.begin("reset", first, now_ns);
    }

    /// Note the limit of an algorithm that is elsewhere (see `own`).
    pub fn note_own(&mut self, limit: u32, now_ns: u64) {
        let now_ns = self.told(now_ns);
        let learnt = Snapshot {
            limit,
            baseline_ns: None,
        };
        self.begin("own algorithm", learnt, now_ns);
    }

    fn begin(&mut self, reason: &'static str, learnt: Snapshot, now_ns: u64) {
        let limit = learnt.limit.clamp(self.bounds.min, self.bounds.max);
        self.algorithm.restore(Snapshot { limit, ..learnt }, now_ns);
        self.found = self.algorithm.limit();
        self.give(reason, now_ns);
    }

    /// Read the algorithm's limit, after something that may have changed it.
    fn look(&mut self, now_ns: u64) {
        let found = self.algorithm.limit();
        if found != self.found {
            self.found = found;
            let change = self.algorithm.last_change();
            self.give(change.map_or("", |change| change.reason), now_ns);
        }
    }

    fn give(&mut self, reason: &'static str, at_ns: u64) {
        let from = self.limit;
        self.limit = self
            .found
            .clamp(self.bounds.min, self.bounds.max)
            .min(self.cap);
        if self.limit != from {
            self.last = Some(LastGiven {
                at_ns,
                from,
                reason,
            });
            self.history.change(self.limit, reason, at_ns);
        }
    }

    fn told(&mut self, now_ns: u64) -> u64 {
        self.now_ns = self.now_ns.max(now_ns);
        self.history.begin(self.now_ns);
        self.now_ns
    }

    /// Return the limit that is applied; computed only, if it gates nothing.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Return how many more calls may start now.
    #[must_use]
    pub fn free(&self) -> u32 {
        if self.monitor_only {
            u32::MAX
        } else {
            self.limit().saturating_sub(self.in_flight)
        }
    }

    /// Return the number of permits that are out.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Return the bounds of the limit.
    #[must_use]
    pub const fn bounds(&self) -> LimitBounds {
        self.bounds
    }

    /// True if it gates nothing.
    #[must_use]
    pub const fn is_monitor_only(&self) -> bool {
        self.monitor_only
    }

    /// True from `freeze` to `restart`.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Return the latest time that it was told.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Return the last change of the limit; None before the first.
    #[must_use]
    pub fn last_change(&self) -> Option<Change> {
        let last = self.last?;
        let found = self.algorithm.last_change();
        let found = found.filter(|found| found.at_ns == last.at_ns && found.reason == last.reason);
        let plain = Change::plain(last.at_ns, last.from, self.limit, last.reason);
        Some(found.map_or(plain, |found| found.between(last.from, self.limit)))
    }

    /// Return the counts of calls.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Return the limit's past in brief.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }
}
