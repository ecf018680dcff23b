"""Looking through a queue: in pages that are bounded by messages and by bytes."""

import tracemalloc

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import browsing
from factflow_engine.queues.sqlite.administration import PAGE
from support.internals import store_of
from support.sqlite_queues import message, simulated

QUEUE = "/queue/q"


async def test_pages_end_neither_early_nor_late(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    for count in (0, PAGE, PAGE + 1):
        await queue.publish_batch(QUEUE, [message(number) for number in range(count)])
        if count:
            found = [stored.message_id async for stored in queue.administration.browse(QUEUE)]
            assert found == [number.to_bytes(16) for number in range(count)]
    await queue.stop()


async def test_large_messages_are_read_a_few_at_a_time(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    size = 5 << 20
    for number in range(14):
        large = Frame.create(b"\xc6" + size.to_bytes(4) + bytes(size), message_id=number.to_bytes(16))
        await queue.publish(QUEUE, large)
    tracemalloc.start()
    try:
        seen = 0
        async for stored in queue.administration.browse(QUEUE):
            assert stored.message_id == seen.to_bytes(16)
            assert len(stored.frame) > size
            seen += 1
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert seen == 14
    await queue.stop()


async def test_the_beginnings_of_large_messages_are_read_without_the_rest(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    size = 5 << 20
    for number in range(8):
        large = Frame.create(b"\xc6" + size.to_bytes(4) + bytes(size), message_id=number.to_bytes(16))
        await queue.publish_batch(QUEUE, [large, message(100 + number)])
    tracemalloc.start()
    try:
        browsed = queue.administration.browse(QUEUE, newest_first=True, most_bytes=1000)
        newest = [stored async for stored in browsed]
        one = await queue.administration.one(QUEUE, newest[1].seq, most_bytes=10)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert [stored.message_id[-1] for stored in newest[:4]] == [107, 7, 106, 6]
    assert {len(stored.frame) for stored in newest[1::2]} == {1000}
    assert Frame.decode(newest[0].frame).value() == 107
    assert one is not None
    assert newest[1].frame.startswith(one.frame)
    await queue.stop()


async def test_no_order_of_browsing_sorts(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish(QUEUE, message(1))
    connection = store_of(queue).connection
    asked = {"queue": QUEUE, "first": 0, "last": 1 << 60, "most": 10}
    for order in browsing._ORDER.values():
        plan = connection.execute(f"EXPLAIN QUERY PLAN {browsing._SELECT} {order}", asked).fetchall()
        assert not [row for row in plan if "TEMP B-TREE" in row[-1]], plan
    await queue.stop()


async def test_a_message_is_found_by_the_beginning_of_its_id_without_reading_what_it_holds(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(QUEUE, [message(1), message(2), Frame.create(pack(3), message_id=b"\xff" * 16)])
    async with queue.subscribe("/topic/t", "a", 5), queue.subscribe("/topic/t", "b", 5):
        await queue.publish("/topic/t", message(7))
    administration = queue.administration
    found = await administration.find(QUEUE, bytes(8))
    assert [named.message_id for named in found] == [(1).to_bytes(16), (2).to_bytes(16)]
    stored = await administration.one(QUEUE, found[1].seq)
    assert Frame.decode(stored.frame).value() == 2
    assert len(await administration.find("/topic/t", (7).to_bytes(16))) == 2
    assert await administration.one(QUEUE, found[1].seq + 100) is None
    await queue.stop()
