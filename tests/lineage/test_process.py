"""A store in a process of its own: what it is given arrives, and its death, refusals and silence stay outside."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import unpack
from factflow_engine.lineage import process
from factflow_engine.lineage.process import ProcessLineage
from factflow_engine.lineage.recorder import PackedLineageSink
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import LineageEntry, LineageError, LineageSink, OutcomeEntry, RetainingLineage
from support.distributions import open_site
from support.internals import process_id_of
from support.pipelines import load, registry_of

PIPELINE = """
lineage: {mode: full, finish_seconds: 60, retention_days: 3}
routes: {r: {inbound: {capacity: 10000}, adapters: [{type: forward}]}}
"""
ENTRY = LineageEntry("x", "r", "s", 0, bytes(16), None, bytes(16), 1, "completed", 1, 2, 0, None, None, None, None)
OUTCOME = OutcomeEntry("x", "r", bytes(16), None, bytes(16), "completed", 3, 1, 0, None)


@pytest.fixture(autouse=True)
def site(tmp_path_factory, monkeypatch):
    with open_site(tmp_path_factory.mktemp("site"), monkeypatch) as made:
        made.distribution(
            "line-lineage", "factflow.lineage", lines="support.lineage_files:LineLineage", gone="no.such.module:Gone"
        )
        yield


def sink_in(folder, trouble=""):
    query = f"?trouble={trouble}" if trouble else ""
    return ProcessLineage(f"lines:///rows{query}", directory=folder)


def rows_in(folder):
    path = folder / "rows"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def carried(sink, count):
    registry = registry_of()
    with trio.fail_after(120):
        async with OrchestratorManager(registry=registry, lineage=sink) as manager:
            execution = await manager.start(load(registry, PIPELINE))
            await execution.publish_batch("r", [{"n": n} for n in range(count)])
            return await execution.complete()


def test_it_is_a_sink_that_takes_packed_rows_and_retains():
    sink = ProcessLineage("sqlite:///x")
    assert isinstance(sink, LineageSink)
    assert isinstance(sink, PackedLineageSink)
    assert isinstance(sink, RetainingLineage)
    assert process_id_of(sink) is None


async def test_every_row_arrives_and_the_store_is_closed(tmp_path):
    sink = sink_in(tmp_path)
    report = await carried(sink, 3000)
    assert report.lineage.written == 6000
    pid = process_id_of(sink)
    await sink.close()
    retained, *rows, closed = rows_in(tmp_path)
    assert retained == {"days": 3.0, "total_bytes": 10 * 2**30}
    assert closed == {"closed": True}
    assert len(rows) == 6000
    assert sum("outcome" in row for row in rows) == 3000
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await sink.close()


async def test_rows_as_tuples_are_the_same_rows(tmp_path):
    sink = sink_in(tmp_path)
    await sink.write([ENTRY] * 300, [OUTCOME])
    await sink.close()
    rows = rows_in(tmp_path)
    assert len(rows) == 302
    assert rows[0]["message_id"] == "00" * 16
    assert rows[0]["status"] == "completed"


@pytest.mark.parametrize(
    ("trouble", "text"),
    [("die", "killed by signal 9"), ("exit", "exited with status 3"), ("refuse", "LineageError: refused")],
)
async def test_a_process_that_dies_or_refuses_is_asked_again(tmp_path, trouble, text):
    sink = sink_in(tmp_path, trouble)
    report = await carried(sink, 100)
    await sink.close()
    assert (report.lineage.written, report.lineage.lost, report.lineage.errors) == (200, 0, 1)
    assert text in report.lineage.last_error
    assert sum("status" in row or "outcome" in row for row in rows_in(tmp_path)) == 200


async def test_a_store_that_cannot_be_opened_is_one_clear_error(tmp_path):
    sink = sink_in(tmp_path, "open")
    with pytest.raises(LineageError, match="cannot be opened"):
        await sink.write([ENTRY], [])
    assert process_id_of(sink) is None
    with pytest.raises(LineageError, match="ModuleNotFoundError"):
        await ProcessLineage("gone://x").write([ENTRY], [])


def retained_in(folder):
    return [row for row in rows_in(folder) if "days" in row]


@pytest.mark.parametrize("trouble", ["", "refuse-retention", "die"])
async def test_the_most_generous_retention_reaches_the_process_once_and_again_after_a_failure(tmp_path, trouble):
    sink = sink_in(tmp_path, trouble)
    for days, total_bytes in [(1, 400), (3, 200), (2, 300)]:
        sink.retain(days=days, total_bytes=total_bytes)
    if trouble:
        with pytest.raises(LineageError):
            await sink.write([ENTRY], [])
    await sink.write([ENTRY], [])
    await sink.write([ENTRY], [])
    sink.retain(days=2, total_bytes=100)  # changes nothing
    await sink.write([ENTRY], [])
    most = {"days": 3, "total_bytes": 400}
    assert retained_in(tmp_path) == [most] * (2 if trouble == "die" else 1)
    sink.retain(days=None, total_bytes=100)
    await sink.write([ENTRY], [])
    await sink.close()
    assert retained_in(tmp_path)[-1] == {"days": None, "total_bytes": 400}


async def test_a_cancelled_write_leaves_no_process_behind(tmp_path):
    sink = sink_in(tmp_path, "hang")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sink.write, [ENTRY], [])
            while not (tmp_path / "rows.once").exists():
                await trio.sleep(0.01)
            pid = process_id_of(sink)
            nursery.cancel_scope.cancel()
    assert process_id_of(sink) is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await sink.write([ENTRY], [])
    await sink.close()
    assert len(rows_in(tmp_path)) == 2


async def test_a_killed_process_is_replaced(tmp_path):
    sink = sink_in(tmp_path)
    await sink.write([ENTRY], [])
    os.kill(process_id_of(sink), signal.SIGKILL)
    with pytest.raises(LineageError, match="killed by signal 9"):
        await sink.write([ENTRY], [])
    await sink.write([ENTRY], [])
    await sink.close()
    assert sum("status" in row for row in rows_in(tmp_path)) == 2


def test_it_ends_with_the_program_whatever_ends_that(tmp_path):
    program = f"""
        import os, signal, sys, trio
        sys.path[:] = {sys.path!r}
        from lineage.test_process import ENTRY, sink_in
        from support.internals import process_id_of
        from pathlib import Path

        async def main():
            sink = sink_in(Path({str(tmp_path)!r}))
            await sink.write([ENTRY], [])
            print(process_id_of(sink), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        trio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)

    async def gone():
        with trio.fail_after(30):
            while True:
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    return
                await trio.sleep(0.01)

    trio.run(gone)
    assert rows_in(tmp_path)[-1] == {"closed": True}


@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(1, 50))
def test_a_request_is_the_list_of_its_parts_in_pieces_that_are_bounded(parts, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "PIECE_BYTES", most)
        pieces = [*process._pieces(process._listed(parts))]
    assert unpack(b"".join(pieces)) == parts
    assert all(len(piece) < most + 40 for piece in pieces)
