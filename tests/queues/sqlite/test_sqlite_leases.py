"""Leases: from when they count, what happens when they cannot be renewed, and when somebody else got the messages."""

import time

from factflow_engine.queues.sqlite import SqliteQueue
from support.sqlite_queues import message, settings, values

QUEUE = "/queue/q"


class Watch:
    """A clock that is put forward by hand."""

    monotonic_ns = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.now_ns = 1_800_000_000_000_000_000

    def wall_ns(self):
        return self.now_ns

    def forward(self, seconds):
        self.now_ns += round(seconds * 1e9)


async def test_a_lease_counts_from_when_the_file_was_free(tmp_path):
    watch = Watch()
    first, second = (SqliteQueue(settings(tmp_path / "q.db", lease_seconds=30), clock=watch) for _ in range(2))
    await first.publish_batch(QUEUE, [message(1), message(2)])

    def wait_for_the_lock(sql):
        if sql.startswith("BEGIN IMMEDIATE"):
            watch.forward(40)  # as if another process had it for so long

    async with first.subscribe(QUEUE, "s", 10) as one, second.subscribe(QUEUE, "s", 10) as two:
        first._writer._store.connection.set_trace_callback(wait_for_the_lock)
        assert values(await one.receive(1)) == [1]
        first._writer._store.connection.set_trace_callback(None)
        assert values(await two.receive(10)) == [2]
    await first.stop()
    await second.stop()
