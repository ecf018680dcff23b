//! `fixed`: a limit that never changes.

use super::change::{Change, Tracked};
use super::parameters::{ParameterError, Parameters};
use super::{Limit, Sample, Snapshot};

/// A limit that never changes; samples are ignored. It is given as `limit`, or as `initial` as to the others.
pub(super) struct Fixed {
    tracked: Tracked,
}

impl Fixed {
    pub(super) fn new(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        let initial = parameters.limit("initial", 20)?;
        Ok(Self {
            tracked: Tracked::new(parameters.limit("limit", initial)?),
        })
    }
}

impl Limit for Fixed {
    fn limit(&self) -> u32 {
        self.tracked.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.tracked.last()
    }

    fn sampled(&mut self, _sample: &Sample) {}

    /// The limit is configured, not learnt: nothing is restored.
    fn restore(&mut self, _snapshot: Snapshot, _now_ns: u64) {}
}
