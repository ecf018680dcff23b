"""SQLite providers for tests: on files of their own, with real threads or simulated ones."""

from contextlib import asynccontextmanager

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_engine.testing.virtual_time import SimulatedClock, SimulatedRandomness, SimulatedThreads


def settings(path, **options) -> SqliteSettings:
    """Settings that do not wait for the disk."""
    return SqliteSettings(path=path, **{"durability": Durability.PROCESS, "lease_seconds": 1.0, **options})


def simulated(path, *, seed=0, clock=None, **options) -> SqliteQueue:
    """A provider in virtual time, without threads; its wall clock may be one of the test's own."""
    threads = SimulatedThreads(SimulatedRandomness(seed), longest_seconds=0.001)
    return SqliteQueue(settings(path, **options), threads=threads, clock=clock or SimulatedClock())


def opener(make):
    """What the conformance suite wants, of a function that makes a provider."""

    @asynccontextmanager
    async def open_queue():
        queue = make()
        try:
            yield queue
        finally:
            await queue.stop()

    return open_queue


def message(number, **fields) -> Frame:
    return Frame.create(pack(number), message_id=number.to_bytes(16), **fields)


def values(deliveries):
    return [delivery.message.value() for delivery in deliveries]
