"""The SQLite provider against the public suite: in virtual time, and with real threads and a disk that is waited for."""

import pytest

from factflow_engine.queues.sqlite import Durability, SqliteQueue
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_engine.testing.conformance.administration import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance.durable import DURABLE_QUEUE_CHECKS, what_other_consumers_have_is_told
from factflow_engine.testing.conformance.expectations import ConformanceError, check_name
from factflow_engine.testing.conformance.queues import QUEUE_CHECKS
from factflow_engine.testing.conformance.starts import START_CHECKS
from factflow_engine.testing.conformance.states import STATE_CHECKS
from factflow_engine.testing.conformance.transactions import TRANSACTION_CHECKS
from factflow_protocols import LeasedElsewhere
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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda told: LeasedElsewhere(told.messages + 1), "of an empty queue: expected 0, got 1"),
        (lambda told: LeasedElsewhere(0), "expected 3, got 0"),
        (lambda told: LeasedElsewhere(min(told.messages, 1)), "expected 3, got 1"),
        (lambda told: LeasedElsewhere(told.messages and 3), "expected 2, got 3"),
        (lambda told: LeasedElsewhere(told.messages, 3600.0), "expected next_seconds of 0 to 1, the lease, or None"),
        (lambda told: LeasedElsewhere(told.messages, 1.0), "expected next_seconds of almost 60, the delay, or None"),
    ],
)
async def test_wrong_answers_of_what_others_have_are_found(wrong, said, autojump_clock, tmp_path, monkeypatch):
    asked = SqliteSubscription.leased_elsewhere

    async def leased_elsewhere(self):
        return wrong(await asked(self))

    monkeypatch.setattr(SqliteSubscription, "leased_elsewhere", leased_elsewhere)
    with pytest.raises((ConformanceError, BaseExceptionGroup)) as caught:
        await what_other_consumers_have_is_told(opener(lambda: simulated(tmp_path / "q.db")))
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert said in str(error)
