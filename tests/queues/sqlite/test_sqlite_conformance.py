"""The SQLite provider against the public suite: in virtual time, and with real threads and a disk that is waited for."""

import pytest

from factflow_engine.queues.sqlite import Durability, SqliteQueue
from factflow_engine.testing.administration_conformance import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance import QUEUE_CHECKS
from factflow_engine.testing.durable_conformance import DURABLE_QUEUE_CHECKS
from factflow_engine.testing.expectations import check_name
from factflow_engine.testing.start_conformance import START_CHECKS
from factflow_engine.testing.state_conformance import STATE_CHECKS
from factflow_engine.testing.transaction_conformance import TRANSACTION_CHECKS
from support.sqlite_queues import opener, settings, simulated

CHECKS = (
    *QUEUE_CHECKS,
    *DURABLE_QUEUE_CHECKS,
    *STATE_CHECKS,
    *START_CHECKS,
    *TRANSACTION_CHECKS,
    *ADMINISTRATION_CHECKS,
)


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_in_virtual_time(check, autojump_clock, tmp_path):
    await check(opener(lambda: simulated(tmp_path / "q.db")))


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_with_real_threads(check, tmp_path):
    await check(opener(lambda: SqliteQueue(settings(tmp_path / "q.db", durability=Durability.POWER))))
