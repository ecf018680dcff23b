//! Reasons of changes, in words for operators.

pub(super) const DOUBLED: &str = "search: doubled, calls did not queue";
pub(super) const HALVED: &str = "search: halved, to compare latencies";
pub(super) const QUEUE: &str = "queue: fewer calls by as many as waited";
pub(super) const PROBE: &str = "probe: half for a moment, to measure latency without a queue";
pub(super) const PROBED: &str = "probe: over";
pub(super) const ENOUGH: &str = "probe: half is enough, the rest would wait";
pub(super) const MORE: &str = "trial: a little more";
pub(super) const LESS: &str = "trial: a little less";
pub(super) const UNDONE: &str = "trial: undone, it was no better";
pub(super) const FAILURES: &str = "failures: too many calls failed";
pub(super) const TARGET: &str = "target: a tenth of the calls took longer";
pub(super) const SLOWER: &str = "slower: the service itself takes longer than before";
pub(super) const UNREACHABLE: &str = "target: out of reach, calls take longer even at the minimum";
