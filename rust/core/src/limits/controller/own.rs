//! `own`: the place of an algorithm that is not in this crate; whoever has it tells the controller its limits.

use super::super::change::{Change, Tracked};
use super::super::{Limit, Sample, Snapshot};

struct Own {
    tracked: Tracked,
}

/// Return a limit that changes only when it is restored; `Controller::note_own` does so.
#[must_use]
pub fn own(limit: u32) -> Box<dyn Limit> {
    Box::new(Own {
        tracked: Tracked::new(limit.max(1)),
    })
}

impl Limit for Own {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, _sample: &Sample) {}

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.tracked
            .set(snapshot.limit.max(1), now_ns, "restored", &[]);
    }
}
