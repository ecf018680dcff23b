"""The wrapper of stages' calls: what it sees, where it stands, and that a run without one has none."""

from dataclasses import replace

import trio

from factflow_engine import OrchestratorManager, Outcome, PipelineConfigLoader
from factflow_engine.seams import Seams
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.pipelines import registry_of

TEXT = """\
version: "1.0"
routes:
  a:
    adapters: [{type: once, store: true, timeout_seconds: 1}, {name: after, type: sync}]
    error_handling: {max_retries: 2, retry_delay_seconds: 0.1}
init_message: {route: a, payload: 1}
"""


async def once(context):
    return AdapterResult(message=context.attempt)


def sync(context):
    return AdapterResult.forward()


def test_a_wrapper_sees_each_call_of_a_stage_and_stands_inside_its_guards():
    registry = registry_of(once=once, sync=sync)
    config = PipelineConfigLoader(registry).load_text(TEXT)
    seen = []

    def around(route, stage, call):
        async def wrapped(context):
            seen.append((route, stage, context.attempt, context.message))
            if stage == "once" and context.attempt == 1:
                await trio.sleep_forever()
            if stage == "once" and context.attempt == 2:
                raise ValueError("as a dependency does")
            return await call(context)

        return wrapped

    async def run(simulation):
        seams = replace(simulation.seams, around_call=around)
        async with OrchestratorManager(registry=registry, storage=MemoryStorage(), seams=seams) as manager:
            return await (await manager.start(config)).complete()

    report = in_virtual_time(run, seed=1)
    assert report.outcomes[Outcome.COMPLETED] == 1
    # The first attempt ended by the time limit, the second by the error; the step that stores is no call of a stage.
    assert seen == [("a", "once", 1, 1), ("a", "once", 2, 1), ("a", "once", 3, 1), ("a", "after", 3, 3)]


def test_no_run_has_one_unless_it_is_given():
    assert Seams.real().around_call is None
