"""Files that cannot be written to: they can be looked at, and are called what they are."""

import os
import sqlite3
from contextlib import closing

import pytest

from factflow_engine.queues.sqlite import QueueFileError, SqliteQueue, open_administration
from factflow_engine.queues.sqlite.reading import _without_log, open_to_look
from factflow_engine.queues.sqlite.schema import VERSION
from factflow_protocols import StoredName
from support.sqlite_queues import message, settings

QUEUE = "/queue/q"


@pytest.fixture(params=["file", "folder"])
async def path(request, tmp_path, monkeypatch):
    """A file with a queue of three messages, read-only or in a folder that is; where the user may do anything, as if."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "q.db"
    queue = SqliteQueue(settings(path))
    await queue.publish_batch(QUEUE, [message(number) for number in range(3)])
    await queue.stop()
    barred = path if request.param == "file" else folder
    mode = barred.stat().st_mode
    barred.chmod(0o444 if barred == path else 0o555)
    access = os.access
    writable = {str(tmp_path), str(folder) if barred == path else str(path)}

    def allowed(name, mode):
        return os.fspath(name) in writable and access(name, mode)

    monkeypatch.setattr(os, "access", allowed)
    yield path
    barred.chmod(mode)


async def test_it_can_be_looked_at(path):
    async with open_administration(settings(path)) as queues:
        statistics = await queues.statistics()
        assert [(line.queue, line.waiting) for line in statistics.lines] == [(QUEUE, 3)]
        assert await queues.check() == []
        assert [stored.message_id[-1] async for stored in queues.browse(QUEUE)] == [0, 1, 2]
        assert [stored.frame[:1] async for stored in queues.browse(QUEUE, most_bytes=1)] == [b"\xc1"] * 3


async def test_whoever_would_write_is_told_that_it_is_read_only(path):
    async with open_administration(settings(path)) as queues:
        with pytest.raises(QueueFileError, match="is read-only here"):
            await queues.purge(QUEUE)
        with pytest.raises(QueueFileError, match="is read-only here"):
            await queues.delete(QUEUE, [StoredName(1, bytes(16))])
        with pytest.raises(QueueFileError, match="is read-only here"):
            await queues.repair()
        assert (await queues.statistics()).lines[0].waiting == 3
    queue = SqliteQueue(settings(path))
    with pytest.raises(QueueFileError, match="is read-only here"):
        await queue.publish(QUEUE, message(4))
    await queue.stop()


async def test_a_folder_in_which_none_can_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda name, mode: False)
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    with pytest.raises(QueueFileError, match="is read-only here"):
        await queue.publish(QUEUE, message(1))
    await queue.stop()


async def test_where_no_log_can_be_made_the_file_is_read_by_itself_unless_it_has_one(path):
    connection, version = _without_log(settings(path))
    with closing(connection):
        assert version == VERSION
        assert connection.execute("SELECT tail FROM line").fetchall() == [(3,)]
    path.parent.chmod(0o755)
    path.with_name("q.db-wal").write_bytes(bytes(100))
    with pytest.raises(QueueFileError, match="copy both into a folder"):
        _without_log(settings(path))


async def test_another_program_s_file_is_called_that(path):
    path.chmod(0o644)
    path.parent.chmod(0o755)
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE other(x)")
    with pytest.raises(QueueFileError, match="is no queue's file"):
        open_to_look(settings(path))
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(QueueFileError, match="is not a usable SQLite file"):
        open_to_look(settings(path))
