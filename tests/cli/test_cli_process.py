"""`factflow` as a process: exit statuses, signals, pipes. Nothing here waits for a time, only for a line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(90)

SLOW = """\
version: "1.0"
name: slow
routes:
  a:
    inbound: {concurrency: 2}
    adapters:
      - {type: split, config: {field: items}}
      - {type: delay, config: {seconds: SECONDS}}
init_message: {route: a, payload: {items: [{n: 1}, {n: 2}, {n: 3}]}}
"""

BLOCKING = """\
import time
from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter
import trio

class Blocking(PipelineAdapter):
    adapter_type = "blocking"
    async def process(self, context):
        print("blocking now", flush=True)
        while True:
            time.sleep(0.01)

class SlowToOpen(StatefulAdapter):
    adapter_type = "slow_to_open"
    async def open(self, stage):
        print("opening now", flush=True)
        await trio.sleep_forever()
    async def process(self, context):
        return AdapterResult.forward()
"""


class Process:
    """A running `factflow`."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self.popen = popen

    def wait_for_line(self, part: str, *, of: str = "stderr") -> str:
        """Read on until a line has the part."""
        stream = getattr(self.popen, of)
        seen = []
        for line in stream:
            seen.append(line)
            if part in line:
                return str(line)
        raise AssertionError(f"it ended without saying {part!r}: {''.join(seen)}")

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit status, and what was left to read."""
        out, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, out, err


@contextmanager
def factflow(*arguments: object, **options: Any) -> Iterator[Process]:
    command = [sys.executable, "-W", "error", "-c", "from factflow_engine.cli import main; main()"]
    environment = {
        key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "COLUMNS", "PYTHONUNBUFFERED"}
    }
    popen = subprocess.Popen(
        [*command, *map(str, arguments)],
        text=True,
        env=environment,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )
    try:
        yield Process(popen)
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()
        for stream in (popen.stdout, popen.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def slow(pipeline: Callable[..., Path]) -> Callable[[float], Path]:
    return lambda seconds: pipeline(SLOW.replace("SECONDS", str(seconds)))


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    path = tmp_path / "awkward.py"
    path.write_text(BLOCKING)
    return path


def test_a_run_that_ends_by_itself_exits_0(slow: Callable[[float], Path]) -> None:
    with factflow("run", slow(0)) as process:
        status, out, err = process.end()
    assert status == 0
    assert out.startswith("completed  slow in ")
    assert "\x1b" not in out + err


def test_a_wrong_configuration_exits_2(pipeline: Callable[..., Path]) -> None:
    with factflow("run", pipeline("version: 1")) as process:
        assert process.end()[0] == 2


def test_an_interruption_drains_and_exits_130(slow: Callable[[float], Path]) -> None:
    with factflow("run", slow(0.5), "--output", "json") as process:
        process.wait_for_line("running")
        process.signal(signal.SIGINT)
        process.wait_for_line("draining")
        status, out, err = process.end()
    assert status == 130
    document = json.loads(out)
    assert (document["status"], document["interrupted_by"]) == ("completed", "SIGINT")
    assert document["outcomes"]["completed"] == 4
    assert document["held"] == []
    assert "Traceback" not in err


def test_at_the_end_of_the_drains_budget_the_report_names_what_was_held(slow: Callable[[float], Path]) -> None:
    with factflow("run", slow(3600), "--drain-timeout", "0.2") as process:
        process.wait_for_line("running")
        process.signal(signal.SIGTERM)
        status, out, err = process.end()
    assert status == 143
    assert out.startswith("cancelled  slow in ")
    assert "  drain gave up: what had begun or waited was not done within 0.2 s" in out
    assert "messages still held, and given back" in out
    assert "  a/delay  message " in out
    assert "Traceback" not in err


def test_without_an_option_the_drain_has_the_configurations_budget(slow: Callable[[float], Path]) -> None:
    file = slow(3600)
    file.write_text(file.read_text() + "\norchestrator: {drain_seconds: 0.3}\n")
    with factflow("run", file) as process:
        process.wait_for_line("running")
        process.signal(signal.SIGTERM)
        status, out, _ = process.end()
    assert status == 143
    assert "not done within 0.3 s" in out


def test_a_second_interruption_cancels_at_once(slow: Callable[[float], Path]) -> None:
    with factflow("run", slow(3600), "--drain-timeout", "3600", "-o", "json") as process:
        process.wait_for_line("running")
        process.signal(signal.SIGINT)
        process.wait_for_line("draining")
        process.signal(signal.SIGINT)
        process.wait_for_line("cancelling")
        status, out, _ = process.end()
    assert status == 130
    document = json.loads(out)
    assert document["status"] == "cancelled"
    assert {(held["route"], held["stage"]) for held in document["held"]} == {("a", "delay")}


def test_an_interruption_while_a_stage_opens_exits_130(pipeline: Callable[..., Path], awkward: Path) -> None:
    file = pipeline('version: "1.0"\nroutes: {a: {adapters: [{type: slow_to_open}]}}\n')
    with factflow("run", file, "--adapters", awkward) as process:
        process.wait_for_line("opening now", of="stdout")
        process.signal(signal.SIGINT)
        status, out, err = process.end()
    assert status == 130
    assert "cancelled before it had started" in out
    assert "interrupted while starting" in err
    assert "Traceback" not in err


def test_an_interruption_while_modules_are_imported_exits_130(pipeline: Callable[..., Path], tmp_path: Path) -> None:
    module = tmp_path / "slow_import.py"
    module.write_text("import time\nprint('importing now', flush=True)\nwhile True: time.sleep(0.01)\n")
    with factflow("run", pipeline(SLOW), "--adapters", module) as process:
        process.wait_for_line("importing now", of="stdout")
        process.signal(signal.SIGINT)
        status, _, err = process.end()
    assert status == 130
    assert "Traceback" not in err


def test_insisting_ends_a_process_whose_adapter_blocks_everything(pipeline: Callable[..., Path], awkward: Path) -> None:
    file = pipeline(
        'version: "1.0"\nroutes: {a: {adapters: [{type: blocking}]}}\ninit_message: {route: a, payload: 1}\n'
    )
    with factflow("run", file, "--adapters", awkward) as process:
        process.wait_for_line("blocking now", of="stdout")
        for _ in range(200):  # signals that come together count as one, so keep pressing
            if process.popen.poll() is not None:
                break
            process.signal(signal.SIGINT)
            try:
                process.popen.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
        assert process.popen.poll() == -signal.SIGINT


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["config", "codes"], ["config", "schema"], ["adapters", "list"], ["adapters", "show", "delay"]],
)
def test_a_reader_that_went_away_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with factflow(*arguments, stdout=writing) as process:
            status, _, err = process.end()
    finally:
        os.close(writing)
    assert (status, err) == (141, "")


@pytest.mark.parametrize(("stream", "expected"), [("stdout", 141), ("stderr", 0)])
def test_a_run_whose_reader_went_away_ends_quietly(slow: Callable[[float], Path], stream: str, expected: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with factflow("run", slow(0.1), **{stream: writing}) as process:
            status, out, err = process.end()
    finally:
        os.close(writing)
    assert status == expected
    assert "Traceback" not in (out or "") + (err or "")


def test_text_that_the_terminals_encoding_lacks_is_escaped(
    pipeline: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    file = pipeline(SLOW.replace("SECONDS", "0").replace("name: slow", "name: sløw 漢"))
    with factflow("run", file, "--progress", "none") as process:
        status, out, _ = process.end()
    assert status == 0
    assert out.startswith("completed  sl\\xf8w \\u6f22 in ")
