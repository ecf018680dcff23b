"""Stages that keep something across messages, processes that die with them, and what is to be left of it in the end."""

from collections import Counter
from contextlib import asynccontextmanager

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, QueueError, StatefulAdapter
from support.clocks import seams_without_threads
from support.internals import consumers_of, writer_of
from support.pipelines import load, registry_of
from support.sqlite_queues import simulated


def messages(count, first=0):
    return [{"n": number} for number in range(first, first + count)]


async def slowly(context):
    await trio.sleep(0.05)
    return AdapterResult.forward()


def said_by(world, stage="ledger"):
    return [what for who, what in world.said if who == stage]


class World:
    """One queue's file, and what the lives of an execution on it have said and done for good.

    Attributes:
        said: What `finish` of a ledger had to say, each time.
        durable: What a flushing stage has made durable, by message id.
        infos: What stages were told when they were opened.
        seen: How many times an adapter was asked, by stage and message.
    """

    def __init__(self, path, text, **adapters):
        self.path = path
        self.said = []
        self.durable = {}
        self.infos = []
        self.seen = Counter()
        self.registry = registry_of(
            ledger=ledger(self), sync_ledger=sync_ledger(self), flushing=flushing(self), **adapters
        )
        self.config = load(self.registry, text)

    @asynccontextmanager
    async def life(self, *, execution_id="x", lease=1.0, **options):
        """An execution in a process of its own, as far as the file can tell."""
        queue = simulated(self.path, lease_seconds=lease)
        try:
            async with OrchestratorManager(
                registry=self.registry, queue=queue, seams=seams_without_threads()
            ) as manager:
                execution = await manager.start(self.config, execution_id=execution_id, **options)
                yield Life(queue, execution)
        finally:
            await queue.stop()

    async def complete(self, **options):
        async with self.life(**options) as life:
            return await life.execution.complete()

    async def out(self, name="/queue/out"):
        """What has left the pipeline."""
        found = []
        queue = simulated(self.path)
        async with queue.subscribe(f"exec:x:{name}", "s", 1000) as subscription:
            while await subscription.depth():
                deliveries = await subscription.receive(1000)
                found += [delivery.message.value() for delivery in deliveries]
                await subscription.settle(deliveries)
        await queue.stop()
        return found

    async def rows(self):
        """How many states and answers the file holds."""
        queue = simulated(self.path)
        statistics = await queue.administration.statistics()
        await queue.stop()
        return statistics.states, statistics.answers


class Life:
    def __init__(self, queue, execution):
        self.queue = queue
        self.execution = execution

    async def die(self):
        """As `kill -9`, as far as the file can tell: nothing more is stored, and nothing is given back."""

        async def refuse(request):
            await trio.lowlevel.checkpoint()
            raise QueueError("/queue/dead", "the process is dead")

        submit, writer_of(self.queue).submit = writer_of(self.queue).submit, refuse
        try:
            await self.execution.cancel()
        finally:
            writer_of(self.queue).submit = submit
            consumers_of(self.queue).clear()


def after_any_history(history, judge, tmp_path_factory, examples):
    """Run `history(path, seed)` in virtual time for many seeds, and give `judge` what each returns."""

    @settings(max_examples=examples, deadline=None)
    @given(st.integers(min_value=0, max_value=2**32))
    def judged(seed):
        path = tmp_path_factory.mktemp("history") / "q.db"
        judge(*trio.run(history, path, seed, clock=MockClock(autojump_threshold=0)))

    judged()


def ledger(world):
    class Ledger(StatefulAdapter):
        """Keeps every message; `{"n": 1, "do": "drop" | "split" | "change"}`."""

        def __init__(self):
            self.kept = []

        async def open(self, stage):
            self.stage = stage
            world.infos.append(stage)

        async def process(self, context):
            message = context.message
            world.seen[self.stage.stage, str(message)] += 1
            await trio.sleep(0.001)
            self.kept.append(message)
            return _answer(message)

        def snapshot(self):
            return self.kept

        def restore(self, state):
            self.kept += state

        async def finish(self):
            world.said.append((self.stage.stage, in_order(self.kept)))
            return AdapterResult(message={"total": len(self.kept), "by": self.stage.stage})

    return Ledger


def sync_ledger(world):
    class SyncLedger(StatefulAdapter):
        def __init__(self):
            self.kept = []

        async def open(self, stage):
            self.stage = stage

        def process(self, context):
            self.kept.append(context.message)
            return _answer(context.message)

        def snapshot(self):
            return self.kept

        def restore(self, state):
            self.kept += state

        async def finish(self):
            world.said.append((self.stage.stage, in_order(self.kept)))

    return SyncLedger


def _answer(message):
    do = message.get("do") if isinstance(message, dict) else None
    if do == "drop":
        return None
    if do == "split":
        return AdapterResult(emitted=[{"n": message["n"], "part": part} for part in range(3)], headers={"split": True})
    if do == "change":
        return AdapterResult(message={"n": message["n"], "changed": True})
    if do == "lazy":
        return AdapterResult(emitted=({"n": part} for part in range(3)))
    return AdapterResult.forward()


def flushing(world):
    class Flushing(StatefulAdapter):
        durable_batches = True
        flush_seconds = 0.001

        def __init__(self):
            self.pending = {}

        async def open(self, stage):
            self.stage = stage
            world.infos.append(stage)

        async def process(self, context):
            self.pending[context.message_id] = context.message
            return AdapterResult.forward()

        async def flush(self):
            pending, self.pending = self.pending, {}
            await trio.sleep(self.flush_seconds)
            world.durable.update(pending)

        async def finish(self):
            world.said.append((self.stage.stage, len(world.durable)))

    return Flushing


def in_order(messages):
    return sorted(messages, key=lambda message: (message["n"], str(message)) if "n" in message else (-1, str(message)))
