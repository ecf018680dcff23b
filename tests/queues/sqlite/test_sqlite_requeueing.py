"""Putting dead letters back: what goes where, and what stays where it is."""

import pytest

from factflow_engine.frames import Frame, pack
from factflow_protocols import QueueError
from support.sqlite_queues import simulated, values

DEAD = "/queue/dead"


def letter(number: int, queue: str) -> Frame:
    """A dead letter that came from a queue."""
    return Frame.create(
        pack(number), message_id=number.to_bytes(16), headers={"dead_letter": {"route": "r", "queue": queue}}
    )


async def dead_letters(queue) -> list[int]:
    """The sequence numbers of those there are."""
    return [stored.seq async for stored in queue.administration.browse(DEAD)]


@pytest.mark.parametrize("to", [None, "/topic/mistyped"])
async def test_a_letter_stays_if_nobody_subscribes_to_its_topic(autojump_clock, tmp_path, to):
    queue = simulated(tmp_path / "q.db")
    await queue.publish(DEAD, letter(1, "/topic/news"))
    seqs = await dead_letters(queue)
    with pytest.raises(QueueError, match=f"{to or '/topic/news'}.*nobody subscribes to it"):
        await queue.administration.requeue(DEAD, seqs, to=to)
    assert await dead_letters(queue) == seqs
    await queue.stop()


async def test_a_letter_that_goes_back_to_a_topic_reaches_every_subscription_once(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(DEAD, [letter(1, "/topic/news"), letter(2, "/topic/news")])
    async with queue.subscribe("/topic/news", "a", 5) as one, queue.subscribe("/topic/news", "b", 5) as other:
        counts = await queue.administration.requeue(DEAD, await dead_letters(queue))
        assert counts.requeued == 2
        assert await dead_letters(queue) == []
        for subscription in (one, other):
            deliveries = await subscription.receive(5)
            assert values(deliveries) == [1, 2]
            await subscription.settle(deliveries)
        await queue.publish("/queue/dead2", letter(1, "/topic/news"))
        [again] = [stored.seq async for stored in queue.administration.browse("/queue/dead2")]
        assert (await queue.administration.requeue("/queue/dead2", [again])).duplicates == 1
    await queue.stop()
