import itertools
import json
import os
import socket
import stat
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import write_jsonl
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.adapters.builtin._replacing import create_like
from factflow_engine.testing.fakes import FakeContext, finished, open_stage, outputs
from factflow_protocols import Ext, Reject, Timestamp
from support.internals import staging_connection

REGISTRY = ValidatingAdapterRegistry()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


async def opened(directory, path="out.jsonl", *, resumed=False, durable=False, **config):
    adapter = REGISTRY.create("write_jsonl", {"path": path, **config})
    await open_stage(adapter, directory, resumed=resumed, durable=durable)
    return adapter


NUMBERS = itertools.count(1)


async def write(adapter, *messages):
    for message in messages:
        assert await outputs(adapter, FakeContext(message, message_id=f"{next(NUMBERS):032x}")) == [message]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@settings(max_examples=30)
@given(st.lists(VALUES, max_size=6))
def test_what_is_written_is_read_again(tmp_path_factory, messages):
    folder = tmp_path_factory.mktemp("write")

    async def run():
        adapter = await opened(folder)
        await write(adapter, *messages)
        await adapter.finish()
        await adapter.close()

    trio.run(run)
    assert [json.loads(line) for line in (folder / "out.jsonl").read_text().split("\n")[:-1]] == messages


async def test_nothing_is_there_before_it_is_finished_and_nothing_beside_it_after(tmp_path):
    adapter = await opened(tmp_path)
    await write(adapter, 1, 2)
    assert not (tmp_path / "out.jsonl").exists()
    assert await finished(adapter) == []
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == [1, 2]
    assert names(tmp_path) == ["out.jsonl"]


async def test_closing_unfinished_discards_and_leaves_the_old_file(tmp_path):
    (tmp_path / "out.jsonl").write_text("old\n")
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await adapter.close()
    assert names(tmp_path) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_text() == "old\n"


async def test_the_old_file_is_replaced(tmp_path):
    (tmp_path / "out.jsonl").write_text("old\n")
    adapter = await opened(tmp_path)
    await adapter.finish()
    await adapter.close()
    assert (tmp_path / "out.jsonl").read_text() == ""


@pytest.mark.parametrize("old", ['"old"\n', '"old"', ""])
async def test_the_old_file_is_appended_to_line_by_line(tmp_path, old):
    (tmp_path / "out.jsonl").write_text(old)
    adapter = await opened(tmp_path, existing="append")
    await write(adapter, 1)
    assert (tmp_path / "out.jsonl").read_text() == old
    await adapter.finish()
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == (["old", 1] if old else [1])


async def test_appending_to_nothing_begins_a_file(tmp_path):
    adapter = await opened(tmp_path, existing="append")
    await write(adapter, 1)
    await adapter.finish()
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == [1]


async def test_messages_after_finish_join_the_file_at_the_next_finish(tmp_path):
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await adapter.finish()
    await write(adapter, 2)
    assert lines(tmp_path / "out.jsonl") == [1]
    await adapter.finish()
    await write(adapter, 3)
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == [1, 2]
    assert names(tmp_path) == ["out.jsonl"]


async def test_folders_on_the_way_are_made_relative_to_the_pipeline(tmp_path):
    adapter = await opened(tmp_path, "a/b/out.jsonl")
    await adapter.finish()
    await adapter.close()
    assert (tmp_path / "a" / "b" / "out.jsonl").exists()


async def test_a_file_may_have_the_longest_name_there_is(tmp_path):
    adapter = await opened(tmp_path, "é" * 127, durable=True)
    await write(adapter, 1)
    await adapter.finish()
    await adapter.discard()
    await adapter.close()
    assert names(tmp_path) == ["é" * 127]


async def test_a_path_that_is_a_folder_fails_the_start(tmp_path):
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        await opened(tmp_path, ".")
    assert names(tmp_path) == []


async def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out.jsonl").symlink_to("real/file.jsonl")
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await adapter.finish()
    await adapter.close()
    assert (tmp_path / "out.jsonl").is_symlink()
    assert lines(tmp_path / "real" / "file.jsonl") == [1]


async def test_many_messages_at_a_time_each_leave_one_whole_line(tmp_path, monkeypatch):
    monkeypatch.setattr(write_jsonl, "BUFFER_BYTES", 64)
    adapter = await opened(tmp_path)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(write, adapter, {"number": number, "padding": "x" * (number % 50)})
    await adapter.finish()
    await adapter.close()
    assert sorted(line["number"] for line in lines(tmp_path / "out.jsonl")) == list(range(200))


async def test_a_cancelled_message_leaves_no_line_and_loses_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.setattr(write_jsonl, "BUFFER_BYTES", 4)
    adapter = await opened(tmp_path)
    await write(adapter, "first")
    with trio.CancelScope() as scope:
        scope.cancel()
        await write(adapter, "cancelled")
    assert scope.cancelled_caught
    await write(adapter, "last")
    await adapter.finish()
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == ["first", "last"]


async def test_a_disk_that_refuses_lines_says_so_and_takes_them_when_it_can(tmp_path, monkeypatch):
    (tmp_path / "out.jsonl").write_text("old\n")
    monkeypatch.setattr(write_jsonl, "BUFFER_BYTES", 4)
    adapter = await opened(tmp_path, durable=True)
    first = "x" * 100_000
    await write(adapter, first)
    staging_connection(adapter).execute("PRAGMA max_page_count = 1")  # what a full disk looks like
    for call in (adapter.flush, adapter.finish, lambda: write(adapter, "second")):
        with pytest.raises(OSError, match=r"staging file '.*': database or disk is full"):
            await call()
    assert (tmp_path / "out.jsonl").read_text() == "old\n"
    staging_connection(adapter).execute("PRAGMA max_page_count = 1000000")
    await write(adapter, "third")
    await adapter.finish()
    await adapter.discard()
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == [first, "third"]
    assert names(tmp_path) == ["out.jsonl"]


async def test_two_stages_may_write_beside_each_other(tmp_path):
    one = REGISTRY.create("write_jsonl", {"path": "out.jsonl"})
    two = REGISTRY.create("write_jsonl", {"path": "out.jsonl"})
    await open_stage(one, tmp_path, stage="one")
    await open_stage(two, tmp_path, stage="two")
    await write(one, 1)
    await write(two, 2)
    await one.finish()
    await one.close()
    await two.close()
    assert lines(tmp_path / "out.jsonl") == [1]


async def test_a_message_that_comes_again_has_one_line(tmp_path, monkeypatch):
    for buffer_bytes in (1, 1000):
        monkeypatch.setattr(write_jsonl, "BUFFER_BYTES", buffer_bytes)
        adapter = await opened(tmp_path)
        for message, number in (("a", 1), ("b", 2), ("again", 1), ("c", 3), ("again", 2)):
            await outputs(adapter, FakeContext(message, message_id=f"{number:032x}"))
        await adapter.finish()
        await adapter.close()
        assert lines(tmp_path / "out.jsonl") == ["a", "b", "c"]


def test_what_json_cannot_say_is_written_as_conditions_write_it():
    value = {
        "bin": b"\x00\xff",
        "time": Timestamp(0, 5),
        "before": Timestamp(-1),
        "ext": Ext(7, b"x"),
        "list": [b""],
    }
    assert json.loads(json_text(value)) == {
        "bin": {"$bin": "AP8="},
        "time": {"$timestamp": "1970-01-01T00:00:00.000000005Z"},
        "before": {"$timestamp": "1969-12-31T23:59:59Z"},
        "ext": {"$ext": [7, "eA=="]},
        "list": [{"$bin": ""}],
    }


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], Timestamp(10**15)])
def test_what_json_can_say_in_no_way_rejects_the_message(value):
    with pytest.raises(Reject, match="cannot be written as JSON"):
        json_text(value)


def test_a_line_holds_no_line_break():
    assert "\n" not in json_text({"text": "a\nb\r\nc"})


async def test_a_character_device_is_written_to_and_stays_one(tmp_path):
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    adapter = await opened(tmp_path, "null")
    await write(adapter, 1, 2)
    assert await finished(adapter) == []
    await adapter.close()
    assert stat.S_ISCHR(device.stat().st_mode)
    assert names(tmp_path) == ["null"]


async def test_a_named_pipe_is_written_to_once_it_has_a_reader(tmp_path, nursery):
    os.mkfifo(tmp_path / "pipe")
    received = []

    async def read():
        await trio.sleep(0.15)
        with os.fdopen(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
            while True:
                await trio.lowlevel.wait_readable(pipe)
                data = os.read(pipe.fileno(), 65_536)
                if not data:
                    return
                received.append(data)

    nursery.start_soon(read)
    adapter = await opened(tmp_path, "pipe")
    messages = [{"n": number, "text": "x" * 500} for number in range(300)]
    await write(adapter, *messages)
    await adapter.flush()
    assert await finished(adapter) == []
    await adapter.close()
    with trio.fail_after(30):
        while b"".join(received).count(b"\n") < 300:
            await trio.sleep(0.01)
    assert [json.loads(line) for line in b"".join(received).splitlines()] == messages
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


async def test_lines_of_two_stages_that_write_to_one_pipe_are_whole(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "again").symlink_to("pipe")
    received = bytearray()
    with os.fdopen(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
        adapters = [await opened(tmp_path, name) for name in ("pipe", "again")]
        async with trio.open_nursery() as nursery:
            for letter, adapter in zip("ab", adapters, strict=True):
                nursery.start_soon(write, adapter, *[letter * 30_000] * 20)
            while received.count(b"\n") < 40:
                await trio.lowlevel.wait_readable(pipe)
                received += os.read(pipe.fileno(), 4096)
        for adapter in reversed(adapters):
            await adapter.close()
    assert {json.loads(line) for line in received.splitlines()} == {"a" * 30_000, "b" * 30_000}


async def test_other_names_of_the_file_are_said_to_keep_the_old_one(tmp_path, caplog):
    (tmp_path / "out.jsonl").write_text("old\n")
    (tmp_path / "other.jsonl").hardlink_to(tmp_path / "out.jsonl")
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await finished(adapter)
    await adapter.close()
    assert lines(tmp_path / "out.jsonl") == [1]
    assert (tmp_path / "other.jsonl").read_text() == "old\n"
    assert "has 1 other name (hard link), which keeps the old file" in caplog.text


async def test_a_pipe_without_a_reader_fails_the_start_after_a_while(tmp_path, monkeypatch, autojump_clock):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"nobody reads the pipe; start its reader first"):
        await opened(tmp_path, "pipe")
    assert trio.current_time() >= write_jsonl.HELD_SECONDS


async def test_a_device_that_is_not_there_is_no_pipe_without_a_reader(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "device")
    monkeypatch.setattr(type(tmp_path), "is_fifo", lambda _: False)  # a terminal, for a process that has none
    with pytest.raises(OSError, match="No such device or address"):
        await opened(tmp_path, "device")


async def test_a_socket_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="is a socket; name a file, a pipe or a character device"):
            await opened(tmp_path, "socket")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o4755])
async def test_the_mode_of_the_file_is_kept(tmp_path, mode):
    (tmp_path / "out.jsonl").write_text("old\n")
    (tmp_path / "out.jsonl").chmod(mode)
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await finished(adapter)
    await adapter.close()
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == mode
    assert lines(tmp_path / "out.jsonl") == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_owner_of_the_file_is_kept(tmp_path):
    (tmp_path / "out.jsonl").write_text("old\n")
    os.chown(tmp_path / "out.jsonl", 1000, 1001)
    adapter = await opened(tmp_path)
    await write(adapter, 1)
    await finished(adapter)
    await adapter.close()
    found = (tmp_path / "out.jsonl").stat()
    assert (found.st_uid, found.st_gid) == (1000, 1001)


def test_an_owner_that_cannot_be_kept_is_said(tmp_path, monkeypatch, caplog):
    (tmp_path / "out").write_text("old\n")
    real = (tmp_path / "out").stat()
    monkeypatch.setattr(Path, "stat", lambda self: os.stat_result((real.st_mode, 0, 0, 1, real.st_uid + 1, *real[5:])))

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    with create_like(tmp_path / "out", tmp_path / "new") as file:
        file.write(b"x")
    assert f"belonged to user {real.st_uid + 1}" in caplog.text


def test_what_is_read_by_nobody_else_is_not_readable_while_it_is_written(tmp_path):
    (tmp_path / "out").write_text("old\n")
    (tmp_path / "out").chmod(0o644)
    with create_like(tmp_path / "out", tmp_path / "new") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
