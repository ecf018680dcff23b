"""The way of a message through one route; the twin of `rust/bindings/src/hop`.

Messages on their way:

- `loop`: what a worker does, and what the orchestrator asks of all routes.
- `workers`: which worker runs, which wait for work, and who wakes one.
- `carrying`: one message, from where it begins to its end.
- `fan_out`: the children that a stage emits; `sources` pulls them, `source_scopes` keeps what a generator has entered.
- `instructions`: what an adapter's error tells the engine to do; `context`: the message as an adapter sees it.
- `work`: children and their parents.

State of a route:

- `route_state`: what waits, who may run, where messages go, what was counted.
- `settlement`: ends attempts: an outcome, another attempt, a dead letter, or back to the queue.
- `delays`: what waits for a time, a breaker or room; `timers` has one alarm for all of it, `circuits` listens to breakers.
- `dead_letters`: publishes letters whose queue was full.
- `errors`: why a message cannot go on.

All routes of an execution:

- `progress`: whether anything is left to do, for those who wait for the end.
- `held`: which messages have begun and not ended, and who has them.
- `cycles`, `deadlock`, `relief`: routes that wait for each other's queues, and who goes ahead then.
"""
