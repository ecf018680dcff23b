"""Putting dead letters back: what goes where, and what stays where it is."""

import sqlite3
from contextlib import closing

import pytest

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import requeueing
from factflow_engine.queues.sqlite.administration import LETTERS
from factflow_protocols import QueueError, Requeued, RequeueStoppedError
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


async def test_many_letters_go_back_in_order_and_in_batches(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(DEAD, [letter(number, "/queue/in") for number in range(2 * LETTERS + 50)])
    told = []
    seqs = await dead_letters(queue)
    await queue.administration.requeue(DEAD, seqs, progress=lambda counts: told.append(counts.requeued))
    assert told == [LETTERS, 2 * LETTERS, 2 * LETTERS + 50]
    async with queue.subscribe("/queue/in", "s", 1000) as subscription:
        deliveries = await subscription.receive(1000)
        assert values(deliveries) == list(range(2 * LETTERS + 50))
        await subscription.settle(deliveries)
    await queue.stop()


async def test_a_batch_is_put_back_whole_or_not_at_all(autojump_clock, tmp_path, monkeypatch):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(DEAD, [letter(number, "/queue/in") for number in range(LETTERS + 5)])
    seqs, told = await dead_letters(queue), []
    take_out = requeueing._take_out

    def interrupted(store, seq):
        take_out(store, seq)
        if seq == seqs[LETTERS + 2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(requeueing, "_take_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await queue.administration.requeue(DEAD, seqs, progress=told.append)
    assert told == [Requeued(requeued=LETTERS)]
    assert await dead_letters(queue) == seqs[LETTERS:]
    monkeypatch.undo()
    assert await queue.administration.requeue(DEAD, seqs) == Requeued(requeued=5, gone=LETTERS)
    assert await queue.administration.check() == []
    await queue.stop()


async def test_putting_back_stops_at_a_full_queue_and_says_what_was_done(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe("/queue/in", "s", 1, 2):
        pass
    await queue.publish_batch(DEAD, [letter(number, "/queue/in") for number in range(5)])
    seqs = await dead_letters(queue)
    with pytest.raises(RequeueStoppedError, match=r"'/queue/in': is full") as raised:
        await queue.administration.requeue(DEAD, seqs)
    assert raised.value.counts == Requeued(requeued=2)
    assert await dead_letters(queue) == seqs[2:]
    await queue.stop()


async def test_a_letter_that_its_queue_has_had_needs_no_room(autojump_clock, tmp_path):
    queue, other = simulated(tmp_path / "q.db", dedup_seconds=600), simulated(tmp_path / "q.db", dedup_seconds=0)
    async with queue.subscribe("/queue/in", "s", 1, 1):
        pass
    for _ in range(2):
        await other.publish(DEAD, letter(1, "/queue/in"))
    counts = await queue.administration.requeue(DEAD, await dead_letters(queue))
    assert counts == Requeued(requeued=1, duplicates=1)
    await queue.stop()
    await other.stop()


async def test_a_letter_that_a_consumer_has_is_left_to_it(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(DEAD, [letter(number, "/queue/in") for number in range(3)])
    seqs = await dead_letters(queue)
    async with queue.subscribe(DEAD, "s", 1) as subscription:
        [delivery] = await subscription.receive(1)
        assert await queue.administration.requeue(DEAD, seqs) == Requeued(requeued=2, leased=1)
        await subscription.settle([delivery])
    assert await queue.administration.requeue(DEAD, seqs) == Requeued(gone=3)
    await queue.stop()


async def test_a_damaged_letter_is_named(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish(DEAD, letter(1, "/queue/in"))
    with closing(sqlite3.connect(tmp_path / "q.db")) as connection, connection:
        connection.execute("UPDATE message SET frame = x'00'")
    with pytest.raises(QueueError, match="message 00000000000000000000000000000001 cannot be read"):
        await queue.administration.requeue(DEAD, await dead_letters(queue))
    await queue.stop()


@pytest.mark.parametrize("to", ["/queue/im", "exec:nightlly:/queue/in"])
async def test_no_queue_is_made_of_a_mistyped_name(autojump_clock, tmp_path, to):
    queue = simulated(tmp_path / "q.db")
    for name in ("/queue/in", "exec:nightly:/queue/in", "/queue/parse"):
        async with queue.subscribe(name, "s", 1):
            pass
    await queue.publish(DEAD, letter(1, "/queue/gone"))
    seqs = await dead_letters(queue)
    with pytest.raises(QueueError, match=r"is not in the file; did you mean .*/queue/in"):
        await queue.administration.requeue(DEAD, seqs, to=to)
    assert await dead_letters(queue) == seqs
    assert (await queue.administration.requeue(DEAD, seqs, to=to, create=True)).requeued == 1
    await queue.stop()


async def test_a_queue_that_a_letter_came_from_is_made_again(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish(DEAD, letter(1, "/queue/forgotten"))
    assert (await queue.administration.requeue(DEAD, await dead_letters(queue))).requeued == 1
    await queue.stop()
