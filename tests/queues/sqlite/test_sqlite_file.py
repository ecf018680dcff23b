"""The file: what URLs may name, damage, duplicates' window, retention, errors of one caller among many."""

import os
import sqlite3
import sys
from contextlib import AsyncExitStack, ExitStack, closing, suppress
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import Frame
from factflow_engine.queues.sqlite import (
    Durability,
    QueueFileError,
    SqliteQueue,
    SqliteSettings,
    schema,
)
from factflow_engine.queues.sqlite.holds import Hold, Return, join, settle, without
from factflow_engine.queues.sqlite.schema import VERSION, open_file
from factflow_engine.queues.sqlite.statements import runs_of
from factflow_engine.queues.sqlite.store import Call, Look, Store
from factflow_engine.seams import SystemClock
from factflow_protocols import MessageStatus, QueueError, QueueUrlError, StageShape
from support.sqlite_queues import message, settings, simulated, values

QUEUE = "/queue/q"


def test_a_url_names_a_relative_or_an_absolute_file():
    assert SqliteSettings.from_url("sqlite:///q.db").path == Path("q.db")
    assert SqliteSettings.from_url("sqlite:///q.db", directory=Path("/srv")).path == Path("/srv/q.db")
    assert SqliteSettings.from_url("sqlite:////var/a%20b%3F.db").path == Path("/var/a b?.db")
    options = SqliteSettings.from_url(
        "sqlite:///q.db?durability=process&lease=5&dedup=0&retention=60&capacity=7&busy=1"
    )
    assert options == SqliteSettings(
        path=Path("q.db"), durability=Durability.PROCESS, lease_seconds=5, dedup_seconds=0, retention_seconds=60,
        capacity=7, busy_seconds=1,
    )  # fmt: skip


@given(
    name=st.text(max_size=20).filter(lambda text: text.isprintable() and "/" not in text),
    durability=st.sampled_from(Durability),
    lease=st.floats(0.1, 1e6),
    capacity=st.integers(1, 1 << 40),
)
def test_settings_tell_their_url(name, durability, lease, capacity):
    path = Path("/srv/queues") / f"{name}.db"
    given_settings = SqliteSettings(path=path, durability=durability, lease_seconds=lease, capacity=capacity)
    assert SqliteSettings.from_url(given_settings.url) == given_settings


async def test_a_locked_file_cannot_say_what_can_be_resumed(tmp_path):
    path = tmp_path / "q.db"
    queue = SqliteQueue(settings(path))
    await queue.publish(QUEUE, message(1))
    await queue.stop()
    asked = SqliteQueue(SqliteSettings(path=path, busy_seconds=0))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(QueueFileError, match="another process has kept it locked for 0 s"):
            await asked.can_resume("exec:x:", asked_ns=0)
    assert not await asked.can_resume("exec:x:", asked_ns=0)


def test_the_url_of_a_relative_path_is_absolute():
    assert SqliteSettings.from_url("sqlite:///q.db").url == f"sqlite:///{Path.cwd()}/q.db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://q.db", "write sqlite:///"),
        ("memory://", "write sqlite:///"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///a%00b", "bytes that no file name"),
        ("sqlite:///a%ff", "bytes that no file name"),
        ("sqlite:///a#b", "write %23"),
        ("sqlite:///a?durability=full", "expected power or process"),
        ("sqlite:///a?lease=nan", "at least 0.1"),
        ("sqlite:///a?capacity=0", "1 or more"),
        ("sqlite:///a?busy=86401", "at most a day"),
        ("sqlite:///a?lease=1&lease=2", "twice"),
    ],
)
def test_a_wrong_url_says_what_to_write(url, said):
    with pytest.raises(QueueUrlError, match=said):
        SqliteSettings.from_url(url)


@given(st.text(max_size=60), st.text(max_size=30))
def test_any_url_is_read_or_refused(path, query):
    try:
        SqliteSettings.from_url(f"sqlite:///{path}?{query}")
    except QueueUrlError:
        return


@pytest.mark.parametrize("make", ["folder", "missing", "fifo", "readonly"])
async def test_what_is_no_file_is_refused_by_name(make, tmp_path):
    path = tmp_path / "q.db"
    if make == "folder":
        path.mkdir()
    elif make == "missing":
        path = tmp_path / "none" / "q.db"
    elif make == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"something else" * 100)
    queue = SqliteQueue(settings(path))
    with pytest.raises(QueueFileError) as raised:
        await queue.publish(QUEUE, message(1))
    assert str(path) in str(raised.value)
    assert not (tmp_path / "none").exists()
    await queue.stop()


@pytest.mark.parametrize("size", [1, 99])
async def test_what_is_too_short_for_an_sqlite_file_is_not_overwritten(tmp_path, size):
    path = tmp_path / "q.db"
    path.write_bytes(b"x" * size)
    queue = SqliteQueue(settings(path))
    with pytest.raises(QueueFileError, match="no queue's file"):
        await queue.publish(QUEUE, message(1))
    assert path.read_bytes() == b"x" * size
    path.write_bytes(b"")  # as `mktemp` makes it
    assert await queue.publish(QUEUE, message(1)) is MessageStatus.ACCEPTED
    await queue.stop()


async def test_a_file_of_a_later_version_is_refused(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    await queue.publish(QUEUE, message(1))
    await queue.stop()
    with closing(sqlite3.connect(tmp_path / "q.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    with pytest.raises(QueueFileError, match="version 99"):
        await queue.publish(QUEUE, message(1))
    await queue.stop()


async def test_a_file_of_an_older_version_gets_the_column_that_it_lacks(tmp_path):
    path = tmp_path / "q.db"
    queue = SqliteQueue(settings(path))
    await queue.publish(QUEUE, message(1))
    joined = await queue.states.join("exec:x:", [("r", "s")])
    await queue.states.begin("exec:x:", joined.owner)
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE stage_state DROP COLUMN shape")
        connection.execute("PRAGMA user_version = 4")
    queue = SqliteQueue(settings(path))
    shapes = {("r", "s"): StageShape(adapter="a", config="1")}
    joined = await queue.states.join("exec:x:", [("r", "s")], shapes=shapes)
    assert (joined.unfinished, list(joined.clashes)) == (1, [])
    assert await queue.administration.check() == []
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT shape FROM stage_state").fetchall()


@pytest.mark.parametrize(
    ("version", "lacks"), [(2, ("stage_state", "stage_answer", "run")), (3, ("run",)), (3, ("stage_answer",))]
)
async def test_a_file_of_an_older_version_gets_the_tables_that_it_lacks(tmp_path, version, lacks):
    path = tmp_path / "q.db"
    queue = SqliteQueue(settings(path))
    await queue.publish(QUEUE, message(1))
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        for table in lacks:
            connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version = {version}")
    queue = SqliteQueue(settings(path))
    assert await queue.publish(QUEUE, message(1)) is MessageStatus.DUPLICATE, "what it held is there"
    joined = await queue.states.join("exec:x:", [("r", "s")])
    await queue.states.leave("exec:x:", joined.owner)
    begun = await queue.begin("exec:x:", [("exec:x:/queue/r", "r")], [], asked_ns=queue.instant_ns())
    assert begun.published
    assert await queue.administration.check() == []
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_file_that_lacks_a_table_of_every_version_is_not_given_an_empty_one(tmp_path):
    path = tmp_path / "q.db"
    queue = SqliteQueue(settings(path))
    await queue.publish(QUEUE, message(1))
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE message")
        connection.execute("PRAGMA user_version = 2")
    queue = SqliteQueue(settings(path))
    with pytest.raises(QueueFileError, match="message"):
        await queue.publish(QUEUE, message(2))
    await queue.stop()


async def test_a_file_that_another_process_is_just_making_is_not_taken_for_a_strangers(monkeypatch, tmp_path):
    path = tmp_path / "q.db"

    class Raced(schema.Connection):
        def execute(self, sql, *parameters):
            if sql.startswith("SELECT count(*)") and not races:
                races.append(sql)
                with suppress(sqlite3.OperationalError), closing(open_file(settings(path, busy_seconds=0))):
                    pass
            return super().execute(sql, *parameters)

    races = []
    monkeypatch.setattr(schema, "Connection", Raced)
    with closing(open_file(settings(path))):
        assert races


def test_processes_that_open_a_new_file_together_all_can(tmp_path):
    program = (
        "import sys, pathlib; from factflow_engine.queues.sqlite import SqliteSettings\n"
        "from factflow_engine.queues.sqlite.schema import open_file\n"
        "print('ready', flush=True); sys.stdin.read(1)\n"
        "for number in range(30): open_file(SqliteSettings(path=pathlib.Path(sys.argv[1], f'{number}.db'))).close()"
    )
    with ExitStack() as stack:
        command = [sys.executable, "-c", program, tmp_path]
        openers = [stack.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE)) for _ in range(4)]
        assert [opener.stdout.readline() for opener in openers] == [b"ready\n"] * 4
        for opener in openers:
            opener.stdin.close()
        said = [opener.stderr.read() for opener in openers]
    assert said == [b""] * 4


async def test_damaged_rows_are_put_aside_loudly_and_hold_nobody_up(autojump_clock, tmp_path, caplog):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
    with closing(sqlite3.connect(tmp_path / "q.db")) as connection, connection:
        connection.execute("UPDATE message SET frame = substr(frame, 1, length(frame) - 1) WHERE seq & 1023 = 2")
        connection.execute("DELETE FROM message WHERE seq & 1023 = 4")
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        deliveries = await subscription.receive(10)
        assert values(deliveries) == [0, 2, 4, 5]
        await subscription.settle(deliveries)
    assert "2 messages are damaged and were put aside" in caplog.text
    problems = [problem.text for problem in await queue.administration.check()]
    assert len(problems) == 2
    assert all("in quarantine" in problem for problem in problems)
    [line] = (await queue.administration.statistics()).lines
    assert (line.quarantined, line.waiting, line.leased) == (2, 0, 0)
    await queue.stop()


async def test_an_id_is_remembered_for_its_window_and_then_forgotten(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", dedup_seconds=100)
    assert await queue.publish(QUEUE, message(1)) is MessageStatus.ACCEPTED
    await trio.sleep(95)
    assert await queue.publish(QUEUE, message(1)) is MessageStatus.DUPLICATE
    await trio.sleep(10)
    assert await queue.publish(QUEUE, message(1)) is MessageStatus.ACCEPTED
    await queue.publish_batch(QUEUE, [message(number) for number in range(2, 5000)])
    await trio.sleep(200)
    for number in range(5000, 5010):
        await queue.publish(QUEUE, message(number))
    assert (await queue.administration.statistics()).remembered_ids == 10, "the sweep goes round"
    await queue.stop()


async def test_settled_messages_are_kept_for_the_retention(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", retention_seconds=60)
    await queue.publish_batch(QUEUE, [message(number) for number in range(10)])
    async with queue.subscribe(QUEUE, "s", 20) as subscription:
        deliveries = await subscription.receive(10)
        await subscription.settle(deliveries[2:7])

        async def settled():
            [line] = (await queue.administration.statistics()).lines
            return line.settled

        assert await settled() == 5
        assert await queue.administration.check() == []
        await trio.sleep(70)
        await subscription.settle(deliveries[:1])
        assert await settled() == 1
        assert await queue.administration.check() == []
    await queue.stop()


class Nonsense:
    """A message of somebody else's that encodes to no frame."""

    message_id = b"x" * 16

    def encode(self):
        return b"nonsense"


async def test_what_is_no_frame_is_refused_alone(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    result = await queue.publish_batch(QUEUE, [message(1), Nonsense(), message(2)])
    assert list(result.statuses) == [MessageStatus.ACCEPTED, MessageStatus.REFUSED, MessageStatus.ACCEPTED]
    assert "does not encode to a frame" in str(result.errors[1])
    with pytest.raises(QueueError, match="does not encode"):
        await queue.publish(QUEUE, Nonsense())
    await queue.stop()


async def test_a_lock_that_is_never_given_up_is_named(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db", busy_seconds=0.05))
    await queue.publish(QUEUE, message(1))
    with closing(sqlite3.connect(tmp_path / "q.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(QueueFileError, match="another process has kept it locked"):
            await queue.publish(QUEUE, message(2))
        connection.execute("ROLLBACK")
    assert await queue.publish(QUEUE, message(2)) is MessageStatus.ACCEPTED
    await queue.stop()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_accepted_once_the_file_was_removed(tmp_path, replaced):
    path = tmp_path / "q.db"
    queue, other = (SqliteQueue(settings(path)) for _ in range(2))
    await queue.publish(QUEUE, message(1))
    async with AsyncExitStack() as stack:
        subscription = await stack.enter_async_context(queue.subscribe(QUEUE, "s", 5))
        [delivery] = await subscription.receive(1)
        for file in tmp_path.iterdir():
            file.unlink()
        if replaced:
            await other.publish(QUEUE, message(1))
        with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
            await queue.publish(QUEUE, message(2))
        with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
            await subscription.settle([delivery])
        with trio.fail_after(10), pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
            await subscription.receive(1)  # also one that finds nothing and waits
        with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
            await stack.aclose()  # what it holds cannot be given back
    await queue.stop()
    await other.stop()


async def test_large_messages_are_handed_out_a_few_at_a_time(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db", lease_seconds=60))  # whatever 28 MB take here
    large = [
        Frame.create(b"\xc6" + (7 << 20).to_bytes(4) + bytes(7 << 20), message_id=number.to_bytes(16))
        for number in range(4)
    ]
    await queue.publish_batch(QUEUE, large)
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        parts = [await subscription.receive(10), await subscription.receive(10)]
        assert [len(part) for part in parts] == [2, 2]
        assert [delivery.message.message_id for part in parts for delivery in part] == [
            each.message_id for each in large
        ]
    await queue.stop()


async def test_discarding_forgets_queues_by_prefix(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish("exec:12:/queue/a", message(1))
    await queue.publish("exec:1:/queue/a", message(1))
    async with queue.subscribe("exec:1:/queue/a", "s", 5) as subscription:
        await queue.discard("exec:1:")
        await queue.publish("exec:2:/queue/a", message(1))  # may get the number of what was forgotten
        with pytest.raises(QueueError, match="was forgotten"):
            await subscription.receive(1)
    assert [line.queue for line in (await queue.administration.statistics()).lines] == [
        "exec:12:/queue/a",
        "exec:2:/queue/a",
    ]
    assert await queue.publish("exec:1:/queue/a", message(1)) is MessageStatus.ACCEPTED
    await queue.stop()


async def test_a_queue_that_gets_the_number_of_a_forgotten_one_has_its_own_capacity(tmp_path):
    queue = simulated(tmp_path / "q.db")
    for name, capacity in [("/queue/a", 7), ("/queue/b", 3), ("/queue/b", 5)]:
        async with queue.subscribe(name, "s", 1, capacity):
            [line] = (await queue.administration.statistics()).lines
            assert (line.queue, line.capacity) == (name, capacity)
        await queue.forget_empty("/queue/")
    await queue.stop()


async def test_forgetting_what_was_read_spares_a_queue_that_has_its_number_now(tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe("/queue/a", "s", 1):
        await queue.forget_empty("/queue/")
        await queue.discard("/queue/")
        async with queue.subscribe("/topic/t", "s", 1):
            pass
    assert [line.queue for line in (await queue.administration.statistics()).lines] == ["/topic/t"]
    await queue.stop()


@pytest.mark.parametrize("attempts", [-5, 1 << 32, 1 << 62])
async def test_a_damaged_count_of_attempts_holds_nobody_up(tmp_path, attempts):
    path = tmp_path / "q.db"
    queue = simulated(path)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 1) as subscription:
        await subscription.receive(1)
    await queue.stop()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE hold SET attempts = ?", (attempts,))
        connection.commit()
    queue = simulated(path)
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        deliveries = await subscription.receive(10)
        assert values(deliveries) == [1, 2]
        await subscription.settle(deliveries)
        assert await subscription.depth() == 0
    await queue.stop()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_moved_takes_nothing_more(tmp_path, replaced):
    path = tmp_path / "q.db"
    queue = simulated(path)
    await queue.publish(QUEUE, message(1))
    path.rename(tmp_path / "moved.db")
    if replaced:
        other = simulated(path)
        await other.publish(QUEUE, message(2))
        await other.stop()
    with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
        await queue.publish(QUEUE, message(3))
    await queue.stop()


NUMBERS = st.sets(st.integers(1, 40))


@given(NUMBERS)
def test_runs_cover_exactly_their_numbers(numbers):
    runs = runs_of(sorted(numbers))
    assert [number for low, high in runs for number in range(low, high + 1)] == sorted(numbers)
    assert all(one[1] + 1 < two[0] for one, two in pairwise(runs))


@given(st.integers(1, 30), st.integers(0, 20), NUMBERS)
def test_taking_from_a_hold_leaves_the_rest(low, length, numbers):
    hold = Hold(low, low + length, 1, 5, 7, 2)
    inside = sorted(number for number in numbers if low <= number <= low + length)
    left = without(hold, inside)
    assert [number for each in left for number in range(each.low, each.high + 1)] == [
        number for number in range(low, low + length + 1) if number not in numbers
    ]
    assert all(each[2:] == hold[2:] for each in left)


@given(st.dictionaries(st.integers(1, 30), st.sampled_from(["ack", "nack", "stale"])), st.sets(st.integers(1, 30)))
def test_settling_touches_only_what_the_token_covers(fates, held):
    holds = [Hold(low, high, 1, 99, 7, 0) for low, high in runs_of(sorted(held))]
    acked = {number: 7 if fate == "ack" else 6 for number, fate in fates.items() if fate != "nack"}
    returned = {number: (7, Return(50, True)) for number, fate in fates.items() if fate == "nack"}
    after, gone, back = settle(holds, acked, returned)
    state = {number: (hold.token, hold.attempts) for hold in after for number in range(hold.low, hold.high + 1)}
    assert gone == sorted(number for number in held if fates.get(number) == "ack")
    assert state == {
        number: (0, 1) if fates.get(number) == "nack" else (7, 0) for number in held if fates.get(number) != "ack"
    }
    assert back == sum(fates.get(number) == "nack" for number in held)
    assert after == join(after)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_refused_and_leaves_the_parents_connection_alone(tmp_path):
    store = Store(settings(tmp_path / "q.db"), clock=SystemClock())
    count = Look(lambda store: store.connection.execute("SELECT count(*) FROM pragma_table_list").fetchone()[0])
    (before,) = store.run([count])
    pid = os.fork()
    if not pid:
        status = 1
        try:
            outcomes = [*store.run([count]), *store.run([Call(lambda store: store.connection)])]
            store.close()
            said = [isinstance(it.error, QueueFileError) and "forked child" in str(it.error) for it in outcomes]
            status = 0 if all(said) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    (after,) = store.run([count])
    assert before.error is None
    assert (after.result, after.error) == (before.result, None)
    store.close()


@pytest.mark.parametrize("exists", [True, False])
async def test_a_link_to_the_file_is_the_file(tmp_path, exists):
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "q.db", tmp_path / "link.db"
    if exists:
        queue = SqliteQueue(settings(file))
        await queue.publish(QUEUE, message(1))
        await queue.stop()
    link.symlink_to(file)
    by_link, by_name = SqliteQueue(settings(link)), SqliteQueue(settings(file))
    await by_link.publish(QUEUE, message(2))
    await by_name.publish(QUEUE, message(3))
    assert await by_link.publish(QUEUE, message(3)) is MessageStatus.DUPLICATE
    await by_link.stop()
    await by_name.stop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.db", "real"]
