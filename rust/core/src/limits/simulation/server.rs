//! The simulated dependency: told what arrives, it answers what completes and when.

use std::collections::VecDeque;

use super::random::{Stream, normal, uniform};
use super::scenario::{MS, ServerModel, Service};

/// Number of a call.
pub(super) type CallNumber = usize;

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
        }
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
            _ => Vec::new(),
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
        };
        completions.push(Completion {
            call,
            at_ns: now_ns + latency_ns,
            succeeds,
        });
    }

    /// A call that was served, or refused, leaves.
    pub(super) fn leave(&mut self, now_ns: u64, completions: &mut Vec<Completion>) {
        self.there = self.there.saturating_sub(1);
        if let ServerModel::Workers { .. } = self.model {
            self.busy = self.busy.saturating_sub(1);
            self.serve(now_ns, completions);
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
            _ => {}
        }
    }

    fn serve(&mut self, now_ns: u64, completions: &mut Vec<Completion>) {
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
                self.duration_ns(service, call, now_ns)
            };
            completions.push(Completion {
                call,
                at_ns: now_ns + duration_ns,
                succeeds: !fails,
            });
        }
    }

    fn duration_ns(&self, service: &Service, call: CallNumber, now_ns: u64) -> u64 {
        let ordinal = call as u64;
        match service {
            Service::Steps(steps) => steps.at(now_ns),
            Service::LogNormal { mean_ns, sigma } => {
                let mu = mean_ns.ln() - sigma * sigma / 2.0;
                whole((mu + sigma * normal(self.seed, ordinal)).exp())
            }
            Service::Bimodal {
                fast_ns,
                slow_ns,
                slow_share,
            } => {
                let is_slow = uniform(self.seed, ordinal, Stream::Service) < *slow_share;
                if is_slow { *slow_ns } else { *fast_ns }
            }
            Service::Warming {
                warm_ns,
                cold_ns,
                constant_ns,
            } => warm_ns + scaled(*cold_ns, (-float(now_ns) / float(*constant_ns)).exp()),
        }
    }
}

fn scaled(nanoseconds: u64, factor: f64) -> u64 {
    whole(float(nanoseconds) * factor)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Return nanoseconds, 1 at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates"
)]
fn whole(nanoseconds: f64) -> u64 {
    (nanoseconds.round() as u64).max(1)
}
