"""The in-process provider against the public suite."""

from contextlib import asynccontextmanager

import pytest

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.testing import QUEUE_CHECKS, check_name


@pytest.mark.parametrize("check", QUEUE_CHECKS, ids=check_name)
async def test_memory(check, autojump_clock):
    @asynccontextmanager
    async def open_queue():
        queue = MemoryQueue()
        yield queue
        await queue.stop()

    await check(open_queue)
