"""Calls from asyncio, and from threads that do not run trio: one sentence says what to do."""

import asyncio
import threading

import pytest
import trio

from factflow_engine import NotInTrioError, OrchestratorManager, PipelineConfigLoader
from support.pipelines import load, registry_of, running

ONE = "routes: {r: {adapters: [{type: forward}]}}"
TOLD = r"start the program with trio\.run\(main\).*asyncio\.to_thread\(trio\.run, main\).*trio\.from_thread"


async def enter():
    async with OrchestratorManager(registry=registry_of()):
        raise AssertionError("entered")


async def start():
    registry = registry_of()
    await OrchestratorManager(registry=registry).start(load(registry, ONE))


@pytest.mark.parametrize("call", [enter, start])
def test_an_asyncio_program_is_told_what_to_do(call):
    with pytest.raises(NotInTrioError, match=f"^OrchestratorManager.* needs trio.*{TOLD}$"):
        asyncio.run(call())


def test_an_asyncio_program_runs_the_engine_in_a_thread_as_it_was_told():
    async def main():
        registry = registry_of()
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(PipelineConfigLoader(registry).load_text(f'version: "1.0"\n{ONE}'))
            await execution.publish("r", 1)
            return await execution.complete()

    async def beside():
        return await asyncio.to_thread(trio.run, main)

    assert asyncio.run(beside()).outcomes["completed"] == 1


@pytest.mark.parametrize("call", ["let_complete", "pause", "resume", "complete", "wait_ended", "drain", "cancel"])
@pytest.mark.parametrize("where", ["a thread", "asyncio"])
async def test_an_execution_that_is_called_from_elsewhere_says_what_to_do(call, where):
    refusals = []

    async with running(ONE) as execution:

        async def ask():
            result = getattr(execution, call)()
            if result is not None:
                await result

        def elsewhere():
            try:
                if where == "asyncio":
                    asyncio.run(ask())
                else:
                    ask().send(None)
            except NotInTrioError as error:
                refusals.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        assert execution.status == "running"
        assert execution.statistics().routes["r"].pauses == ()
        assert (await execution.complete()).status == "completed"
    [refusal] = refusals
    assert refusal.call == f"{call}()"
