"""The in-process provider against the public suite."""

import inspect
from contextlib import asynccontextmanager

import pytest

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.testing import (
    administration_conformance,
    conformance,
    durable_conformance,
    start_conformance,
    state_conformance,
)
from factflow_engine.testing.administration_conformance import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance import QUEUE_CHECKS
from factflow_engine.testing.durable_conformance import DURABLE_QUEUE_CHECKS
from factflow_engine.testing.expectations import check_name
from factflow_engine.testing.start_conformance import START_CHECKS
from factflow_engine.testing.state_conformance import STATE_CHECKS


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
        (conformance, QUEUE_CHECKS),
        (durable_conformance, DURABLE_QUEUE_CHECKS),
        (state_conformance, STATE_CHECKS),
        (start_conformance, START_CHECKS),
        (administration_conformance, ADMINISTRATION_CHECKS),
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
