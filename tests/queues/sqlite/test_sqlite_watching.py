"""Files that are removed, replaced or cut under a provider: nothing more is accepted, and what was is not lost."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.queues.sqlite import QueueFileError, SqliteQueue
from factflow_engine.testing.virtual_time import in_virtual_time
from support.internals import store_of
from support.sqlite_queues import message, simulated, values
from support.sqlite_queues import settings as sqlite_settings

QUEUE = "/queue/q"


def remove(path):
    path.unlink()


def replace_by_nothing(path):
    path.unlink()
    path.touch()


def replace_by_a_copy(path):
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


def replace_by_a_link_to_it(path):
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)  # SQLite would look for the log beside the file, and follows no link to a log


def lose_the_folder(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize(
    "harm", [remove, replace_by_nothing, replace_by_a_copy, replace_by_a_link_to_it, lose_the_folder]
)
async def test_nothing_is_accepted_or_handed_out_once_one_of_the_files_is_another(tmp_path, suffix, harm):
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "q.db"
    queue = SqliteQueue(sqlite_settings(path))
    await queue.publish(QUEUE, message(1))
    harm(path.with_name(path.name + suffix))
    for _ in range(2):
        with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
            await queue.publish(QUEUE, message(2))
    with trio.fail_after(10), pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
        async with queue.subscribe(QUEUE, "s", 1) as subscription:
            await subscription.receive(1)
    await queue.stop()


KILLED = """
import os, signal, sys, trio
from factflow_engine.queues.sqlite import QueueFileError
from support.sqlite_queues import message, settings
from factflow_engine.queues.sqlite import SqliteQueue
from pathlib import Path

async def live(path):
    queue = SqliteQueue(settings(path))
    for number in range(300):
        await queue.publish("/queue/q", message(number))
    path.with_name("q.db-wal").unlink()
    try:
        await queue.publish("/queue/q", message(300))
    except QueueFileError as error:
        print(error, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

trio.run(live, Path(sys.argv[1]))
"""


async def test_what_a_removed_log_held_is_in_the_file_although_its_process_is_killed_then(tmp_path):
    path = tmp_path / "q.db"
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    command = [sys.executable, "-c", KILLED, str(path)]
    killed = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "what had been accepted before is in the file" in killed.stdout
    queue = SqliteQueue(sqlite_settings(path))
    async with queue.subscribe(QUEUE, "s", 1000) as subscription:
        assert values(await subscription.receive(1000)) == list(range(300))
    assert await queue.administration.check() == []
    await queue.stop()


async def test_a_log_that_was_removed_while_a_transaction_was_under_way_has_accepted_nothing(tmp_path, monkeypatch):
    path = tmp_path / "q.db"
    queue = SqliteQueue(sqlite_settings(path))
    await queue.publish(QUEUE, message(1))
    store = store_of(queue)
    connection = store.connection

    class Racing:  # the log goes with the commit, when nothing can be looked at any more before it
        def __getattr__(self, name):
            return getattr(connection, name)

        def execute(self, statement, *parameters):
            result = connection.execute(statement, *parameters)
            if statement == "COMMIT":
                path.with_name("q.db-wal").unlink()
            return result

    monkeypatch.setattr(store, "_connection", Racing())
    with pytest.raises(QueueFileError, match="was removed or replaced while it was in use"):
        await queue.publish(QUEUE, message(2))
    monkeypatch.undo()
    await queue.stop()


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("left", [0, 8192])
async def test_nothing_is_accepted_once_a_file_was_cut(tmp_path, suffix, left):
    path = tmp_path / "q.db"
    queue = SqliteQueue(sqlite_settings(path))
    await queue.publish_batch(QUEUE, [message(number) for number in range(2000)])
    with closing(sqlite3.connect(path)) as other:
        if not suffix:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await queue.publish(QUEUE, message(5000))
        os.truncate(path.with_name(path.name + suffix), left)
        for _ in range(2):
            with pytest.raises(QueueFileError):
                await queue.publish(QUEUE, message(5001))
        await queue.stop()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "receive", "open", "close", "truncate", "vacuum", "restart", "look"]),
        st.integers(0, 2),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(steps=STEPS, seed=st.integers(0, 1 << 32))
def test_what_sqlite_does_with_its_files_is_no_alarm(tmp_path_factory, steps, seed):
    path = tmp_path_factory.mktemp("watch") / "q.db"

    async def history(simulation):
        queues = {}
        numbers = iter(range(1 << 30))
        for step, which in steps:
            if step == "close" and which in queues:
                await queues.pop(which).stop()
            elif step in {"truncate", "vacuum", "restart"} and path.exists():
                with closing(sqlite3.connect(path, isolation_level=None)) as other:
                    other.execute("VACUUM" if step == "vacuum" else f"PRAGMA wal_checkpoint({step.upper()})")
            elif step == "open":
                queues.setdefault(which, simulated(path, seed=which))
            else:
                queue = queues.setdefault(which, simulated(path, seed=which))
                if step == "publish":
                    await queue.publish_batch(QUEUE, [message(next(numbers)) for _ in range(50)])
                elif step == "receive":
                    async with queue.subscribe(QUEUE, "s", 100) as subscription:
                        with trio.move_on_after(1):
                            await subscription.settle(await subscription.receive(100))
                else:
                    await queue.administration.statistics()
        for queue in queues.values():
            await queue.stop()

    in_virtual_time(history, seed=seed)
