"""Replays, forks and recoveries as a program makes them: what is published, under which ids, and what is refused."""

import re
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest
import trio

from factflow_engine import OrchestratorManager, PipelineConfigLoader, open_queue
from factflow_engine.config import ConfigurationError
from factflow_engine.error_texts import trace_of
from factflow_engine.executions import execution_store
from factflow_engine.executions.derivation import ReplayError
from factflow_engine.executions.publishing import ReplayStoppedError
from factflow_engine.executions.recording import Executions
from factflow_engine.executions.recovery import plan_recovery, recover
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.executions.replay import plan_replay, replay
from factflow_engine.frames import pack, unpack
from factflow_engine.lineage.providers import open_lineage_reader
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.stages.keys import parse_key
from factflow_protocols import AdapterResult, StorageCorruptError, StorageError
from support.interrupts import CancelAtStep
from support.object_stores import FakeStore
from support.pipelines import registry_of

TEXT = """
version: "1.0"
name: words
routes:
  split: {adapters: [{type: cut, store: true}], outbound: [{route: shout}]}
  shout:
    adapters:
      - {type: upper, store: {content_field: text, extension: txt}}
      - {type: mark, store: true}
init_message: {route: split, payload: {text: a b c}, headers: {tenant: t}, key: k}
"""


async def cut(context):
    return AdapterResult(
        emitted=[{"text": word, "n": number} for number, word in enumerate(context.message["text"].split())]
    )


async def upper(context):
    return AdapterResult(message={**context.message, "text": context.message["text"].upper()})


async def mark(context):
    return AdapterResult(
        message={**context.message, "mark": "!", "tenant": context.headers.get("tenant"), "key": context.key}
    )


class World:
    """A store of executions, an object store, and managers."""

    def __init__(self, path):
        self.url = f"sqlite:///{path / 'executions.db'}"
        self.objects = FakeStore()
        self.calls = []
        self.adapters = {"cut": self.counted(cut), "upper": self.counted(upper), "mark": self.counted(mark)}

    def counted(self, function):
        async def call(context):
            self.calls.append(function.__name__)
            return await function(context)

        return call

    @property
    def registry(self):
        return registry_of(**self.adapters)

    @property
    def loader(self):
        return PipelineConfigLoader(self.registry)

    @asynccontextmanager
    async def open(self):
        with trio.fail_after(60):
            async with (
                Executions(execution_store(self.url)) as executions,
                OrchestratorManager(registry=self.registry, storage=self.objects) as manager,
            ):
                yield executions, manager

    async def run(self, text=TEXT):
        """Run to the end; return the record."""
        async with self.open() as (executions, manager):
            started = await executions.start(manager, self.loader.load_text(text))
            await started.execution.complete()
        return await self.record(started.id)

    async def record(self, named):
        store = execution_store(self.url)
        try:
            return await store.execution(named)
        finally:
            await store.close()

    async def plan(self, record, stage, **options):
        return await plan_replay(record, loader=self.loader, from_stage=stage, storage=self.objects, **options)

    async def replay(self, record, stage, *, key=None, **options):
        plan = await self.plan(record, stage, **options)
        async with self.open() as (executions, manager):
            started = await replay(executions, manager, plan, idempotency_key=key)
            if started.execution is not None:
                await started.execution.complete()
        return await self.record(started.id)

    def stored(self, record, stage):
        """What a stage has stored, by message id."""
        found = {}
        for key, data in self.objects.data(f"executions/{record.scope}/").items():
            parts = parse_key(key)
            if parts.stage == stage:
                found[parts.message_id] = data
        return found


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_a_replay_makes_of_stored_messages_what_was_made_of_them(world):
    first = await world.run()
    world.calls.clear()
    second = await world.replay(first, "upper")
    assert second.status is ExecutionStatus.COMPLETED
    assert (second.parent, second.replay_source) == (first.id, "storage")
    assert world.calls == ["mark"] * 3
    made = sorted(world.stored(second, "mark").values())
    assert made == sorted(world.stored(first, "mark").values()), "content, headers and key are as they were"
    assert {unpack(data)["tenant"] for data in made} == {"t"}


async def test_a_replayed_message_is_the_child_of_the_stored_one_and_the_same_each_time(world):
    first = await world.run()
    ids = [set(world.stored(await world.replay(first, "upper"), "mark")) for _ in range(2)]
    assert ids[0] == ids[1]
    assert not ids[0] & set(world.stored(first, "mark"))
    parents = {
        metadata.custom["provenance"]["parent_id"]
        for key, (_, metadata) in world.objects.objects.items()
        if parse_key(key).message_id in ids[0]
    }
    assert parents == set(world.stored(first, "upper"))


async def test_a_second_replay_with_the_key_publishes_nothing(world):
    first = await world.run()
    second = await world.replay(first, "upper", key="once")
    world.calls.clear()
    third = await world.replay(first, "upper", key="once")
    assert third.id == second.id
    assert not world.calls


async def test_a_plan_says_what_would_be_and_publishes_nothing(world):
    first = await world.run()
    before, world.calls[:] = dict(world.objects.objects), []
    plan = await world.plan(first, "upper")
    assert (plan.messages, plan.derived.runs, plan.derived.entry) == (3, ("shout/mark",), "shout")
    assert plan.derived.skipped == ("split/cut", "shout/upper")
    assert plan.publication.found.size_bytes == 3
    assert world.objects.objects == before
    assert not world.calls


async def test_messages_go_into_the_route_that_is_named(world):
    first = await world.run()
    world.calls.clear()
    await world.replay(first, "cut", to_route="shout")
    assert sorted(world.calls) == ["mark"] * 3 + ["upper"] * 3


async def test_a_fork_runs_the_changed_configuration_behind_the_stage_of_the_same_name(world):
    async def whisper(context):
        return AdapterResult(message={"quiet": context.message["text"].lower()})

    first = await world.run()
    world.adapters["whisper"] = whisper
    changed = world.loader.load_text(TEXT.replace("{type: mark, store: true}", "{type: whisper, store: true}"))
    second = await world.replay(first, "upper", config=changed)
    assert sorted(world.stored(second, "whisper").values()) == [pack({"quiet": word}) for word in "abc"]
    gone = world.loader.load_text(TEXT.replace("shout", "speak"))
    with pytest.raises(
        ReplayError, match="the configuration has no stage shout/upper to go on from; it has split/cut, speak/"
    ):
        await world.plan(first, "upper", config=gone)


async def test_the_snapshot_decides_and_an_adapter_that_is_gone_is_a_finding(world):
    first = await world.run()
    del world.adapters["mark"]
    with pytest.raises(ConfigurationError, match=r"E103.*'mark'"):
        await world.plan(first, "upper")
    world.adapters["mark"] = mark
    del world.adapters["cut"]
    assert (await world.plan(first, "upper")).derived.runs == ("shout/mark",), "what does not run is not needed"


def moved(custom):
    return {**custom, "provenance": {**custom["provenance"], "stage": "mark"}}


def nameless(custom):
    return {name: value for name, value in custom.items() if name != "provenance"}


def damaged_envelope(custom):
    return {**custom, "envelope": "%%%"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (moved, "says that its stage is 'mark', expected 'upper'"),
        (nameless, "has no provenance"),
        (damaged_envelope, "its envelope is damaged"),
    ],
)
async def test_an_object_that_lies_is_refused_before_anything_is_published(world, change, expected):
    first = await world.run()
    key = next(key for key in world.objects.objects if "/upper/" in key)
    data, metadata = world.objects.objects[key]
    world.objects.objects[key] = data, replace(metadata, custom=change(metadata.custom))
    world.calls.clear()
    with pytest.raises(ReplayError, match=f"nothing was published(.|\n)*{expected}"):
        await world.plan(first, "upper")
    assert not world.calls


async def test_a_key_that_is_no_messages_is_refused(world):
    first = await world.run()
    key = next(key for key in world.objects.objects if "/upper/" in key)
    world.objects.objects[key.rpartition("/")[0] + "/notes.txt"] = world.objects.objects[key]
    world.objects.objects[key + "x"] = world.objects.objects[key]
    with pytest.raises(ReplayError, match=r"notes.txt: its name is no message's id") as caught:
        await world.plan(first, "upper")
    assert "is a second object of its message" in str(caught.value)


async def test_a_damaged_object_is_named(world, monkeypatch):
    first = await world.run()
    bad = next(key for key in world.objects.objects if "/upper/" in key)
    read = world.objects.read

    async def damaged(key):
        if key == bad:
            raise StorageCorruptError(key, "its checksum is another one")
        return await read(key)

    monkeypatch.setattr(world.objects, "read", damaged)
    with pytest.raises(ReplayError, match=f"{bad}.*checksum"):
        await world.plan(first, "upper")


async def test_a_store_that_fails_in_the_middle_says_how_far_it_came_and_a_second_replay_completes_it(
    world, monkeypatch
):
    text = TEXT.replace("a b c", " ".join(str(number) for number in range(200)))
    first = await world.run(text)
    plan = await world.plan(first, "upper")
    read, left = world.objects.read, 130

    async def breaks(key):
        nonlocal left
        left -= 1
        if left < 0:
            raise StorageError(key, "the disk is gone")
        return await read(key)

    monkeypatch.setattr(world.objects, "read", breaks)
    with pytest.raises(ReplayStoppedError, match=r"128 of 200 messages were published .*the disk is gone"):
        async with world.open() as (executions, manager):
            await replay(executions, manager, plan)
    monkeypatch.undo()
    stopped = await world.record("latest")
    assert stopped.status is ExecutionStatus.CANCELLED
    async with world.open() as (executions, manager):
        again = await plan_recovery(executions.store, stopped.id, loader=world.loader, storage=world.objects)
        started = await recover(executions, manager, again)
        await started.execution.complete()
    assert len(world.stored(stopped, "mark")) == 200
    second = await world.replay(first, "upper")
    assert world.stored(second, "mark") == world.stored(stopped, "mark")


async def test_an_id_of_the_engine_on_a_durable_queue_is_recovered_there_alone(world, tmp_path):
    """Its scope is its id, as with queues in memory; the record of its queue tells them apart."""

    @asynccontextmanager
    async def opened(name):
        queue = open_queue(f"sqlite:///{tmp_path / name}")
        try:
            async with (
                Executions(execution_store(world.url)) as executions,
                OrchestratorManager(registry=world.registry, storage=world.objects, queue=queue) as manager,
            ):
                yield executions, manager, queue
        finally:
            await queue.stop()

    async with opened("queue.db") as (executions, manager, _):
        started = await executions.start(manager, world.loader.load_text(TEXT))
        await started.execution.cancel(0)
    first = await world.record(started.id)
    assert first.queue == f"sqlite:///{tmp_path}/queue.db"
    async with opened("other.db") as (executions, _, other):
        for queue, said in ((other, f"it ran on '{first.queue}'"), (None, f"--queue '{first.queue}'")):
            with pytest.raises(ReplayError, match=re.escape(said)):
                await plan_recovery(executions.store, first.id, loader=world.loader, queue=queue)
    async with opened("queue.db") as (executions, manager, queue):
        plan = await plan_recovery(executions.store, first.id, loader=world.loader, queue=queue)
        again = await recover(executions, manager, plan)
        await again.execution.complete()
    assert (await world.record(first.id)).recovered_by == again.id
    assert len(world.stored(first, "mark")) == 3


async def test_what_runs_is_not_replayed_and_what_completed_not_recovered(world):
    first = await world.run()
    async with world.open() as (executions, _):
        with pytest.raises(ReplayError, match="has completed; there is nothing to recover"):
            await plan_recovery(executions.store, first.id, loader=world.loader)
        running = replace(first, status=ExecutionStatus.RUNNING)
        with pytest.raises(ReplayError, match="is running, and stores more"):
            await world.plan(running, "upper")


async def test_what_was_cancelled_begins_again_with_the_same_messages_and_calls_nothing_twice(world):
    undisturbed = await world.run()
    entered = trio.Event()

    async def waits(context):
        entered.set()
        await trio.sleep_forever()

    world.adapters["mark"] = waits
    async with world.open() as (executions, manager):
        started = await executions.start(manager, world.loader.load_text(TEXT))
        await entered.wait()
        await trio.testing.wait_all_tasks_blocked()
        await started.execution.cancel()
    dead = await world.record(started.id)
    world.adapters["mark"] = world.counted(mark)
    world.calls.clear()
    async with world.open() as (executions, manager):
        plan = await plan_recovery(executions.store, dead.id, loader=world.loader)
        first, second = await recover(executions, manager, plan), await recover(executions, manager, plan)
        assert second.execution is None, "another one has begun it"
        await first.execution.complete()
    assert world.calls == ["cut"] + ["mark"] * 3, "the source emits again; what `upper` stored is taken"
    for stage in ("cut", "upper", "mark"):
        assert sorted(world.stored(dead, stage).values()) == sorted(world.stored(undisturbed, stage).values())


async def test_nothing_stored_is_one_error(world):
    first = await world.run(TEXT.replace("payload: {text: a b c}", 'payload: {text: ""}'))
    with pytest.raises(ReplayError, match=r"nothing is stored below 'executions/.*/shout/upper/'"):
        await world.plan(first, "upper")


class Reading:
    """Calls a function before the n-th object is read."""

    def __init__(self, world, monkeypatch, number, function):
        self.left = number
        read = world.objects.read

        async def reads(key):
            self.left -= 1
            if not self.left:
                await function()
            return await read(key)

        monkeypatch.setattr(world.objects, "read", reads)


async def stopped_recovery(world, first, monkeypatch):
    """Return a replay that was stopped before anything was published."""
    plan = await world.plan(first, "upper")

    async def breaks():
        raise StorageError("any", "the disk is gone")

    with monkeypatch.context() as patch:
        Reading(world, patch, 1, breaks)
        with pytest.raises(ReplayStoppedError):
            async with world.open() as (executions, manager):
                await replay(executions, manager, plan)
    return (await world.record("latest")).id


@pytest.mark.parametrize("way", ["replay", "recovery"])
async def test_cancelled_at_any_step_of_publishing_it_is_cancelled_and_not_completed(world, monkeypatch, way):
    first = await world.run()
    plan = await world.plan(first, "upper")
    stopped = await stopped_recovery(world, first, monkeypatch)
    seen = set()
    for step in count(1):
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def add(instrument=instrument):
            trio.lowlevel.add_instrument(instrument)

        async with world.open() as (executions, manager):
            recovery = await plan_recovery(executions.store, stopped, loader=world.loader, storage=world.objects)
            with monkeypatch.context() as patch, scope:
                Reading(world, patch, 1, add)
                try:
                    if way == "replay":
                        await replay(executions, manager, plan)
                    else:
                        await recover(executions, manager, recovery)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
        status = (await world.record("latest")).status
        assert status is (ExecutionStatus.CANCELLED if scope.cancelled_caught else ExecutionStatus.COMPLETED)
        seen.add(status)
        if status is ExecutionStatus.COMPLETED:
            break
    assert seen == {ExecutionStatus.CANCELLED, ExecutionStatus.COMPLETED}


async def test_drained_before_all_is_published_it_is_cancelled_and_can_be_recovered(world, monkeypatch):
    first = await world.run(TEXT.replace("a b c", " ".join(str(number) for number in range(200))))
    plan = await world.plan(first, "upper")
    async with world.open() as (executions, manager):

        async def drain():
            [execution] = manager.executions.values()
            await execution.drain(5)  # it has completed with what it has got

        with monkeypatch.context() as patch:
            Reading(world, patch, 130, drain)
            with pytest.raises(ReplayStoppedError, match="128 of 200") as caught:
                await replay(executions, manager, plan)
    assert caught.value.was_closed
    stopped = await world.record("latest")
    assert stopped.status is ExecutionStatus.CANCELLED
    assert f"128 of 200 messages were published when execution {stopped.id} was ended. Recover it" in stopped.error


async def test_what_was_removed_since_the_plan_is_missed(world):
    first = await world.run()
    plan = await world.plan(first, "upper")
    del world.objects.objects[next(key for key in world.objects.objects if "/upper/" in key)]
    with pytest.raises(ReplayStoppedError, match=r"2 of 3 messages .* removed meanwhile"):
        async with world.open() as (executions, manager):
            await replay(executions, manager, plan)
    assert (await world.record("latest")).status is ExecutionStatus.CANCELLED


async def test_progress_says_how_much_is_read_and_published(world):
    first = await world.run(TEXT.replace("a b c", " ".join(str(number) for number in range(150))))
    read, published, begun = [], [], []
    plan = await world.plan(first, "upper", progress=lambda found: read.append(found.objects))
    async with world.open() as (executions, manager):
        started = await replay(executions, manager, plan, begun=begun.append, progress=published.append)
    assert read == list(range(1, 151))
    assert published == [64, 128, 150]
    assert begun == [started]


STORED_ELSEWHERE = TEXT + 'storage: {url: "URL"}\n'


async def test_a_store_that_a_plan_has_opened_is_closed_however_it_ends(world, monkeypatch):
    first = await world.run()
    named = replace(first, snapshot=world.loader.load_text(STORED_ELSEWHERE.replace("URL", "memory://")).to_yaml())
    monkeypatch.setattr("factflow_engine.executions.publishing.open_storage", lambda *_, **__: world.objects)
    plan = await plan_replay(named, loader=world.loader, from_stage="upper")
    assert world.objects.closed == 1
    with monkeypatch.context() as patch, trio.move_on_after(0) as scope:
        Reading(world, patch, 1, trio.sleep_forever)
        await plan_replay(named, loader=world.loader, from_stage="upper")
    assert (scope.cancelled_caught, world.objects.closed) == (True, 2)
    async with world.open() as (executions, manager):
        await replay(executions, manager, plan)
    assert world.objects.closed == 3
    world.objects.objects.clear()
    with pytest.raises(ReplayError, match="nothing is stored"):
        await plan_replay(named, loader=world.loader, from_stage="upper")
    assert world.objects.closed == 4


async def test_an_error_of_the_store_shows_no_value_of_the_environment(world, monkeypatch, tmp_path):
    first = await world.run()
    (tmp_path / "hunter22").write_text("no folder")
    monkeypatch.setenv("PLACE_TOKEN", str(tmp_path / "hunter22"))
    text = STORED_ELSEWHERE.replace("URL", "file://${PLACE_TOKEN}")
    named = replace(first, snapshot=world.loader.load_text(text).to_yaml())
    with pytest.raises(StorageError) as caught:
        await plan_replay(named, loader=world.loader, from_stage="upper")
    assert "${PLACE_TOKEN}" in str(caught.value)
    assert "hunter22" not in trace_of(caught.value)


@asynccontextmanager
async def recorded_in(world, lineage):
    """Open the record of what must be there."""
    store, reader = execution_store(world.url), open_lineage_reader(lineage)
    try:
        yield RecordedObjects(store, reader)
    finally:
        await reader.close()
        await store.close()


@pytest.mark.parametrize("removed", [[], [0], [39], [0, 1, 2, 17, 39], list(range(0, 40, 9)), list(range(1, 40))])
@pytest.mark.parametrize("stage", ["cut", "upper", "mark"])
async def test_an_object_that_was_removed_with_its_metadata_is_missed_by_the_lineage(world, tmp_path, stage, removed):
    lineage = f"sqlite:///{tmp_path / 'lineage'}"
    text = TEXT.replace("a b c", " ".join(str(number) for number in range(40))) + f"lineage: {{url: '{lineage}'}}\n"
    first = await world.run(text)
    keys = sorted(key for key in world.objects.objects if f"/{stage}/" in key)
    assert len(keys) == 40
    gone = [keys[number] for number in removed]
    for key in gone:
        del world.objects.objects[key]
    to = {"to_route": "shout"}
    assert (await world.plan(first, stage, **to)).messages == 40 - len(gone), "nothing else says that they were there"
    async with recorded_in(world, lineage) as recorded:
        if not gone:
            assert (await world.plan(first, stage, recorded=recorded, **to)).messages == 40
            return
        with pytest.raises(ReplayError, match="nothing was published") as caught:
            await world.plan(first, stage, recorded=recorded, **to)
    said = str(caught.value)
    assert [key for key in keys if f"{key}: does not exist" in said] == gone[:5]
    assert (f"and {len(gone) - 5} more" in said) == (len(gone) > 5)


async def test_a_recovery_of_a_replay_misses_what_was_removed_too(world, tmp_path, monkeypatch):
    lineage = f"sqlite:///{tmp_path / 'lineage'}"
    first = await world.run(f"{TEXT}lineage: {{url: '{lineage}'}}\n")
    stopped = await stopped_recovery(world, first, monkeypatch)
    options = {"loader": world.loader, "storage": world.objects}
    async with recorded_in(world, lineage) as recorded, world.open() as (executions, _):
        assert (await plan_recovery(executions.store, stopped, recorded=recorded, **options)).messages == 3
        gone = next(key for key in world.objects.objects if "/upper/" in key)
        del world.objects.objects[gone]
        with pytest.raises(ReplayError, match=gone):
            await plan_recovery(executions.store, stopped, recorded=recorded, **options)


async def test_of_runs_of_one_id_that_store_differently_nothing_is_missed(world, tmp_path):
    lineage = f"sqlite:///{tmp_path / 'lineage'}"
    text = f"{TEXT}lineage: {{url: '{lineage}'}}\n"
    for one in (text.replace(", store: {content_field: text, extension: txt}", ""), text):
        async with world.open() as (executions, manager):
            started = await executions.start(manager, world.loader.load_text(one), execution_id="same")
            await started.execution.complete()
    del world.objects.objects[next(key for key in world.objects.objects if "/upper/" in key)]
    async with recorded_in(world, lineage) as recorded:
        plan = await world.plan(await world.record("same"), "upper", recorded=recorded)
    assert plan.messages == 2
