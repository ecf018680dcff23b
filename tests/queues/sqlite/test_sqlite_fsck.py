"""Damage to a queue's file: that it is found, and that mending it throws away nothing that can be read."""

import sqlite3
import tracemalloc
from contextlib import closing

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.queues.sqlite import QueueFileError
from factflow_engine.queues.sqlite.holds import Cover, Hold, disjoint, minus
from factflow_engine.queues.sqlite.housekeeping import Housekeeping
from factflow_engine.queues.sqlite.purging import clear_cursor
from factflow_engine.queues.sqlite.reading import open_to_look
from factflow_engine.queues.sqlite.statements import runs_of
from factflow_engine.queues.sqlite.store import Call
from factflow_protocols import Nack
from support.internals import writer_of
from support.sqlite_queues import message, simulated, values

QUEUE = "/queue/q"


async def make(path, *, messages=10, settled=1, delayed=2, **options):
    """A queue whose first messages were settled, whose next were given back for some seconds, and whose rest waits."""
    queue = simulated(path, **options)
    await queue.publish_batch(QUEUE, [message(number) for number in range(messages)])
    async with queue.subscribe(QUEUE, "s", 1000) as subscription:
        if settled + delayed:
            deliveries = await subscription.receive(settled + delayed)
            nacks = [Nack(each, delay_seconds=5) for each in deliveries[settled:]]
            await subscription.settle(deliveries[:settled], nacks)
    await queue.stop()


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def ask(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


async def texts(path, **options):
    """What check says."""
    queue = simulated(path, **options)
    found = [problem.text for problem in await queue.administration.check()]
    await queue.stop()
    return found


async def mend(path, **options):
    """What repair says; nothing that it could mend is left afterwards."""
    queue = simulated(path, **options)
    mended = [problem.text for problem in await queue.administration.repair()]
    assert [problem for problem in await queue.administration.check() if problem.mendable] == []
    await queue.stop()
    return mended


async def drain(path, name=QUEUE, **options):
    """Everything that is handed out, in order."""
    queue, drained = simulated(path, **options), []
    async with queue.subscribe(name, "s", 1000) as subscription:
        while deliveries := await subscription.receive(1000):
            drained += values(deliveries)
            await subscription.settle(deliveries)
            if await subscription.depth() == 0:
                break
    await queue.stop()
    return drained


RANGES = st.sets(st.integers(1, 40)).map(lambda numbers: runs_of(sorted(numbers)))


@given(RANGES, RANGES)
def test_taking_ranges_from_holds_leaves_the_rest(held, taken):
    left = minus([Hold(low, high, 1, 5, 7, low) for low, high in held], taken)
    assert numbers((hold.low, hold.high) for hold in left) == sorted({*numbers(held)} - {*numbers(taken)})
    assert all(any(low <= hold.low <= high and hold.attempts == low for low, high in held) for hold in left)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_ranges_that_overlap_become_some_that_do_not_and_cover_the_same(ranges):
    holds = [Hold(low, high, 1, 5, 7, 0) for low, high in sorted(ranges)]
    right, wrong = disjoint(holds, 5, 35)
    covered = numbers((hold.low, hold.high) for hold in right)
    assert covered == sorted({*numbers(ranges)} & {*range(5, 36)})
    assert all(hold.size > 0 for hold in right)
    assert [hold for hold in holds if hold not in right] == [hold for hold in wrong if hold not in right]
    assert len(right) + len(wrong) >= len(holds)


@given(RANGES, st.sets(st.integers(1, 40)))
def test_a_cover_knows_what_it_covers_and_what_was_passed_over(ranges, asked):
    cover = Cover(ranges)
    assert [number for number in sorted(asked) if cover.takes(number)] == sorted({*numbers(ranges)} & asked)
    assert numbers(cover.finish()) == sorted({*numbers(ranges)} - asked)


def numbers(ranges):
    return [number for low, high in ranges for number in range(low, high + 1)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE line SET cursor = cursor + 1048576",
        "UPDATE line SET cursor = cursor + 3",
        "UPDATE line SET cursor = -5",
        "DELETE FROM hold",
        "UPDATE hold SET high = low",
        "UPDATE line SET tail = 3",
        "UPDATE line SET tail = 5, cursor = 5",
        "UPDATE line SET tail = -1",
    ],
)
async def test_no_message_is_lost_by_mending_a_wrong_number(autojump_clock, tmp_path, damage):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, damage)
    assert await texts(path)
    assert await mend(path)
    assert sorted(await drain(path)) == list(range(1, 10))


async def test_what_nothing_refers_to_and_cannot_be_read_is_quarantined(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "DELETE FROM hold", "UPDATE message SET frame = x'00' WHERE seq & 1023 = 2")
    assert await mend(path)
    assert await drain(path) == [2, *range(3, 10)]
    assert ask(path, "SELECT seq & 1023, frame FROM quarantine") == [(2, b"\0")]


async def test_mending_keeps_what_was_quarantined_before(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, settled=0, delayed=0)
    execute(path, "UPDATE message SET frame = x'00' WHERE seq & 1023 = 1")
    assert await mend(path)
    execute(path, "UPDATE line SET cursor = 0")
    assert await mend(path)
    assert ask(path, "SELECT seq & 1023, frame FROM quarantine") == [(1, b"\0")]
    assert await drain(path) == list(range(1, 10))


async def test_messages_of_a_lost_queue_wait_in_one_of_another_name(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, retention_seconds=1000, dedup_seconds=1000)
    execute(path, "DELETE FROM line")
    queue = simulated(path, retention_seconds=1000, dedup_seconds=1000)
    assert (await queue.publish(QUEUE, message(1))).name == "ACCEPTED", "it is another queue now"
    await queue.stop()
    found = await texts(path)
    assert found[0] == "10 messages belong to no queue (number 1); repair makes /queue/recovered-1 for them"
    assert await mend(path) == found
    assert await texts(path) == []
    assert await drain(path) == [1]
    assert sorted(await drain(path, "/queue/recovered-1")) == list(range(1, 10)), "the settled one is not among them"
    queue = simulated(path)
    [kept] = [line.settled for line in (await queue.administration.statistics()).lines if "recovered" in line.queue]
    assert kept == 1
    await queue.stop()


async def test_messages_of_a_lost_table_of_queues_wait_each_in_their_own(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    queue = simulated(path)
    await queue.publish("/queue/other", message(99))
    await queue.publish("/queue/recovered-2", message(100))
    await queue.stop()
    execute(path, "DELETE FROM line WHERE id < 3")
    assert any("makes /queue/recovered-2-again for them" in text for text in await mend(path))
    assert await texts(path) == []
    assert await drain(path, "/queue/recovered-2-again") == [99]


async def test_ids_of_no_queue_are_forgotten(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, messages=1, settled=1, delayed=0, dedup_seconds=1000)
    execute(path, "DELETE FROM line")
    [found] = await texts(path)
    assert found == "1 remembered ids belong to no queue (number 1)"
    assert await mend(path) == [found]
    assert ask(path, "SELECT count(*) FROM seen") == [(0,)]


async def test_what_is_in_quarantine_is_not_replaced_by_a_message_of_the_same_number(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, messages=3, settled=0, delayed=0)
    frame = "INSERT INTO quarantine SELECT seq, 0, message_id, 0, 'kept', frame FROM message WHERE seq & 1023"
    execute(path, f"{frame} < 3", "UPDATE message SET frame = x'00' WHERE seq & 1023 = 1")
    execute(path, "DELETE FROM message WHERE seq & 1023 = 2")
    assert await drain(path) == [2]
    rows = ask(path, "SELECT seq, error = 'kept', length(frame) > 1 FROM quarantine ORDER BY seq")
    assert rows == [(-1, 0, 0), ((1 << 44) + 1, 1, 1), ((1 << 44) + 2, 1, 1)]
    assert all("quarantine" in text for text in await texts(path))


async def test_a_new_queue_has_no_number_of_what_is_in_quarantine(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, messages=3, settled=0, delayed=0)
    execute(path, "INSERT INTO quarantine SELECT (4 << 44) + 1, 0, message_id, 0, 'kept', frame FROM message LIMIT 1")
    queue = simulated(path)
    await queue.publish("/queue/new", message(1))
    await queue.stop()
    assert ask(path, "SELECT id FROM line WHERE queue = '/queue/new'") == [(5,)]


async def test_a_message_of_number_0_goes_to_quarantine(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "INSERT INTO message SELECT 1 << 44, message_id, frame FROM message LIMIT 1")
    assert await mend(path)
    assert ask(path, "SELECT seq, frame NOT NULL FROM quarantine") == [(1 << 44, 1)]
    assert sorted(await drain(path)) == list(range(1, 10))


@pytest.mark.parametrize("excess", [1 << 24, 1 << 43, 1 << 60])
async def test_a_tail_that_is_far_too_large_costs_no_more_than_the_rows_there_are(autojump_clock, tmp_path, excess):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, f"UPDATE line SET tail = tail + {excess}")
    tracemalloc.start()
    try:
        assert await texts(path)
        assert await mend(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert sorted(await drain(path)) == list(range(1, 10))
    assert ask(path, "SELECT count(*) <= 1 FROM quarantine") == [(1,)]


async def test_missing_rows_are_counted_and_passed_over(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "DELETE FROM message WHERE seq & 1023 IN (3, 6, 7)")
    assert await texts(path) == ["3 messages are missing, the first is number 3"]
    assert await mend(path)
    assert await drain(path) == [3, 4, *range(7, 10), 1]
    [one, two] = await texts(path)
    assert "its row is missing" in one
    assert "the rows of 2 messages are missing, from this one on" in two


async def test_what_a_purge_left_undone_when_it_was_killed_is_no_damage(autojump_clock, tmp_path, monkeypatch):
    path = tmp_path / "q.db"
    await make(path, messages=20_000)
    queue = simulated(path)
    with monkeypatch.context() as patch:  # else the step itself goes on with it
        patch.setattr(Housekeeping, "step", lambda *_: None)
        await writer_of(queue).submit(Call(lambda store: clear_cursor(store, QUEUE, None)))
    await queue.stop()
    assert len(ask(path, "SELECT seq FROM message")) > 0
    assert await texts(path) == []
    assert await mend(path) == []
    queue = simulated(path)
    assert [line.settled for line in (await queue.administration.statistics()).lines] == [0], "nobody keeps them"
    for number in range(12):  # whoever writes next goes on with it
        await queue.publish(QUEUE, message(number))
    await queue.stop()
    assert len(ask(path, "SELECT seq FROM message")) == 12
    assert await drain(path) == list(range(12))


def damage(path, page):
    """Overwrite a page of the file."""
    content = bytearray(path.read_bytes())
    content[page * 8192 : (page + 1) * 8192] = bytes([0xA5]) * 8192
    path.write_bytes(content)


async def test_damaged_pages_are_reported_with_what_can_be_done(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, messages=500)
    pages = path.stat().st_size // 8192
    whole = path.read_bytes()
    found = 0
    for page in range(1, pages):
        path.write_bytes(whole)
        damage(path, page)
        said = await texts(path)
        found += bool(said)
        assert not said or (".recover" in said[-1] and "keep FILE" in said[-1])
        assert len(await mend(path)) == 0, "what the pages say is not to be trusted"
    assert found == pages - 1


async def test_tables_that_are_no_text_any_more_are_damage(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"CREATE TABLE message") + len("CREATE ")
    content[place : place + 2] = b"\xff\xff"
    path.write_bytes(content)
    queue = simulated(path)
    with pytest.raises(QueueFileError, match=r"is damaged.*\.recover"):
        await queue.administration.check()
    await queue.stop()
    with pytest.raises(QueueFileError, match=r"is damaged.*\.recover"):
        open_to_look(queue.settings)


async def test_a_truncated_file_says_how_to_save_what_is_left(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path, messages=500)
    path.write_bytes(path.read_bytes()[:-20_000])
    queue = simulated(path)
    with pytest.raises(QueueFileError, match=r"is damaged.*\.recover"):
        await queue.administration.check()
    await queue.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE message SET message_id = x'00' WHERE seq & 1023 = 5",
            "1 messages have another id than their frames, the first is number 5",
        ),
        ("UPDATE hold SET due = 7258118400000000000", "2 messages are not due for more than ten years"),
        ("UPDATE line SET quarantined = 5", "it counts 5 messages in quarantine, there are 0"),
        ("UPDATE hold SET token = (SELECT token + 1 FROM line)", "its newest lease is number"),
        ("UPDATE hold SET token = 9223372036854775807", "2 messages have a lease of a number that there cannot be"),
        ("UPDATE hold SET token = -1", "2 messages have a lease of a number that there cannot be"),
        (
            "INSERT INTO hold SELECT (id << 44) + 1, (id << 44) - 5, id, 0, 0, 0 FROM line",
            "the range 1--5 of messages handed out or given back is empty",
        ),
        ("UPDATE hold SET line = 7", "2 messages handed out or given back are noted for another queue"),
        ("DROP INDEX hold_by_due", "the index hold_by_due is missing"),
        ("DROP TABLE seen", "the table seen is missing"),
        (
            "INSERT INTO hold VALUES (9 << 44, (9 << 44) + 4, 9, 0, 0, 0)",
            "5 messages handed out or given back belong to no queue",
        ),
        (
            "INSERT INTO hold VALUES (9 << 44, (9 << 44) + 4, 1, 0, 0, 0)",
            "5 messages handed out or given back belong to no queue",
        ),
        ("INSERT INTO settled VALUES (9 << 44, (9 << 44) + 4, 1)", "5 settled messages belong to no queue"),
    ],
)
async def test_what_contradicts_itself_is_found_and_mended(autojump_clock, tmp_path, change, said):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, change)
    [found] = await texts(path)
    assert said in found
    assert await mend(path) == [found]
    assert await texts(path) == []
    assert sorted(await drain(path)) == list(range(1, 10))


NUMBERS = [
    *(f"line.{name}" for name in ("tail", "cursor", "held", "token", "quarantined", "capacity")),
    *(f"hold.{name}" for name in ("high", "line", "due", "token", "attempts")),
    *("settled.high", "settled.until", "seen.until"),
]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, value) for column in NUMBERS for value in ("'x'", "1.5", "x'00'")),
        *((column, -1) for column in ("line.capacity", "hold.attempts", "settled.until", "seen.until")),
        *(("line.capacity", 0), ("hold.attempts", (1 << 63) - 1)),
    ],
)
async def test_values_that_there_cannot_be_are_found_and_mended(autojump_clock, tmp_path, column, value):
    path = tmp_path / "q.db"
    await make(path, retention_seconds=1000, dedup_seconds=1000)
    table, name = column.split(".")
    execute(path, f"UPDATE {table} SET {name} = {value}")
    found = await texts(path)
    assert any(
        f"the table {table} has " in text and f" values of {name} that there cannot be" in text for text in found
    )
    assert {*found} <= {*await mend(path)}
    assert await texts(path) == []
    assert sorted(await drain(path)) == list(range(1, 10))


@pytest.mark.parametrize("low", [2, 3, 5])
async def test_messages_noted_as_settled_that_are_not_outlive_the_retention(autojump_clock, tmp_path, low):
    path = tmp_path / "q.db"
    await make(path, messages=10, settled=1, delayed=2, retention_seconds=60)
    execute(path, f"INSERT INTO settled SELECT (id << 44) + {low}, (id << 44) + 9, 1 FROM line")
    [found] = await texts(path, retention_seconds=60)
    assert f"are noted as settled and are not, the first is number {low}" in found
    assert await mend(path, retention_seconds=60) == [found]
    queue = simulated(path, retention_seconds=60)
    await trio.sleep(100)
    await queue.publish(QUEUE, message(10))
    await queue.stop()
    assert sorted(await drain(path)) == list(range(1, 11))


@pytest.mark.parametrize("ranges", [[(3, 5)], [(2, 14), (3, 5), (4, 9)], [(8, 7)], [(0, 3)], [(13, 99)]])
async def test_ranges_of_settled_messages_that_overlap_are_found_and_mended(autojump_clock, tmp_path, ranges):
    path = tmp_path / "q.db"
    await make(path, messages=30, settled=12, delayed=0, retention_seconds=60)
    for low, high in ranges:
        execute(path, f"INSERT INTO settled SELECT (id << 44) + {low}, (id << 44) + {high}, 9999999999 FROM line")
    found = await texts(path, retention_seconds=60)
    assert found
    assert await mend(path, retention_seconds=60) == found
    assert ask(path, "SELECT sum(high - low + 1) FROM settled") == [(12,)]
    assert sorted(await drain(path)) == list(range(12, 30))


async def test_a_lease_goes_on_when_the_count_of_leases_is_mended(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    queue = simulated(path)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 5) as subscription:
        deliveries = await subscription.receive(1)
        execute(path, "UPDATE line SET token = 5")
        assert await queue.administration.repair()
        await subscription.settle(deliveries)
        assert await subscription.depth() == 1
        [other] = await subscription.receive(1)
        assert other.token > deliveries[0].token
    await queue.stop()


async def test_a_trigger_is_named_and_left_to_whoever_made_it(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "CREATE TRIGGER eats AFTER INSERT ON message BEGIN DELETE FROM message WHERE seq = new.seq; END")
    [found] = await texts(path)
    assert "the trigger eats" in found
    assert await mend(path) == []
    assert await texts(path) == [found]


async def test_a_table_of_another_shape_is_named_and_nothing_is_mended(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "DROP TABLE quarantine", "CREATE TABLE quarantine(seq)", "UPDATE line SET held = 7")
    [found] = await texts(path)
    assert "the table quarantine is not as this engine makes it" in found
    assert await mend(path) == []


async def test_other_tables_and_statistics_of_sqlite_are_no_problem(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    await make(path)
    execute(path, "CREATE TABLE lost_and_found(x)", "CREATE INDEX mine ON message(message_id)", "ANALYZE")
    assert await texts(path) == []
