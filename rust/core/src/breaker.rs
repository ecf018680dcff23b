//! A circuit breaker as a state machine: told what happened and when, it answers whether a call may go ahead.
//!
//! The states and the arithmetic of the rates are resilience4j's; the differences are what its users ran into:
//!
//! * A permit carries the *generation* of the state that gave it. A result from an earlier generation goes to the
//!   lifetime counters only: it can neither trip nor close anything, nor give back a permit that is not its own.
//! * A trial call of `half_open` holds its place on a *lease*. One that never reports loses the place when the lease
//!   ends, so that no lost call can hold the breaker half open for ever.
//! * Timers are deadlines, not tasks. Every call compares them with the time that it is given, and `advance` does the
//!   same without a call; leaving a state forgets its deadlines, so no timer can act on a later state.
//! * Time never goes back: an earlier reading counts as the latest one. No clock step can empty a window.
//! * Every transition says why it happened, and what the rates were.
//!
//! Nothing here waits, reads a clock, draws a number or calls anybody. Events are returned as data, in order.
//! Recording is O(1): a ring of two bits a call, or ten buckets of counts. Memory is fixed by the settings.
//!
//! `machine` is the state machine and everything else serves it: `call` has its inputs and answers, `settings` its
//! parameters, `state` its states and the manual moves between them, `window` and `tally` the rates, `leases` the
//! trial calls, `wait` the wait in open, `event` its reports, `stats` its readings.

mod call;
mod event;
mod leases;
mod machine;
mod settings;
mod state;
mod stats;
mod tally;
mod wait;
mod window;

#[cfg(test)]
mod tests;

pub use call::{Call, Outcome, Permit, Recorded, Refusal};
pub use event::{Event, EventKind, Reason};
pub use machine::Machine;
pub use settings::{AfterHalfOpen, RetryAfter, Settings, SettingsError, Sliding};
pub use state::{IllegalTransition, State};
pub use stats::{Stats, Totals};
pub use tally::Tally;
