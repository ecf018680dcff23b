import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from factflow_engine.cli.latency_file import LatencyFile
from factflow_engine.testing import in_virtual_time

PIPELINE = """
version: "1.0"
routes:
  feed:
    adapters: [{type: feed}]
    outbound: [{route: call}]
  call:
    backpressure: {algorithm: fixed, max_concurrency: 4}
    adapters: [{type: upstream}, {type: after}]
init_message: {route: feed, payload: {}}
"""

ADAPTERS = """
import trio
from factflow_protocols import AdapterResult, Overloaded, PipelineAdapter

class Feed(PipelineAdapter):
    adapter_type = "feed"
    async def process(self, context):
        return AdapterResult(emitted=[{"n": n} for n in range(40)])

class Upstream(PipelineAdapter):
    adapter_type = "upstream"
    async def process(self, context):
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        if context.message["n"] == 7:
            raise Overloaded
        if context.message["n"] == 9:
            raise ValueError("not its fault")
        return AdapterResult(message=context.message)

class After(PipelineAdapter):
    adapter_type = "after"
    async def process(self, context):
        return None
"""


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def call(file: LatencyFile, count: int = 1) -> None:
    for number in range(count):
        file.ended("r", "s", number, 5, 1, False)


def test_a_run_is_recorded_and_replayed(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    adapters, file = tmp_path / "mine.py", tmp_path / "calls.jsonl"
    adapters.write_text(ADAPTERS)
    said = factflow("run", pipeline(PIPELINE), "-a", adapters, "--record-latency", file)
    assert said.status == 0, said.err
    calls = [call for call in read(file) if call["stage"] == "upstream"]
    assert len(calls) == 40, "one that failed otherwise than from overload is an answer"
    assert [call["dropped"] for call in calls].count(True) == 1
    assert {call["in_flight"] for call in calls} == {1, 2, 3, 4}
    assert all(call["duration_ns"] > 0 and call["route"] == "call" for call in calls)
    replayed = factflow("bench", "limits", "--trace", file, "--algorithm", "fixed:limit=2", "-o", "json")
    assert {cell["scenario"] for cell in replayed.document["cells"]} == {"call/upstream", "call/after"}
    assert "left out stages with fewer than 20 calls: feed/feed (1)" in replayed.err


def test_a_file_that_cannot_be_opened_is_refused_before_anything_runs(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    said = factflow("run", pipeline(PIPELINE), "--record-latency", tmp_path / "none" / "calls.jsonl")
    assert said.status == 2


def test_what_is_recorded_is_written_meanwhile_and_to_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"

    async def main(simulation: Any) -> None:
        file = LatencyFile(path, threads=simulation.seams.threads)
        async with file.writing():
            call(file, 3)
            await trio.sleep(1)
            assert len(read(path)) == 3
            call(file, 2)
        assert [line["start_ns"] for line in read(path)] == [0, 1, 2, 0, 1]
        assert (file.lost, file.notice) == (0, None)

    in_virtual_time(main, seed=0)


def test_a_cancelled_or_failed_run_has_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"

    async def main(simulation: Any) -> None:
        file = LatencyFile(path, threads=simulation.seams.threads)
        with trio.move_on_after(0.3):
            async with file.writing():
                for _ in range(10):
                    call(file)
                    await trio.sleep(0.1)
        assert len(read(path)) == 3

    in_virtual_time(main, seed=0)


def test_a_full_device_costs_lines_and_is_said() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is full")

    async def main(simulation: Any) -> None:
        file = LatencyFile(full, threads=simulation.seams.threads)
        async with file.writing():
            call(file, 4)
            await trio.sleep(1)
            call(file, 3)
        assert file.lost == 7
        assert file.notice == "--record-latency /dev/full: 7 calls not recorded: No space left on device"

    in_virtual_time(main, seed=0)


def test_what_comes_faster_than_it_is_written_is_counted(tmp_path: Path) -> None:
    async def main(simulation: Any) -> None:
        file = LatencyFile(tmp_path / "calls.jsonl", threads=simulation.seams.threads)
        async with file.writing():
            call(file, 100_001)
        assert file.notice is not None
        assert file.notice.endswith("1 call not recorded: they came faster than they could be written")

    in_virtual_time(main, seed=0)
