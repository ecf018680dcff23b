import io
import json
import os
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import _line_stream
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import Reject

REGISTRY = ValidatingAdapterRegistry()


@pytest.fixture
def pipe(monkeypatch):
    """Both ends of a pipe in the place of standard input and output: what is written there is read there."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as source, os.fdopen(writing, "wb", buffering=0) as sink:
        monkeypatch.setattr(sys, "__stdin__", source)
        monkeypatch.setattr(sys, "__stdout__", sink)
        yield source, sink


async def opened(type_name, *, durable=False, **config):
    adapter = REGISTRY.create(type_name, config)
    await open_stage(adapter, Path(), durable=durable)
    return adapter


async def read(text, monkeypatch, tmp_path, **config):
    """What `read_stdin` emits of a file."""
    (tmp_path / "in").write_bytes(text)
    with (tmp_path / "in").open("rb") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "__stdin__", file)
        adapter = await opened("read_stdin", **config)
        try:
            return await outputs(adapter, FakeContext())
        finally:
            await adapter.close()


async def test_text_lines_come_numbered_with_any_end(monkeypatch, tmp_path):
    assert await read("a\r\n\ncäfé\nlast".encode(), monkeypatch, tmp_path) == [
        {"line_number": 1, "text": "a"},
        {"line_number": 2, "text": ""},
        {"line_number": 3, "text": "cäfé"},
        {"line_number": 4, "text": "last"},
    ]


async def test_json_lines_come_as_their_values(monkeypatch, tmp_path):
    text = b'{"a": 1}\n\n[2]\r\n"three"'
    assert await read(text, monkeypatch, tmp_path, format="json") == [{"a": 1}, [2], "three"]


@pytest.mark.parametrize(
    ("line", "config"),
    [
        (b"\xff", {}),
        (b"{x", {"format": "json"}),
        (b'{"a":1,"a":2}', {"format": "json"}),
        (b'{"a":18446744073709551616}', {"format": "json"}),
        (b'"\\ud800"', {"format": "json"}),
        (b"[" * 129 + b"]" * 129, {"format": "json"}),
        (b"1e999", {"format": "json"}),
    ],
)
async def test_a_bad_line_rejects_the_message_or_is_skipped(monkeypatch, tmp_path, caplog, line, config):
    with pytest.raises(Reject, match="standard input, line 2: not"):
        await read(b"1\n" + line + b"\n2\n", monkeypatch, tmp_path, **config)
    assert len(await read(b"1\n" + line + b"\n2\n", monkeypatch, tmp_path, on_error="skip", **config)) == 2
    assert "the line is skipped" in caplog.text


@pytest.mark.parametrize("end", [b"\n", b"", b"\nmore\n"])
async def test_a_line_that_is_too_long_rejects_the_message(monkeypatch, tmp_path, end):
    assert len(await read(b"x" * 100 + end, monkeypatch, tmp_path, max_line_length=100)) >= 1
    with pytest.raises(Reject, match=r"line 1: longer than max_line_length \(100 bytes\)"):
        await read(b"x" * 102 + end, monkeypatch, tmp_path, max_line_length=100)


@pytest.mark.parametrize("length", [102, 70_000, 1_000_000])
async def test_a_line_that_is_too_long_is_skipped_where_bad_lines_are(monkeypatch, tmp_path, caplog, length):
    emitted = await read(b"1\n" + b"x" * length + b"\n2\n", monkeypatch, tmp_path, max_line_length=100, on_error="skip")
    assert [(line["line_number"], line["text"]) for line in emitted] == [(1, "1"), (3, "2")]
    assert "line 2: longer than max_line_length (100 bytes); the line is skipped" in caplog.text


async def test_a_byte_order_mark_of_standard_input_is_left_out(monkeypatch, tmp_path):
    assert await read(b"\xef\xbb\xbf{}\n", monkeypatch, tmp_path, format="json") == [{}]


async def test_an_endless_line_is_refused_before_it_ends(pipe):
    _, sink = pipe
    adapter = await opened("read_stdin", max_line_length=1000)
    os.write(sink.fileno(), b"x" * 2000)
    with pytest.raises(Reject, match="longer than"):
        await outputs(adapter, FakeContext())
    await adapter.close()


async def test_lines_come_as_they_are_written_and_waiting_can_be_cancelled(pipe):
    _, sink = pipe
    adapter = await opened("read_stdin")
    emitted = (await adapter.process(FakeContext())).emitted
    os.write(sink.fileno(), b"one\ntw")
    assert (await anext(emitted))["text"] == "one"
    with trio.move_on_after(0.05) as scope:
        await anext(emitted)
    assert scope.cancelled_caught
    await emitted.aclose()
    await adapter.close()


async def test_standard_input_is_read_by_one_message_once(pipe):
    first, second = await opened("read_stdin"), await opened("read_stdin")
    await first.process(FakeContext())
    with pytest.raises(Reject, match="by an earlier message or attempt"):
        await first.process(FakeContext())
    with pytest.raises(Reject, match="by another stage of this process"):
        await second.process(FakeContext())
    await first.close()
    await second.process(FakeContext())
    await second.close()


@pytest.mark.parametrize("type_name", ["read_stdin", "write_stdout"])
async def test_a_stream_that_is_closed_fails_the_start(monkeypatch, type_name):
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "__stdin__", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        with pytest.raises(OSError, match=f"{type_name} needs standard .*, which cannot be used"):
            await opened(type_name)


@settings(max_examples=30)
@given(
    st.lists(st.text(max_size=20) | st.integers() | st.lists(st.booleans(), max_size=3), max_size=30),
    st.sampled_from([1, 30, 65536]),
)
def test_what_is_written_is_read_again(messages, buffer_bytes):
    messages = [message for message in messages if not isinstance(message, int) or abs(message) < 2**63]
    reading, writing = os.pipe()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(reading, "rb", buffering=0) as source:
        patch.setattr(_line_stream, "BUFFER_BYTES", buffer_bytes)
        sink = os.fdopen(writing, "wb", buffering=0)
        patch.setattr(sys, "__stdin__", source)
        patch.setattr(sys, "__stdout__", sink)

        async def write():
            adapter = await opened("write_stdout")
            for message in messages:
                await outputs(adapter, FakeContext(message))
            await adapter.finish()
            await adapter.close()
            sink.close()

        async def run():
            adapter = await opened("read_stdin", format="json")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                found = await outputs(adapter, FakeContext())
            await adapter.close()
            return found

        assert trio.run(run) == messages


async def test_text_lines_are_a_field_or_the_message(pipe):
    source, _ = pipe
    adapter = await opened("write_stdout", format="text", text_field="a.b")
    for message in ("plain", {"a": {"b": "field"}}, {"a": {"b": 1.5}}):
        await outputs(adapter, FakeContext(message))
    for message in ({"a": {}}, {"a": {"b": [1]}}, {"a": {"b": True}}, {"a": {"b": "two\nlines"}}, "two\rlines"):
        with pytest.raises(Reject, match="write format: json"):
            await outputs(adapter, FakeContext(message))
    await adapter.flush()
    assert os.read(source.fileno(), 1000) == b"plain\nfield\n1.5\n"
    await adapter.close()


async def test_a_line_is_written_soon_without_being_asked(pipe):
    source, _ = pipe
    adapter = await opened("write_stdout")
    await outputs(adapter, FakeContext({"a": 1}))
    await trio.lowlevel.wait_readable(source.fileno())
    assert json.loads(os.read(source.fileno(), 1000)) == {"a": 1}
    await adapter.close()


async def test_lines_of_two_stages_do_not_run_into_each_other(pipe):
    """Long ones are written in pieces, and the reader takes less than there is."""
    source, _ = pipe
    stages = [await opened("write_stdout") for _ in range(2)]
    messages = [f"{number % 10}" * (1 + 37 * number**2 % 20_000) for number in range(60)]
    received = bytearray()

    async def write(stage, part):
        for message in part:
            await outputs(stage, FakeContext(message))
        await stage.finish()

    async def drain():
        while True:
            await trio.lowlevel.wait_readable(source.fileno())
            received.extend(os.read(source.fileno(), 3000))

    async with trio.open_nursery() as readers:
        readers.start_soon(drain)
        async with trio.open_nursery() as writers:
            for index, stage in enumerate(stages):
                writers.start_soon(write, stage, messages[index::2])
        while received.count(b"\n") < len(messages):
            await trio.lowlevel.checkpoint()
        readers.cancel_scope.cancel()
    for stage in reversed(stages):
        await stage.close()
    assert sorted(json.loads(line) for line in received.splitlines()) == sorted(messages)


async def test_short_lines_are_written_whole(pipe, monkeypatch):
    """Another process may write to the same pipe in between."""
    pieces = []
    original = os.write
    monkeypatch.setattr(os, "write", lambda number, data: pieces.append(bytes(data)) or original(number, data))
    adapter = await opened("write_stdout")
    for number in range(500):
        await outputs(adapter, FakeContext("x" * (number % 60)))
    await adapter.finish()
    await adapter.close()
    assert len(pieces) > 2
    assert all(piece.endswith(b"\n") and len(piece) <= 4096 for piece in pieces)


async def test_a_reader_that_does_not_read_holds_up_messages_and_not_the_cancellation(pipe):
    handled = 0
    with trio.CancelScope() as bounds:  # as the engine has it around a stage
        adapter = await opened("write_stdout", durable=True)
        with trio.move_on_after(0.2) as scope:
            while True:
                await outputs(adapter, FakeContext("x" * 1000))
                handled += 1
        assert scope.cancelled_caught
        assert 65 < handled < 300  # a pipe's room and the buffer's
        with trio.move_on_after(0.05) as scope:
            await adapter.flush()
        assert scope.cancelled_caught
        bounds.deadline = trio.current_time() + 0.05
        await adapter.close()
    assert bounds.cancelled_caught
    with pytest.raises(OSError, match="closed before standard output took all lines"):
        await adapter.flush()


async def test_a_reader_that_has_gone_is_one_error_of_the_stage(pipe):
    source, _ = pipe
    source.close()
    adapter = await opened("write_stdout", durable=True)
    with pytest.raises(BaseExceptionGroup) as caught:
        try:
            await outputs(adapter, FakeContext("a"))
            await trio.sleep_forever()  # as a message that waits: it is cancelled with the stage, not failed
        finally:
            with pytest.raises(OSError, match="its reader has closed it"):
                await adapter.flush()
            await adapter.close()
    assert caught.group_contains(OSError, match="cannot write to standard output: its reader has closed it")


async def test_a_file_is_synchronised_before_messages_are_acknowledged(monkeypatch, tmp_path):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with (tmp_path / "out").open("wb", buffering=0) as file:
        monkeypatch.setattr(sys, "__stdout__", file)
        adapter = await opened("write_stdout", durable=True)
        await outputs(adapter, FakeContext("a"))
        await adapter.flush()
        assert synced == [file.fileno()]
        await adapter.close()
    assert (tmp_path / "out").read_text() == '"a"\n'


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(
    ("there", "mode", "written"),
    [
        ('"a"\n"b', "ab", '"a"\n"b\n"c"\n"d"\n'),  # the line of a process that was killed, or whose disk was full
        ('"a"\n', "ab", '"a"\n"c"\n"d"\n'),
        ("", "ab", '"c"\n"d"\n'),
        ('"a"\n"b', "wb", '"c"\n"d"\n'),
    ],
)
async def test_the_first_line_is_one_of_its_own(monkeypatch, tmp_path, there, mode, written, durable):
    (tmp_path / "out").write_text(there)
    with (tmp_path / "out").open(mode, buffering=0) as file:
        monkeypatch.setattr(sys, "__stdout__", file)
        adapter = await opened("write_stdout", durable=durable)
        for message in "cd":
            await outputs(adapter, FakeContext(message))
            await adapter.flush()
        await adapter.close()
    assert (tmp_path / "out").read_text() == written


async def test_a_line_that_the_shell_has_begun_is_ended_first(monkeypatch, tmp_path):
    """`{ printf head; factflow run ...; } > out`: the place to write is the end, and no mode says so."""
    with (tmp_path / "out").open("wb", buffering=0) as file:
        file.write(b"head")
        monkeypatch.setattr(sys, "__stdout__", file)
        adapter = await opened("write_stdout")
        await outputs(adapter, FakeContext("c"))
        await adapter.close()
    assert (tmp_path / "out").read_text() == 'head\n"c"\n'


async def test_a_file_is_left_as_it_is_if_no_line_comes(monkeypatch, tmp_path):
    (tmp_path / "out").write_text("no end")
    with (tmp_path / "out").open("ab", buffering=0) as file:
        monkeypatch.setattr(sys, "__stdout__", file)
        adapter = await opened("write_stdout", durable=True)
        await adapter.flush()
        await adapter.finish()
        await adapter.close()
    assert (tmp_path / "out").read_text() == "no end"
