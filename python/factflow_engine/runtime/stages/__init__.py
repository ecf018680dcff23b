"""One stage of a route: its adapter, the guards around its call, its opening and closing.

- `stage`: an adapter instance with its condition and its guarded call.
- `timeouts`: time limits of a call; `recorded`: what it took. `breaker_guard`: circuit breakers around it.
- `limits`: the execution's adaptive limits by stage, key and group; `stage_limit`: a stage's calls within one.
- `storing`: the step beside a stage that stores what it was given or made; `recalling`: stored results in place of calls.
- `lifecycle`: `open` and `close` in a task of their own; `isolation` keeps their faults from other executions.
- `open_scopes`: scopes that `process` leaves open; `forgotten`: generators that it drops with an open nursery.
- `answers`: stored answers of a stage to unacknowledged messages; `results` encodes results.
- `failure_place`: the line of the user that raised an error.
- `process_pool`: a stage's worker processes; `worker` is the engine's end of one, `worker_main` the program in it, and
  `crossing` encodes what is sent between them.

Kept below `hop`, which calls stages and knows nothing of adapters.
"""
