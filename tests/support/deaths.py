"""Processes that use one file and die at a chosen instant, in virtual time."""

import trio

from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.testing.virtual_time import SimulatedClock, SimulatedRandomness, SimulatedThreads
from factflow_protocols import QueueError
from support.sqlite_queues import settings


class MortalThreads(SimulatedThreads):
    """Does so many pieces of work; from the next one on, its process is dead and nothing it does reaches the file.

    Whether the last one is still done although its answer does not come back is chosen, too.
    """

    def __init__(self, seed, *, works, last_is_done):
        super().__init__(SimulatedRandomness(seed), longest_seconds=0.01)
        self.works = works
        self.last_is_done = last_is_done

    async def run(self, function):
        if self.works is not None:
            self.works -= 1
            if self.works < 0:
                if self.works == -1 and self.last_is_done:
                    await super().run(function)
                await trio.lowlevel.checkpoint()
                raise QueueError("the process", "is dead")
        return await super().run(function)


def mortal(path, *, works=None, last_is_done=False, seed=0, **options):
    """A provider whose process dies after so many pieces of work; None: it does not."""
    threads = MortalThreads(seed, works=works, last_is_done=last_is_done)
    return SqliteQueue(settings(path, **options), threads=threads, clock=SimulatedClock())
