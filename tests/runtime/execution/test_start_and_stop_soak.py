"""Executions that come and go leave nothing: no task, no thread, no file descriptor, no memory."""

import contextlib
import gc
import sys
import threading
import weakref
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import load, registry_of
from support.tasks import all_tasks

PIPELINE = """
routes:
  a:
    adapters: [{type: forward}]
    outbound: [{route: b, condition: {field: n, operator: gt, value: 1}}, {queue: /queue/out}]
  b: {inbound: {concurrency: 2}, adapters: [{type: count}, {type: spread}, {type: odd}]}
  thread: {adapters: [{type: blocking}]}
"""
HOWS = ("complete", "drain", "drain at once", "cancel", "cancel with a grace")


class Count(StatefulAdapter):
    async def open(self, stage):
        self.count = 0

    async def process(self, context):
        self.count += 1
        return AdapterResult.forward()

    async def finish(self):
        return AdapterResult(message={"n": self.count})

    async def close(self):
        self.count = None


async def spread(context):
    return AdapterResult(emitted=[{"n": number} for number in range(3)])


async def odd(context):
    await trio.lowlevel.checkpoint()
    if context.message["n"] == 2:
        raise ValueError("two")


def blocking(context):
    return None


def resources():
    return {
        "tasks": len(list(all_tasks())),
        "descriptors": descriptors(),
        "threads": threading.active_count(),
    }


def descriptors():
    """What is open, by number and name, without what the tests before this one left to be collected."""
    gc.collect()
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder itself, which is closed by now
            found.add((link.name, str(link.readlink())))
    return found


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def once(manager, config, how):
    """One execution from its start to its end, with messages under way when it is made to end; returns a weak one."""
    execution = await manager.start(config)
    for number in range(5):
        execution.publish_nowait("a", {"n": number})
    execution.publish_nowait("thread", 1)
    if how == "complete":
        report = await execution.complete()
    elif how == "drain":
        report = await execution.drain()
    elif how == "drain at once":
        report = await execution.drain(0)
    elif how == "cancel":
        report = await execution.cancel()
    else:
        with trio.move_on_after(0):
            await execution.complete()
        report = await execution.cancel(0.01)
    assert report.status in ("completed", "cancelled")
    return weakref.ref(execution)


async def many(times, settle, windows=1):
    """Start and stop so often, and return how much memory grew in each window of times after the first `settle`.

    A window gives a pair: growth in the interpreter's blocks, and in resident bytes.
    """
    registry = registry_of(count=Count, spread=spread, odd=odd, blocking=blocking)
    config = load(registry, PIPELINE)
    async with OrchestratorManager(registry=registry) as manager:
        before, marks = None, []
        for number in range(times + 1):
            last = await once(manager, config, HOWS[number % len(HOWS)])
            assert not manager.executions
            if number == settle:
                before = resources()
            if number >= settle and (number - settle) % ((times - settle) // windows) == 0:
                marks.append((allocated_blocks(), resident_bytes()))
        assert last() is None
        after = resources()
    assert after["tasks"] == before["tasks"]
    assert after["descriptors"] - before["descriptors"] == set()
    assert after["threads"] <= before["threads"] + 1, "trio keeps a thread or two for the next call"
    return [(later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in pairwise(marks)]


def allocated_blocks():
    for _ in range(3):
        gc.collect()
    return sys.getallocatedblocks()


async def test_a_hundred_executions_leave_nothing_behind():
    """What leaks grows in every window; what a test before this one left to be freed or cached, in one or two."""
    windows = await many(100, settle=30, windows=5)
    assert len(windows) == 5
    assert min(blocks for blocks, _ in windows) < 14 * 15, "an execution is made of thousands"


@pytest.mark.slow
async def test_ten_thousand_executions_leave_nothing_behind():
    [(blocks, size)] = await many(10_000, settle=2_000)
    assert blocks < 2_000
    assert size < 4 * 2**20


async def test_managers_that_come_and_go_leave_nothing_behind():
    registry = registry_of(count=Count, spread=spread, odd=odd, blocking=blocking)
    config = load(registry, PIPELINE)
    before, marks = None, []
    for number in range(81):
        with trio.CancelScope() as scope:
            async with OrchestratorManager(registry=registry) as manager:
                execution = await manager.start(config)
                await execution.publish("a", {"n": 2})
                if number % 3 == 0:
                    scope.cancel()
        if number == 20:
            before = resources()
        if number >= 20 and number % 15 == 5:
            marks.append(allocated_blocks())
    after = resources()
    assert after["tasks"] == before["tasks"]
    assert after["descriptors"] - before["descriptors"] == set()
    assert len(marks) == 5
    grown = min(later - earlier for earlier, later in pairwise(marks))
    assert grown < 15 * 25, (
        "trio keeps the deadlines of scopes that were left, up to a thousand; a leak is of thousands"
    )
