"""One execution from its start to its report: the object that users hold, and the decision when it ends.

Before the start:

- `manager`: starts executions and owns their nursery.
- `plan`: the configuration of an execution, and the objects that it uses.
- `assembly`: construction of the parts, in an order without a cycle; `route_builder` builds the routes.
- `storage`: the object store of an execution, and who closes it.
- `losses`: refuses stages that would lose their state. `trio_only`: check that a caller runs under trio.

While it runs:

- `orchestrator`: the handle that users hold.
- `lifecycle`: opening, running, ending, report; `opening` subscribes and opens stages, `route` keeps one route's open.
- `access`: refuses calls that arrive too late. `observation`: snapshots of counters.
- `init_messages`: publishes the init messages once. `orphans`: messages that no route reads.
- `watchdog`: reports what does not move.
- `lineage`: records what happens to messages, in the store that the configuration or the manager names.
- `announcing`: tells other systems of the start and the end, if the configuration asks for it.

At the end:

- `completion`: detects that no work is left, and lets stages finish. `shutdown`: budgets of the phases.
- `faults`: what failed messages and dead tasks mean; `cause` decides what the report says, `failure_log` keeps failures.
- `redaction`: removes secrets from all texts.

Kept above `transport` and `hop`, which know frames and routes, and no execution.
"""
