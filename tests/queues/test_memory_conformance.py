"""The in-process provider against the public suite."""

import inspect
from contextlib import asynccontextmanager

import pytest

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.testing.conformance import administration, durable, queues, starts, states
from factflow_engine.testing.conformance.administration import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance.durable import DURABLE_QUEUE_CHECKS
from factflow_engine.testing.conformance.expectations import check_name
from factflow_engine.testing.conformance.queues import QUEUE_CHECKS
from factflow_engine.testing.conformance.starts import START_CHECKS
from factflow_engine.testing.conformance.states import STATE_CHECKS


@pytest.mark.parametrize("check", QUEUE_CHECKS, ids=check_name)
async def test_memory(check, autojump_clock):
    @asynccontextmanager
    async def open_queue():
        queue = MemoryQueue()
        yield queue
        await queue.stop()

    await check(open_queue)


@pytest.mark.parametrize(
    ("module", "listed"),
    [
        (queues, QUEUE_CHECKS),
        (durable, DURABLE_QUEUE_CHECKS),
        (states, STATE_CHECKS),
        (starts, START_CHECKS),
        (administration, ADMINISTRATION_CHECKS),
    ],
)
def test_every_check_is_listed(module, listed):
    found = [
        each
        for each in vars(module).values()
        if inspect.iscoroutinefunction(each)
        and not each.__name__.startswith("_")
        and each.__module__ == module.__name__
    ]
    assert found == list(listed)
