"""Executions are recorded from their start to their end, whatever end that is, and whatever the store does meanwhile."""

import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from factflow_engine import (
    AdapterResult,
    InitMessageConfig,
    OrchestratorManager,
    PipelineAdapter,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)
from factflow_engine.executions import (
    ExecutionFilter,
    Executions,
    ExecutionStoreError,
    execution_store,
    open_executions,
    recording,
)
from factflow_engine.runtime.report import ExecutionStatus, Outcome
from factflow_engine.testing import in_virtual_time
from support.interrupts import CancelAtStep

TEXT = """
version: "1.0"
name: copies ${DB_PASSWORD}
routes: {copy: {adapters: [{type: copy}]}}
init_message: {route: copy, payload: {text: hello}}
"""

LIMITED = """
version: "1.0"
routes: {copy: {adapters: [{type: copy}], backpressure: {algorithm: aimd, warm_start: true, initial_concurrency: 7}}}
init_message: {route: copy, payload: {text: hello}}
"""


class Gate:
    """Adapter whose messages wait until the gate is opened."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.opened = trio.Event()
        self.entered = trio.Event()
        if is_open:
            self.opened.set()
        self.registry = ValidatingAdapterRegistry()
        gate = self

        @self.registry.register("copy")
        class Copy(PipelineAdapter):
            async def process(self, context):
                gate.entered.set()
                await gate.opened.wait()
                return AdapterResult(message=context.message)

    def load(self, text: str = TEXT, **environ: str):
        environ = {"DB_PASSWORD": "unused", **environ}
        return PipelineConfigLoader(self.registry, environ=environ).load_text(text)


class Faulty:
    """A store whose calls fail or hang when told to."""

    def __init__(self, store) -> None:
        self._store = store
        self.fails: set[str] = set()
        self.hangs: set[str] = set()
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str):
        method = getattr(self._store, name)

        async def call(*arguments, **options):
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in self.hangs:
                await trio.sleep_forever()
            if name in self.fails:
                raise ExecutionStoreError("faulty", "the disk is full")
            return await method(*arguments, **options)

        return call


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'executions.db'}"


@asynccontextmanager
async def recorded(url: str, gate: Gate, **options):
    async with (
        open_executions(url, **options) as executions,
        OrchestratorManager(registry=gate.registry) as manager,
    ):
        yield executions, manager


async def read(url: str, named: str = "latest"):
    store = execution_store(url)
    try:
        return await store.execution(named)
    finally:
        await store.close()


async def test_a_completed_execution_is_recorded_with_its_report_and_without_secrets(url: str):
    gate = Gate()
    config = gate.load(DB_PASSWORD="hunter22")
    async with recorded(url, gate) as (executions, manager):
        started = await executions.start(manager, config, tag="first", metadata={"by": "me"})
        assert started.execution is not None
        assert started.execution.id == started.id
        running = await executions.store.execution(started.id)
        assert running.status is ExecutionStatus.RUNNING
        await started.execution.complete()
    found = await read(url, "first")
    assert (found.status, found.error, found.metadata) == (ExecutionStatus.COMPLETED, None, {"by": "me"})
    assert found.report is not None
    assert found.report["outcomes"]["completed"] == 1
    assert found.report["routes"]["copy"]["received"] == 1
    assert found.ended_ns is not None
    assert found.ended_ns >= found.started_ns
    assert found.config_hash == config.hash
    assert "hunter22" not in repr(found)
    assert "${DB_PASSWORD}" in found.snapshot
    assert gate.load(found.snapshot, DB_PASSWORD="hunter22") == config


async def test_the_hash_is_that_of_what_runs(url: str):
    gate = Gate()
    config = gate.load()
    init = [InitMessageConfig(route="copy", payload={"text": "another"})]
    async with recorded(url, gate) as (executions, manager):
        started = await executions.start(manager, config, init=init)
        assert started.execution is not None
        report = await started.execution.complete()
    found = await read(url)
    assert report.outcomes[Outcome.COMPLETED] == 1
    assert found.config_hash == report.config_hash == gate.load(found.snapshot).hash != config.hash


async def test_a_cancelled_one_says_so(url: str):
    gate = Gate(is_open=False)
    async with recorded(url, gate) as (executions, manager):
        started = await executions.start(manager, gate.load())
        await gate.entered.wait()
        assert started.execution is not None
        await started.execution.cancel()
    found = await read(url)
    assert found.status is ExecutionStatus.CANCELLED
    assert found.report is not None
    assert len(found.report["held"]) == 1


@pytest.mark.parametrize("way", ["cancelled", "raised"])
async def test_leaving_both_blocks_by_force_records_the_cancellation(url: str, way: str):
    gate = Gate(is_open=False)
    with trio.CancelScope() as scope:
        try:
            async with recorded(url, gate) as (executions, manager):
                await executions.start(manager, gate.load())
                await gate.entered.wait()
                if way == "raised":
                    raise ZeroDivisionError
                scope.cancel()
                await trio.sleep_forever()
        except ZeroDivisionError:
            assert way == "raised"
    assert (await read(url)).status is ExecutionStatus.CANCELLED


async def test_a_start_that_is_refused_is_recorded_as_failed(url: str):
    gate = Gate()

    @gate.registry.register("broken")
    class Broken(PipelineAdapter):
        def __init__(self, config=None) -> None:
            raise ValueError("no hunter22 here")

        async def process(self, context):
            return None

    config = gate.load(TEXT.replace("type: copy", "type: broken"), DB_PASSWORD="hunter22")
    async with recorded(url, gate) as (executions, manager):
        with pytest.raises(Exception, match="stage 'broken'"):
            await executions.start(manager, config)
    found = await read(url)
    assert found.status is ExecutionStatus.FAILED
    assert found.report is None
    assert found.error is not None
    assert "hunter22" not in found.error


async def test_a_start_that_is_cancelled_at_any_checkpoint_leaves_no_lie(url: str):
    gate = Gate()
    config = gate.load()
    async with recorded(url, gate) as (executions, manager):
        for deadline in range(40):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, scope, deadline)
                    started = await executions.start(manager, config)
                    assert started.execution is not None
                    await started.execution.complete()
                    nursery.cancel_scope.cancel()
    store = execution_store(url)
    statuses = {found.status for found in await store.executions(ExecutionFilter(limit=1_000))}
    await store.close()
    assert ExecutionStatus.CANCELLED in statuses
    assert statuses <= {ExecutionStatus.COMPLETED, ExecutionStatus.CANCELLED}


async def _cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_one_key_starts_one_execution(url: str):
    gate = Gate()
    config = gate.load()
    started: list = []
    async with recorded(url, gate) as (executions, manager), recorded(url, gate) as (others, other_manager):

        async def start(executions: Executions, manager: OrchestratorManager) -> None:
            started.append(await executions.start(manager, config, idempotency_key="today"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(start, executions, manager)
                nursery.start_soon(start, others, other_manager)
    assert len({one.id for one in started}) == 1
    assert len([one for one in started if one.execution is not None]) == 1


async def test_another_process_cancels_it_and_waits_for_its_end(url: str):
    gate = Gate(is_open=False)
    async with recorded(url, gate, renew_seconds=0.05) as (executions, manager), open_executions(url) as elsewhere:
        started = await executions.start(manager, gate.load())
        await gate.entered.wait()
        await elsewhere.store.request_cancel(started.id, grace_seconds=0.0)
        with trio.fail_after(30):
            assert (await elsewhere.wait(started.id)).status is ExecutionStatus.CANCELLED


async def test_live_statistics_are_stored(url: str):
    gate = Gate(is_open=False)
    async with recorded(url, gate, renew_seconds=0.02) as (executions, manager):
        started = await executions.start(manager, gate.load())
        with trio.fail_after(30):
            while (found := await executions.store.execution(started.id)).statistics is None:
                await trio.sleep(0.01)
        assert found.statistics["routes"]["copy"]["in_flight"] == 1
        gate.opened.set()


async def test_a_store_that_fails_or_hangs_neither_fails_nor_slows_it(url: str, caplog):
    gate = Gate(is_open=False)
    faulty = Faulty(execution_store(url))
    async with (
        Executions(faulty, lease_seconds=0.3, renew_seconds=0.02) as executions,  # type: ignore[arg-type]
        OrchestratorManager(registry=gate.registry) as manager,
    ):
        started = await executions.start(manager, gate.load())
        faulty.fails.add("renew")
        await _until(lambda: faulty.calls.get("renew", 0) >= 5)

        async def becomes(status: ExecutionStatus) -> None:
            with trio.fail_after(30):
                while (await executions.store.status(started.id)).status is not status:
                    await trio.sleep(0.01)

        await becomes(ExecutionStatus.INTERRUPTED)  # as readers must see it
        faulty.fails.clear()
        await becomes(ExecutionStatus.RUNNING)
        renewed = faulty.calls["renew"]
        faulty.hangs.add("renew")
        await _until(lambda: faulty.calls["renew"] > renewed)
        gate.opened.set()
        assert started.execution is not None
        with trio.fail_after(30):
            assert (await started.execution.complete()).status is ExecutionStatus.COMPLETED
    assert executions.problems == []
    assert (await read(url)).status is ExecutionStatus.COMPLETED
    warnings = [record.getMessage() for record in caplog.records if record.name == "factflow_engine.executions"]
    assert len([text for text in warnings if "could not be recorded" in text]) == 1
    assert any("is recorded again" in text for text in warnings)


async def test_an_end_that_cannot_be_stored_is_told_and_changes_nothing_else(url: str, monkeypatch):
    monkeypatch.setattr("factflow_engine.executions.recording.FINISH_SECONDS", 0.2)
    gate = Gate()
    faulty = Faulty(execution_store(url))
    faulty.fails.add("finish")
    async with (
        Executions(faulty) as executions,  # type: ignore[arg-type]
        OrchestratorManager(registry=gate.registry) as manager,
    ):
        started = await executions.start(manager, gate.load())
        assert started.execution is not None
        assert (await started.execution.complete()).status is ExecutionStatus.COMPLETED
    [problem] = executions.problems
    assert started.id in problem
    assert "disk is full" in problem


async def test_a_store_that_cannot_begin_starts_nothing(url: str):
    gate = Gate()
    faulty = Faulty(execution_store(url))
    faulty.fails.add("begin")
    async with (
        Executions(faulty) as executions,  # type: ignore[arg-type]
        OrchestratorManager(registry=gate.registry) as manager,
    ):
        with pytest.raises(ExecutionStoreError):
            await executions.start(manager, gate.load())
        assert not manager.executions
    assert not gate.entered.is_set()


async def test_leaving_the_store_first_says_what_is_no_longer_recorded(url: str):
    gate = Gate(is_open=False)
    async with OrchestratorManager(registry=gate.registry) as manager:
        executions = open_executions(url)
        with pytest.raises(ZeroDivisionError):
            async with executions:
                await executions.start(manager, gate.load())
                raise ZeroDivisionError
        assert "goes on and is no longer recorded" in executions.problems[0]
        gate.opened.set()


async def test_limits_with_a_warm_start_go_on_where_they_were(url: str):
    gate = Gate()
    config = gate.load(LIMITED)
    limits = []
    async with recorded(url, gate) as (executions, manager):
        for _ in range(2):
            started = await executions.start(manager, config)
            assert started.execution is not None
            limits.append(started.execution.statistics().limits["copy"].limit)
            report = await started.execution.complete()
            assert report.limits["copy"].algorithm == "aimd"
            with trio.fail_after(30):
                while (stored := await executions.store.execution(started.id)).report is None:
                    await trio.sleep(0.01)
            assert set(stored.limits) == {"copy"}
            doctored = {"copy": {**stored.limits["copy"], "limit": 5}}
            await executions.store.finish(
                started.id, ExecutionStatus.COMPLETED, ended_ns=1, error=None, report={}, limits=doctored
            )
        cold = await executions.start(manager, gate.load(LIMITED.replace("warm_start: true", "warm_start: false")))
        assert cold.execution is not None
        limits.append(cold.execution.statistics().limits["copy"].limit)
    assert limits == [7, 5, 7]


KILLED = """
import sys
import trio
from factflow_engine import *
from factflow_engine.executions import open_executions

registry = ValidatingAdapterRegistry()

@registry.register("copy")
class Copy(PipelineAdapter):
    async def process(self, context):
        print("in flight", flush=True)
        await trio.sleep_forever()

async def main():
    config = PipelineConfigLoader(registry, environ={"DB_PASSWORD": "x"}).load_text(sys.argv[2])
    async with open_executions(sys.argv[1], lease_seconds=1, renew_seconds=0.1) as executions:
        async with OrchestratorManager(registry=registry) as manager:
            await executions.start(manager, config)

trio.run(main)
"""


async def test_a_process_that_is_killed_leaves_interrupted(url: str):
    process = await trio.lowlevel.open_process([sys.executable, "-c", KILLED, url, TEXT], stdout=-1)
    assert process.stdout is not None
    with trio.fail_after(60):
        assert await process.stdout.receive_some(100)
        assert (await read(url)).status is ExecutionStatus.RUNNING
        process.kill()
        await process.wait()
        async with open_executions(url) as elsewhere:
            found = await elsewhere.wait((await read(url)).id)
    assert found.status is ExecutionStatus.INTERRUPTED
    assert found.ended_ns == found.seen_ns


async def _until(condition) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.01)


@pytest.mark.parametrize("key", [None, "once"])
def test_cancelled_at_any_step_no_record_is_left_running(tmp_path, key):
    step, has_ended, seen = 0, False, set()
    while not has_ended:
        step += 1
        url = f"sqlite:///{tmp_path}/{step}.db"

        async def main(simulation, step=step, url=url):
            gate = Gate()
            config = gate.load()
            scope = trio.CancelScope()
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                with scope:
                    async with (
                        open_executions(url, seams=simulation.seams) as executions,
                        OrchestratorManager(registry=gate.registry, seams=simulation.seams) as manager,
                    ):
                        started = await executions.start(manager, config, idempotency_key=key)
                        await started.execution.complete()
            finally:
                trio.lowlevel.remove_instrument(instrument)
            assert executions.problems == []
            store = execution_store(url, seams=simulation.seams)
            found = await store.executions(ExecutionFilter())
            await store.close()
            return instrument.left > 0, [each.status for each in found]

        has_ended, statuses = in_virtual_time(main, seed=0)
        assert statuses in ([], ["cancelled"], ["completed"])
        seen.update(statuses)
    assert seen == {"cancelled", "completed"}
    assert step > 10


async def test_a_report_that_cannot_be_stored_ends_nothing(tmp_path, monkeypatch):
    def fails(report):
        raise ValueError("no document")

    monkeypatch.setattr(recording, "report_as_document", fails)
    monkeypatch.setattr(recording, "FINISH_SECONDS", 0.2)
    gate = Gate()
    async with (
        open_executions(f"sqlite:///{tmp_path}/executions.db") as executions,
        OrchestratorManager(registry=gate.registry) as manager,
    ):
        started = await executions.start(manager, gate.load())
        report = await started.execution.complete()
    assert report.status is ExecutionStatus.COMPLETED
    [problem] = executions.problems
    assert problem.endswith("could not be recorded: ValueError: no document")
