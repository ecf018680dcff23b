"""How long a worker goes on before the program's other tasks get their turn, whatever its messages do.

trio runs the tasks that are ready in any order, so between two turns of one task another may have two.
"""

import itertools
from dataclasses import replace

import pytest
import trio

from factflow_engine.runtime.hop.route_state import TURN
from factflow_engine.runtime.hop.workers import MAX_TURNS
from factflow_engine.seams import Seams
from factflow_protocols import AdapterResult
from support.pipelines import publish_together, running

COST_NS = 25_000
QUANTUM = 100_000 // COST_NS + 1  # messages, the one included that oversteps it


class CountedClock:
    """Goes on only when a message costs something."""

    def __init__(self):
        self.now = 0
        self.done = 0

    def monotonic_ns(self):
        return self.now

    def wall_ns(self):
        return 0

    def spend(self, nanoseconds):
        self.now += nanoseconds
        self.done += 1


def stages(clock, cost, says, total):
    async def stage(context):
        clock.spend(cost)
        if says == "error":
            raise ValueError("no")
        if says == "headers":
            return AdapterResult(message=1, headers={"seen": True})
        if says == "again":
            return AdapterResult.forward() if clock.done < total else None
        if says == "again with headers":
            return AdapterResult(message=1, headers={"seen": True}) if clock.done < total else None
        return None

    async def emit(context):
        return AdapterResult(emitted=range(total))

    return {"stage": stage, "emit": emit}


async def jumps(cost, says, total, concurrency=1):
    """How many messages were handled between each two turns of another task."""
    clock = CountedClock()
    emits = "{type: emit}, " if says == "children" else ""
    outbound = ", outbound: [{route: r}]" if says.startswith("again") else ""
    inputs = total if says in ("nothing", "headers", "error") else 1
    progress = [0]
    async with running(
        f"processor: {{quantum_microseconds: 100}}\norchestrator: {{max_recorded_failures: 1}}\nroutes: {{r: {{"
        f"inbound: {{concurrency: {concurrency}, capacity: {total}}}, adapters: [{emits}{{type: stage}}]{outbound}}}}}",
        adapters=stages(clock, cost, says, total),
        seams=replace(Seams.real(), clock=clock),
    ) as execution:
        publish_together(execution, r=range(inputs))
        while clock.done < total:
            await trio.lowlevel.checkpoint()
            progress.append(clock.done)
        await execution.complete()
    return [after - before for before, after in itertools.pairwise(progress)]


@pytest.mark.parametrize("says", ["nothing", "headers", "error", "children", "again", "again with headers"])
async def test_a_quantum_ends_by_time(says):
    assert max(await jumps(COST_NS, says, 100)) <= 2 * QUANTUM


@pytest.mark.parametrize("says", ["nothing", "headers", "error", "children", "again", "again with headers"])
async def test_a_quantum_ends_by_count_when_the_clock_stands_still(says):
    measured = await jumps(0, says, 3 * MAX_TURNS)
    assert max(measured) <= 2 * (MAX_TURNS + TURN)
    assert max(measured) > TURN, "it is no turn of a route that ended"


@pytest.mark.parametrize("concurrency", [2, 4])
async def test_children_that_others_carry_end_their_quanta_too(concurrency):
    measured = await jumps(COST_NS, "children", 400, concurrency)
    assert max(measured) <= 2 * concurrency * QUANTUM
