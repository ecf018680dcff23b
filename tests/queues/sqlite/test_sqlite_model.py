"""Any history of publishing, receiving, settling, dying and reopening, against a plain model, step by step."""

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.queues.sqlite.claiming import Claim
from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.virtual_time import EPOCH_NS, SimulatedClock
from factflow_protocols import Deleted, Nack, StoredName
from support.internals import consumers_of, writer_of
from support.queue_model import ModelQueue
from support.sqlite_queues import message, settings, values

QUEUE, LEASE, DEDUP = "/queue/q", 3.0, 20

NUMBERS = st.integers(0, 40)
PUBLISH = st.tuples(st.just("publish"), st.lists(NUMBERS, min_size=1, max_size=12))
RECEIVE = st.tuples(st.just("receive"), st.integers(0, 1), st.integers(1, 9))
FATES = st.sampled_from(["ack", "ack", "nack", "later", "interrupted"])
SETTLE = st.tuples(
    st.just("settle"), st.integers(0, 1), st.lists(st.tuples(st.integers(0, 8), FATES), min_size=1, max_size=6)
)
RARELY = st.one_of(
    st.tuples(st.just("die"), st.integers(1, 5)),
    st.tuples(st.just("leave"), st.integers(0, 1)),
    st.tuples(st.just("reopen")),
)
DELETE = st.tuples(st.just("delete"), st.sets(NUMBERS, min_size=1, max_size=12))
SLEEP = st.tuples(st.just("sleep"), st.sampled_from([0.25, 1, 2, 5, 30]))
ROUND = st.tuples(PUBLISH, RECEIVE, SETTLE, st.one_of(RARELY, SLEEP, RECEIVE, DELETE), SETTLE)
"""A handful of steps that do something, so that a short history already has a past."""


class InlineThreads:
    """No threads and no time: the model then knows every instant exactly."""

    async def run(self, function):
        await trio.lowlevel.checkpoint()
        return function()


class World:
    """The provider, two consumers of it, and the model of both."""

    def __init__(self, path: Path, retention: float, nursery: trio.Nursery):
        self.path, self.retention, self.nursery = path, retention, nursery
        self.model = ModelQueue(lease=LEASE, dedup=DEDUP)
        self.pairs: list[list] = [[], []]  # of each consumer: (delivery, entry)
        self.exits = [None, None]
        self.consumers = [None, None]

    def now(self):
        return EPOCH_NS / 1e9 + trio.current_time()

    async def open(self):
        options = settings(self.path, lease_seconds=LEASE, dedup_seconds=DEDUP, retention_seconds=self.retention)
        self.queue = SqliteQueue(options, threads=InlineThreads(), clock=SimulatedClock())
        for which in range(2):
            await self.join(which)

    async def join(self, which):
        """Enter a subscription in a task of its own: consumers leave in any order."""
        leave, left = trio.Event(), trio.Event()

        async def consume(task_status):
            async with self.queue.subscribe(QUEUE, "s", 100, 10_000) as consumer:
                task_status.started(consumer)
                await leave.wait()
            left.set()

        self.consumers[which] = await self.nursery.start(consume)
        self.exits[which] = (leave, left)
        self.pairs[which] = []

    async def leave(self, which):
        leave, left = self.exits[which]
        leave.set()
        await left.wait()
        self.model.release(self.consumers[which])

    async def close(self):
        for which in range(2):
            await self.leave(which)
        await self.queue.stop()

    async def step(self, kind, *arguments):
        await getattr(self, "do_" + kind)(*arguments)
        await self.compare()

    async def do_publish(self, numbers):
        result = await self.queue.publish_batch(QUEUE, [message(number) for number in numbers])
        assert [status.value for status in result.statuses] == self.model.publish(numbers, self.now())

    async def do_receive(self, which, limit):
        if not self.model.available(self.now()):
            return
        expected, entries = self.model.receive(self.consumers[which], limit, self.now())
        deliveries = await self.consumers[which].receive(limit)
        assert [(*values([delivery]), delivery.message.attempt) for delivery in deliveries] == expected
        self.pairs[which] += zip(deliveries, entries, strict=True)

    async def do_settle(self, which, choices):
        consumer, pairs = self.consumers[which], self.pairs[which]
        acks, nacks, touched = [], [], set()
        for place, fate in choices:
            if place >= len(pairs) or place in touched:
                continue
            touched.add(place)
            delivery, entry = pairs[place]
            if fate == "ack":
                acks.append(delivery)
                self.model.ack([entry], consumer)
            else:
                delay = 2.0 if fate == "later" else 0.0
                nacks.append(Nack(delivery, delay_seconds=delay, counts=fate != "interrupted"))
                self.model.nack(entry, consumer, delay, fate != "interrupted", self.now())
        await consumer.settle(acks, nacks)
        self.pairs[which] = [pair for place, pair in enumerate(pairs) if place not in touched]

    async def do_delete(self, numbers):
        browsed = [stored async for stored in self.queue.administration.browse(QUEUE)]
        chosen = [stored for stored in browsed if int.from_bytes(stored.message_id) in numbers]
        deleted = await self.queue.administration.delete(
            QUEUE, [StoredName(stored.seq, stored.message_id) for stored in chosen]
        )
        gone = self.model.delete(numbers, self.now())
        assert deleted == Deleted(deleted=gone, leased=len(chosen) - gone)
        left = [stored.seq async for stored in self.queue.administration.browse(QUEUE, newest_first=True)]
        assert len(left) == len(browsed) - gone
        assert left == sorted(left, reverse=True)

    async def do_die(self, limit):
        """Another consumer takes some and is never heard of again."""
        [line] = consumers_of(self.queue)
        expected, _ = self.model.receive(object(), limit, self.now())
        claimed = await writer_of(self.queue).submit(Claim(QUEUE, "s", line, limit))
        assert [(handed.message.value(), handed.message.attempt) for handed in claimed.deliveries] == expected

    async def do_leave(self, which):
        await self.leave(which)
        await self.join(which)

    async def do_reopen(self):
        await self.close()
        await self.open()

    async def do_sleep(self, seconds):
        end = trio.current_time() + seconds
        while trio.current_time() < end:  # in steps in which a living consumer's lease cannot run out
            await trio.sleep_until(min(end, trio.current_time() + LEASE / 6))
        await trio.testing.wait_all_tasks_blocked()

    async def compare(self):
        now = self.now()
        statistics = await self.queue.administration.statistics()
        [line] = statistics.lines
        leased = {id(consumer) for consumer in self.consumers}
        living = sum(id(entry.holder) in leased for entry in self.model.entries)
        ready, delayed, held = self.model.counts(now)
        lapsed = sum(
            entry.due is not None and entry.due <= now and id(entry.holder) in leased for entry in self.model.entries
        )
        assert (line.waiting, line.delayed, line.leased) == (ready - lapsed, delayed, held + lapsed), living
        assert await self.queue.administration.check() == []

    async def finish(self):
        """Everything that is left can be had, and is gone then."""
        await self.do_sleep(LEASE + 3)
        for which in range(2):
            await self.do_leave(which)
        left = self.model.available(self.now())
        assert len(left) == len(self.model.entries)
        while self.model.entries:
            await self.do_receive(0, 100)
            await self.do_settle(0, [(place, "ack") for place in range(len(self.pairs[0]))])
        await self.compare()
        await self.close()


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.lists(ROUND, min_size=4, max_size=12), st.sampled_from([0.0, 4.0]), st.integers(0, 2**32))
def test_the_provider_does_what_the_model_does(rounds, retention, seed):
    async def run(_):
        with TemporaryDirectory() as folder:
            async with trio.open_nursery() as nursery:
                world = World(Path(folder) / "q.db", retention, nursery)
                await world.open()
                for step in chain.from_iterable(rounds):
                    world.model.renew(world.consumers, world.now())
                    await world.step(*step)
                world.model.renew(world.consumers, world.now())
                await world.finish()

    in_virtual_time(run, seed=seed)
