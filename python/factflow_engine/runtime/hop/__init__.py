"""Processing of a message by one route; the twin of `rust/bindings/src/hop`.

Messages on their way:

- `loop`: the work of a worker, and the interface to the orchestrator.
- `workers`: running and parked workers, and their wake-ups.
- `carrying`: one message, from its start to its end.
- `fan_out`: the children that a stage emits; `sources` pulls them, `source_scopes` keeps scopes that a generator has
  open.
- `instructions`: instructions to the engine in an adapter's error; `context`: the message as an adapter sees it.
- `work`: children and their parents.

State of a route:

- `route_state`: waiting messages, permits and counters; `endpoints`: where its messages come from, and where they go.
- `drivers`: drivers that wait for room, and the circuit breakers that they keep half open.
- `settlement`: the end of an attempt: an outcome, another attempt, a dead letter, or back to the queue;
  `dispositions` decides which, for an attempt that raised.
- `delays`: messages that wait for a time, a breaker or room; `timers` has one alarm for all of them, `circuits` listens
  to breakers.
- `limiting`: the route's adaptive limit beside messages: breakers and time.
- `dead_letters`: publishing of letters whose queue was full.
- `lineage`: records of what the Python half does with a message.
- `errors`: reasons why a message cannot proceed.

All routes of an execution:

- `progress`: detection that no work is left, for tasks that wait for the end.
- `held`: messages that have begun and not ended, and what they wait for.
- `blockers`: stages whose code has held trio's loop.
- `cycles`, `deadlock`, `relief`: routes that wait for each other's queues, and the one that may proceed then.
"""
