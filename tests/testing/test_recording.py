"""Recorders: they change nothing, note everything, and have the abilities of what they wrap."""

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import (
    QUEUE_CHECKS,
    START_CHECKS,
    STATE_CHECKS,
    STORAGE_CHECKS,
    TRANSACTION_CHECKS,
    RecordingQueue,
    RecordingStorage,
    assert_outcomes,
    check_name,
    in_virtual_time,
)
from factflow_protocols import (
    AdapterResult,
    AdministeredQueue,
    ExecutionStarts,
    OrderedQueueProtocol,
    QueueProtocol,
    ResumableStarts,
    StateProvider,
    StorageProtocol,
)
from support.pipelines import run
from support.sqlite_queues import opener, settings, simulated

ABILITIES = (AdministeredQueue, ExecutionStarts, OrderedQueueProtocol, QueueProtocol, ResumableStarts, StateProvider)

TEXT = """
routes:
  parse:
    adapters: [{type: defer}]
    outbound: [{route: write}]
  write:
    inbound: {queue: /queue/parsed, concurrency: 2}
    adapters: [{type: forward}]
    outbound: [{queue: /topic/all}]
"""


def defer(context):
    if context.attempt == 1 and context.message == "wait":
        raise OSError("try again")
    return AdapterResult(message=context.message.upper(), headers={"h": 1})


def provider_of(kind: str, tmp_path: Path):
    return MemoryQueue() if kind == "memory" else SqliteQueue(settings(tmp_path / "q.db"))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_recorder_has_exactly_the_abilities_of_its_provider(kind, tmp_path):
    provider = provider_of(kind, tmp_path)
    recorder = RecordingQueue(provider)
    assert isinstance(recorder, RecordingQueue)
    for ability in ABILITIES:
        assert isinstance(recorder, ability) == isinstance(provider, ability)
    assert recorder.outlives_process == provider.outlives_process


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_execution_is_noted_with_its_retries_and_the_names_of_the_configuration(kind, tmp_path):
    text = TEXT.replace(
        "outbound: [{route", "error_handling: {max_retries: 1, retry_delay_seconds: 30}\n    outbound: [{route"
    )

    async def main(queue, **options):
        try:
            report = await run(
                text, adapters={"defer": defer}, publish=[("parse", "wait"), ("parse", "go")], queue=queue, **options
            )
        finally:
            await queue.stop()
        assert_outcomes(report, completed=4)

    if kind == "memory":
        queue = RecordingQueue()
        in_virtual_time(lambda simulation: main(queue, seams=simulation.seams), seed=3)
    else:
        queue = RecordingQueue(provider_of(kind, tmp_path))
        text = text.replace("30", "0.05")
        trio.run(partial(main, queue))
    assert sorted(queue.messages("/queue/parsed")) == ["GO", "WAIT"]
    assert [record.headers["h"] for record in queue.published if record.queue == "/queue/parsed"] == [1, 1]
    assert {record.queue for record in queue.records} >= {"/queue/parsed"}
    assert not [record.queue for record in queue.records if record.queue.startswith("exec:")]
    taken = [record for record in queue.delivered if record.queue == "/queue/parsed"]
    acknowledged = {record.message_id for record in queue.settled if record.event == "acknowledged"}
    assert {record.message_id for record in taken} <= acknowledged
    if kind == "memory":
        assert max(record.seconds for record in queue.published) > 5


@pytest.mark.parametrize("check", QUEUE_CHECKS, ids=check_name)
async def test_a_recorder_around_a_queue_passes_the_checks_of_a_queue(check, autojump_clock):
    @asynccontextmanager
    async def opened():
        queue = RecordingQueue(MemoryQueue())
        yield queue
        await queue.stop()

    await check(opened)


@pytest.mark.parametrize("check", [*TRANSACTION_CHECKS, *STATE_CHECKS, *START_CHECKS], ids=check_name)
async def test_a_recorder_passes_on_the_abilities_of_a_durable_queue(check, tmp_path, autojump_clock):
    await check(opener(lambda: RecordingQueue(simulated(tmp_path / "q.db"))))


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=check_name)
async def test_a_recorder_around_a_store_passes_the_checks_of_a_store(check):
    storage = RecordingStorage(MemoryStorage())

    @asynccontextmanager
    async def opened():
        yield storage

    await check(opened)


async def test_a_store_is_noted():
    storage = RecordingStorage()
    assert isinstance(storage, StorageProtocol)

    async def parts():
        yield b"a" * 2_000_000
        yield b"b"

    await storage.write("x", b"1", custom={"n": 1})
    await storage.write("x", parts(), content_type="text/plain")
    await storage.write("y", b"2")
    await storage.read_range("y", 0, 1)
    await storage.delete("y")
    with pytest.raises(Exception, match="does not exist"):
        await storage.read("y")
    assert [(record.operation, record.key) for record in storage.records] == [
        ("write", "x"), ("write", "x"), ("write", "y"), ("read_range", "y"), ("delete", "y"),
    ]  # fmt: skip
    assert storage.objects == {"x": b"a" * 2_000_000 + b"b"}
    first, second, _ = storage.written
    assert (first.written.custom, second.written.content_type) == ({"n": 1}, "text/plain")
    assert [key async for key in storage.list()] == ["x"]
    async with storage.stream("x") as stream:
        assert b"".join([part async for part in stream]) == storage.objects["x"]
    await storage.close()
