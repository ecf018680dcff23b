"""The checks of `TransactionalSubscription` against providers that break its contract, each in one way."""

import pytest

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_engine.testing import ConformanceError, check_name
from factflow_engine.testing.conformance.transactions import (
    TRANSACTION_CHECKS,
    a_waiting_consumer_gets_what_is_published,
    after_its_end_a_subscription_does_nothing,
    either_part_may_be_empty,
    messages_and_acknowledgements_change_places_at_once,
    without_room_for_all_nothing_is_done,
)
from support.sqlite_queues import opener, simulated

real = SqliteSubscription.publish_and_settle


async def acknowledges_nothing(self, publications, acks):
    return await real(self, publications, [])


async def publishes_nothing(self, publications, acks):
    return await real(self, [], acks)


async def acknowledges_without_room(self, publications, acks):
    if not await real(self, publications, acks):
        await self.settle(acks)
        return False
    return True


async def publishes_what_fits(self, publications, acks):
    for queue, messages in publications:
        await real(self, [(queue, messages)], [])
    return await real(self, publications, acks)


async def does_nothing_if_a_part_is_empty(self, publications, acks):
    return bool(publications and acks) and await real(self, publications, acks)


async def takes_its_end_for_done(self, publications, acks):
    return self._over is not None or await real(self, publications, acks)


async def reverses(self, publications, acks):
    return await real(self, [(queue, messages[::-1]) for queue, messages in publications], acks)


BROKEN = [
    (acknowledges_nothing, messages_and_acknowledgements_change_places_at_once),
    (reverses, messages_and_acknowledgements_change_places_at_once),
    (publishes_nothing, a_waiting_consumer_gets_what_is_published),
    (acknowledges_without_room, without_room_for_all_nothing_is_done),
    (publishes_what_fits, without_room_for_all_nothing_is_done),
    (does_nothing_if_a_part_is_empty, either_part_may_be_empty),
    (takes_its_end_for_done, after_its_end_a_subscription_does_nothing),
]


async def complaint(check, make):
    """Return the text of the check's error, also from within nurseries."""
    with pytest.raises((ConformanceError, BaseExceptionGroup)) as caught:
        await check(opener(make))
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert isinstance(error, ConformanceError)
    return str(error)


@pytest.mark.parametrize(("broken", "check"), BROKEN, ids=lambda each: each.__name__)
async def test_a_check_finds_what_it_is_for(broken, check, autojump_clock, tmp_path, monkeypatch):
    monkeypatch.setattr(SqliteSubscription, "publish_and_settle", broken)
    await complaint(check, lambda: simulated(tmp_path / "q.db"))


@pytest.mark.parametrize("check", TRANSACTION_CHECKS, ids=check_name)
async def test_a_subscription_without_the_method_is_told_so(check, autojump_clock):
    assert "MemorySubscription is no TransactionalSubscription" in await complaint(check, MemoryQueue)
