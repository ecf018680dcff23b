"""The simulated broker against the public suites: with calls that take time, and with calls that take none."""

import pytest

from factflow_engine.testing import (
    DURABLE_QUEUE_CHECKS,
    QUEUE_CHECKS,
    START_CHECKS,
    STATE_CHECKS,
    TRANSACTION_CHECKS,
    check_name,
    in_virtual_time,
)
from factflow_engine.testing.simulation.broker import Broker

CHECKS = (*QUEUE_CHECKS, *DURABLE_QUEUE_CHECKS, *STATE_CHECKS, *START_CHECKS, *TRANSACTION_CHECKS)


@pytest.mark.parametrize("call_seconds", [(0.0, 0.0), (0.0001, 0.002)], ids=["at once", "taking time"])
@pytest.mark.parametrize("check", CHECKS, ids=check_name)
def test_conformance(check, call_seconds):
    async def run(simulation):
        broker = Broker(
            randomness=simulation.randomness,
            clock=simulation.seams.clock,
            lease_seconds=1.0,
            call_seconds=call_seconds,
        )
        await check(broker.open)

    in_virtual_time(run, seed=1)
