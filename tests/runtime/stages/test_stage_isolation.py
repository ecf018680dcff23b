"""Whatever `open`, `finish` and `close` raise ends their execution and no other, and cancelled is no failure."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import StatefulAdapter
from support.pipelines import load, registry_of


class OddError(BaseException):
    """Of a class that nobody expects, as a native library's panic is."""


async def odd():
    raise OddError("odd")


async def group():
    raise BaseExceptionGroup("of a nursery", [SystemExit("odd")])


async def kept():
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            keeping = cancelled
    raise keeping


async def mixed():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("clean-up")


async def converted():
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        raise ValueError("clean-up") from None


def stage_that(where, act):
    class Stage(StatefulAdapter):
        async def open(self, stage):
            await self._maybe("open")

        async def process(self, context):
            return None

        async def finish(self):
            await self._maybe("finish")

        async def close(self):
            await self._maybe("close")

        async def _maybe(self, here):
            if here == where:
                await act()

    return Stage


PIPELINE = "orchestrator: {close_seconds: 2}\nroutes: {r: {adapters: [{type: forward}, {type: stage}]}}"
CALM = "routes: {r: {adapters: [{type: forward}]}}"


@pytest.mark.parametrize("act", [odd, group, kept])
@pytest.mark.parametrize("where", ["open", "finish", "close"])
async def test_what_a_stage_raises_ends_its_execution_and_no_other(where, act, autojump_clock):
    registry = registry_of(stage=stage_that(where, act))
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(load(registry, CALM))
        config = load(registry, PIPELINE)
        if where == "open":
            with pytest.raises(ExecutionStartError, match="route 'r', stage 'stage'"):
                await manager.start(config)
        else:
            report = await (await manager.start(config)).complete()
            assert report.status == ("failed" if where == "finish" else "completed")
            assert bool(report.close_errors) == (where == "close")
        await other.publish("r", 1)
        assert (await other.complete()).outcomes["completed"] == 1


@pytest.mark.parametrize("act", [mixed, converted])
@pytest.mark.parametrize("where", ["open", "finish", "close"])
async def test_an_error_beside_a_cancellation_is_told_and_is_no_failure(where, act, autojump_clock):
    registry = registry_of(stage=stage_that(where, act))
    async with OrchestratorManager(registry=registry) as manager, trio.open_nursery() as nursery:
        other = await manager.start(load(registry, CALM))
        config = load(registry, PIPELINE)
        nursery.start_soon(lambda: manager.start(config, execution_id="x"))
        await trio.sleep(1)
        execution = manager.executions["x"]
        if where == "finish":
            execution.let_complete()
            await trio.sleep(1)
        report = await execution.cancel()
        assert report.status == "cancelled"
        [text] = report.close_errors
        assert text.endswith("ValueError: clean-up")
        assert other.status == "running"


async def test_the_stages_before_one_that_cannot_close_are_closed(autojump_clock):
    closed = []

    class First(StatefulAdapter):
        async def process(self, context):
            return None

        async def close(self):
            closed.append(1)

    registry = registry_of(first=First, stage=stage_that("close", mixed))
    text = "orchestrator: {close_seconds: 2}\nroutes: {r: {adapters: [{type: first}, {type: stage}]}}"
    async with OrchestratorManager(registry=registry) as manager:
        await (await manager.start(load(registry, text))).complete()
    assert closed == [1]


async def test_a_stage_that_cannot_clean_up_does_not_fail_what_the_manager_cancels(autojump_clock):
    async def process(context):
        await mixed()

    registry = registry_of(mix=process)
    with trio.CancelScope() as scope:
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(load(registry, "routes: {r: {adapters: [{type: mix}]}}"))
            await execution.publish("r", 1)
            await trio.sleep(1)
            scope.cancel()
    assert execution.report.status == "cancelled"
    [text] = execution.report.close_errors
    assert "clean-up" in text
