//! The simulated dependency: told what arrives, it answers what completes and when.

use std::collections::{BTreeSet, VecDeque};

use super::random::{Stream, uniform};
use super::scenario::{Excess, MS, SECOND, ServerModel};
use super::service::{duration_ns, float, recorded, scaled};
use super::sharing::{CallNumber, SharedLink};
use crate::limits::arithmetic::ln;

/// End of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Completion {
    pub call: CallNumber,
    pub at_ns: u64,
    /// False if it fails.
    pub succeeds: bool,
}

/// Duration of the service of a call that fails.
const FAILING_NS: u64 = 5 * MS;

/// Lateness of a timer of a link.
const TIMER_NS: u64 = MS;

/// State of the dependency.
pub(super) struct Server<'a> {
    model: &'a ServerModel,
    seed: u64,
    /// Calls that are there, with those that are refused.
    there: u64,
    queue: VecDeque<CallNumber>,
    busy: u64,
    /// Counts outages: what was there before one never completes.
    pub epoch: u32,
    /// Starts of the last second, if the model asks for them.
    starts: VecDeque<u64>,
    /// Calls that share the link.
    link: SharedLink,
    /// Calls that have a worker whose connection may break.
    serving: BTreeSet<CallNumber>,
}

impl<'a> Server<'a> {
    pub(super) fn new(model: &'a ServerModel, seed: u64) -> Self {
        Self {
            model,
            seed,
            there: 0,
            queue: VecDeque::new(),
            busy: 0,
            epoch: 0,
            starts: VecDeque::new(),
            link: SharedLink::default(),
            serving: BTreeSet::new(),
        }
    }

    /// Calls that are there.
    pub(super) fn there(&self) -> u64 {
        self.there
    }

    /// Calls that began within the last second before the last one.
    pub(super) fn rate(&self) -> u64 {
        self.starts.len() as u64
    }

    /// Times at which it changes by itself.
    pub(super) fn changes(&self, duration_ns: u64) -> Vec<u64> {
        match self.model {
            ServerModel::Workers {
                workers, outage, ..
            } => {
                let mut times: Vec<u64> = workers.times().collect();
                if outage.0 < outage.1 {
                    times.push(outage.0);
                }
                times
            }
            ServerModel::Batch { tick_ns, .. } => (0..=duration_ns / tick_ns)
                .map(|tick| tick * tick_ns)
                .collect(),
            ServerModel::Breaking { breaks, .. } => breaks.clone(),
            _ => Vec::new(),
        }
    }

    /// Next time at which it changes by itself because of the calls that are there.
    pub(super) fn next_change_ns(&self) -> Option<u64> {
        match self.model {
            ServerModel::Sharing { streams, .. } => self.link.next_ns(*streams),
            _ => None,
        }
    }

    /// A call arrives.
    pub(super) fn arrive(
        &mut self,
        call: CallNumber,
        now_ns: u64,
        completions: &mut Vec<Completion>,
    ) {
        self.there += 1;
        let n = self.there;
        let (latency_ns, succeeds) = match self.model {
            ServerModel::Workers { outage, .. } => {
                if !(outage.0 <= now_ns && now_ns < outage.1) {
                    self.queue.push_back(call);
                    self.serve(now_ns, completions);
                }
                return;
            }
            ServerModel::Batch { .. } => {
                self.queue.push_back(call);
                return;
            }
            ServerModel::Breaking { .. } => {
                self.queue.push_back(call);
                self.serve(now_ns, completions);
                return;
            }
            ServerModel::Sharing {
                streams,
                alone_ns,
                spread,
            } => {
                let at = uniform(self.seed, call as u64, Stream::Service);
                let size_ns = scaled(*alone_ns, 1.0 + spread * (2.0 * at - 1.0));
                self.link.begin(call, size_ns, now_ns, *streams);
                return;
            }
            ServerModel::Knee { base_ns, knee } => {
                (scaled(*base_ns, (float(n) / float(*knee)).max(1.0)), true)
            }
            ServerModel::Usl {
                base_ns,
                alpha,
                beta,
            } => {
                let others = float(n - 1);
                let jitter = 0.9 + 0.2 * uniform(self.seed, call as u64, Stream::Service);
                (
                    scaled(
                        *base_ns,
                        (1.0 + alpha * others + beta * float(n) * others) * jitter,
                    ),
                    true,
                )
            }
            ServerModel::Refusing { latency_ns, room } => (*latency_ns, n <= *room),
            ServerModel::Link {
                delay_ns,
                jitter,
                by_calls,
                by_rate,
            } => {
                self.starts.push_back(now_ns);
                while self.starts.front().is_some_and(|at| at + SECOND <= now_ns) {
                    self.starts.pop_front();
                }
                let r = self.starts.len() as u64;
                let spread = -jitter * ln(1.0 - uniform(self.seed, call as u64, Stream::Service));
                let slower = 1.0 + spread + by_calls.at(n) + by_rate.at(r);
                match by_calls.excess(n).or(by_rate.excess(r)) {
                    None => (scaled(*delay_ns, slower) + TIMER_NS, true),
                    Some(Excess::Defer) => (scaled(*delay_ns, 1.0 + spread) + TIMER_NS, false),
                    Some(Excess::Drop) => {
                        self.there -= 1;
                        return;
                    }
                }
            }
            ServerModel::Recorded { levels } => {
                recorded(levels, n, uniform(self.seed, call as u64, Stream::Service))
            }
        };
        completions.push(Completion {
            call,
            at_ns: now_ns + latency_ns,
            succeeds,
        });
    }

    /// A call that was served, or refused, leaves.
    pub(super) fn leave(
        &mut self,
        call: CallNumber,
        now_ns: u64,
        completions: &mut Vec<Completion>,
    ) {
        self.there = self.there.saturating_sub(1);
        match self.model {
            ServerModel::Workers { .. } => {
                self.busy = self.busy.saturating_sub(1);
                self.serve(now_ns, completions);
            }
            ServerModel::Breaking { .. } => {
                self.serving.remove(&call);
                self.serve(now_ns, completions);
            }
            _ => {}
        }
    }

    /// A time of `changes` has come.
    pub(super) fn change(&mut self, now_ns: u64, completions: &mut Vec<Completion>) {
        match self.model {
            ServerModel::Workers { outage, .. } => {
                if now_ns == outage.0 && outage.0 < outage.1 {
                    self.epoch += 1;
                    self.queue.clear();
                    self.busy = 0;
                    self.there = 0;
                }
                self.serve(now_ns, completions);
            }
            ServerModel::Batch {
                most, service_ns, ..
            } => {
                for _ in 0..*most {
                    let Some(call) = self.queue.pop_front() else {
                        break;
                    };
                    completions.push(Completion {
                        call,
                        at_ns: now_ns + service_ns,
                        succeeds: true,
                    });
                }
            }
            ServerModel::Sharing { streams, .. } => {
                while let Some(call) = self.link.ended(now_ns, *streams) {
                    completions.push(Completion {
                        call,
                        at_ns: now_ns,
                        succeeds: true,
                    });
                }
            }
            ServerModel::Breaking { share, .. } => {
                let seed = self.seed;
                let breaks =
                    |call: &CallNumber| uniform(seed, *call as u64, Stream::Failure) < *share;
                let waiting = self.queue.iter().filter(|call| breaks(call));
                let served = self.serving.iter().filter(|call| breaks(call));
                completions.extend(served.chain(waiting).map(|call| Completion {
                    call: *call,
                    at_ns: now_ns,
                    succeeds: false,
                }));
                self.queue.retain(|call| !breaks(call));
            }
            _ => {}
        }
    }

    fn serve(&mut self, now_ns: u64, completions: &mut Vec<Completion>) {
        if let ServerModel::Breaking {
            workers,
            service_ns,
            ..
        } = self.model
        {
            while (self.serving.len() as u64) < *workers
                && let Some(call) = self.queue.pop_front()
            {
                self.serving.insert(call);
                completions.push(Completion {
                    call,
                    at_ns: now_ns + service_ns,
                    succeeds: true,
                });
            }
        }
        let ServerModel::Workers {
            workers,
            service,
            failing,
            ..
        } = self.model
        else {
            return;
        };
        let workers = workers.at(now_ns);
        while self.busy < workers {
            let Some(call) = self.queue.pop_front() else {
                return;
            };
            self.busy += 1;
            let fails =
                *failing > 0.0 && uniform(self.seed, call as u64, Stream::Failure) < *failing;
            let duration_ns = if fails {
                FAILING_NS
            } else {
                duration_ns(service, self.seed, call, now_ns)
            };
            completions.push(Completion {
                call,
                at_ns: now_ns + duration_ns,
                succeeds: !fails,
            });
        }
    }
}
