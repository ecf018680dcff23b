"""States of stages in a SQLite file, as far as the public suite cannot ask: leases lost by force, rows that are no stage's."""

import sqlite3
from contextlib import closing

import pytest
import trio

from factflow_engine.testing import Broker, SimulatedClock, SimulatedRandomness
from factflow_protocols import QueueError, StateChange
from support.sqlite_queues import message, simulated

EXECUTION = "exec:x:"
QUEUE = "exec:x:/queue/r"


def change(owner, state, covered=()):
    return StateChange(execution=EXECUTION, owner=owner, route="r", states={"s": state}, covered=covered)


@pytest.mark.parametrize("lost", ["acknowledged", "covered"])
async def test_nothing_is_stored_once_a_lease_was_lost(autojump_clock, tmp_path, lost):
    queue = simulated(tmp_path / "q.db", lease_seconds=1000)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    joined = await queue.states.join(EXECUTION, [("r", "s")])
    async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        [first] = await subscription.receive(1)
        [second] = await subscription.receive(1)
        with closing(sqlite3.connect(tmp_path / "q.db")) as connection, connection:
            assert connection.execute(
                "UPDATE hold SET token = 0, due = 0 WHERE low = (SELECT min(low) FROM hold)"
            ).rowcount
        acked, covered = ([first], [second]) if lost == "acknowledged" else ([second], [first])
        with pytest.raises(QueueError, match="are not this process's any more"):
            await subscription.settle(acked, change=change(joined.owner, b"bad", covered))
    await queue.states.leave(EXECUTION, joined.owner)
    again = await queue.states.join(EXECUTION, [("r", "s")])
    assert (again.unfinished, again.states) == (0, [])
    statistics = await queue.administration.statistics()
    assert [line.waiting for line in statistics.lines] == [2], "neither was acknowledged"
    await queue.stop()


async def test_the_row_of_a_process_that_opens_its_stages_is_not_counted_as_a_state(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    joined = await queue.states.join(EXECUTION, [("r", "s")], opens=True)
    statistics = await queue.administration.statistics()
    assert [(stage.route, stage.stage) for stage in statistics.stages] == [("r", "s")]
    assert statistics.states == 1
    assert await queue.administration.check() == []
    await queue.states.leave(EXECUTION, joined.owner)
    assert (await queue.administration.statistics()).states == 0
    await queue.stop()


async def hand_over_and_renew(queue, other):
    """Let one owner hand over to another while a renewal of it is still under way; give what the other concludes."""
    await queue.publish_batch(QUEUE, [message(1)])
    first = await queue.states.join(EXECUTION, [("r", "s")])
    async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        await subscription.settle(await subscription.receive(1), change=change(first.owner, b"kept"))
    second = await other.states.join(EXECUTION, [("r", "s")])
    seen = await queue.states.conclude(EXECUTION, first.owner, {})
    await trio.sleep(0.1)
    others = (await other.states.conclude(EXECUTION, second.owner, {})).others
    assert (await queue.states.conclude(EXECUTION, first.owner, seen.others)).handed_over
    await trio.sleep(0.1)
    await queue.states.renew(EXECUTION, first.owner)
    return await other.states.conclude(EXECUTION, second.owner, others)


@pytest.mark.parametrize("kind", ["sqlite", "broker"])
async def test_a_late_renewal_does_not_revive_who_has_handed_over(autojump_clock, tmp_path, kind):
    broker = Broker(randomness=SimulatedRandomness(0), clock=SimulatedClock())
    queue, other = [
        simulated(tmp_path / "q.db", lease_seconds=10) if kind == "sqlite" else broker.connect(number)
        for number in range(2)
    ]
    last = await hand_over_and_renew(queue, other)
    assert (last.handed_over, dict(last.others), [each.state for each in last.states]) == (False, {}, [b"kept"])
    await queue.stop()
    await other.stop()
