//! The work of the loop per message: take it from its channel, evaluate conditions, call adapters, hand it on, count
//! it.
//!
//! The loop itself, its fairness and its waiting are Python's (`factflow_engine.runtime.hop.loop`). This carries
//! messages as far as nobody has to wait and nothing unusual was returned, which is nearly always, and stops where that
//! ends. No queue operation, condition or child frame on the way makes a Python object; an adapter call makes two, its
//! context and its coroutine.

mod batch;
mod carrier;
mod carrying;
mod channel;
mod child;
mod children;
mod clock;
mod context;
mod counters;
mod family;
mod journal;
mod limiting;
mod lineage;
mod loop_number;
mod loop_watch;
mod notifier;
mod outbounds;
mod pool;
mod publisher;
mod pull;
mod puller;
mod siblings;
mod start;
mod state;
mod step;
mod store;
mod suspension;
mod visit;
mod watched_call;
mod worker;

pub use batch::Batch;
pub use counters::Counters;

pub use channel::Channel;
pub use child::Child;
pub use children::Children;
pub use context::MessageContext;
pub use family::Family;
pub use journal::Journal;
pub use limiting::add_ends;
pub use lineage::batch::LineageBatch;
pub use lineage::log::LineageLog;
pub use lineage::recording::LineageRoute;
pub use lineage::row::add_kinds;
pub use loop_watch::{LoopWatch, add_emitted};
pub use notifier::Notifier;
pub use pool::WorkerPool;
pub use publisher::Publisher;
pub use pull::Pull;
pub use puller::{Puller, add_stops};
pub use siblings::Siblings;
pub use state::Carrier;
pub use step::add_steps;
pub use suspension::{Suspension, add_am_send};
pub use visit::add_holders;
pub use watched_call::WatchedCall;
pub use worker::Worker;
