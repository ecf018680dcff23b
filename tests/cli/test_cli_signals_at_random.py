"""`factflow run` under signals at random instants: the documented status, books that balance, gone in time.

The wait before each signal is real: it is the experiment, not a way to let something settle.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ITEMS = 3000
GONE_WITHIN_SECONDS = 3.0
BOTH = (signal.SIGINT, signal.SIGTERM)
APART_SECONDS = 0.1
LONGEST_SECONDS = 0.6  # longer than an undisturbed run of HEALTHY takes, so that some signals come after its end

ADAPTERS = """\
import os
from typing import ClassVar
import trio
from factflow_protocols import AdapterResult, PipelineAdapter

class Source(PipelineAdapter):
    adapter_type: ClassVar[str] = "source"
    async def process(self, context):
        return AdapterResult(emitted=({"n": number} for number in range(context.message["items"])))

class Rest(PipelineAdapter):
    adapter_type: ClassVar[str] = "rest"
    async def process(self, context):
        if context.message["n"] % 10 == 0:
            await trio.sleep(0.001)
        return AdapterResult.forward()

class Endless(PipelineAdapter):
    adapter_type: ClassVar[str] = "endless"
    async def process(self, context):
        await trio.sleep_forever()

os.write(int(os.environ["IMPORTED"]), b"!")
"""

HEALTHY = """\
version: "1.0"
routes:
  source: {adapters: [{type: source}], outbound: [{route: work}]}
  work: {inbound: {concurrency: 4, capacity: 100}, adapters: [{type: rest}], outbound: [{route: sink}]}
  sink: {inbound: {capacity: 100}, adapters: [{type: rest, name: last}]}
init_message: {route: source, payload: {items: ITEMS}}
"""

HELD = HEALTHY.replace("{type: rest, name: last}", "{type: endless}")


@dataclass
class End:
    """How a process ended."""

    status: int
    document: Any
    errors: str
    seconds_since_signal: float
    signals: tuple[signal.Signals, ...]
    first: frozenset[signal.Signals]  # of those, which may be the first that the process sees


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in (("adapters.py", ADAPTERS), ("healthy.yaml", HEALTHY), ("held.yaml", HELD)):
        (tmp_path / name).write_text(text.replace("ITEMS", str(ITEMS)))
    return tmp_path


def run_signalled(files: Path, pipeline: str, signals: list[tuple[float, signal.Signals]], *options: str) -> End:
    """Run a pipeline and send it signals, each so long after the one before; the first, after the import."""
    code = (
        "import faulthandler as f; f.dump_traceback_later(30, exit=True); from factflow_engine.cli import main; main()"
    )
    environment = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "COLUMNS"}}
    imported, telling = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "run",
            files / pipeline,
            "--adapters",
            files / "adapters.py",
            "-o",
            "json",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "IMPORTED": str(telling)},
        pass_fds=(telling,),
    )
    os.close(telling)
    assert process.stdout is not None
    try:
        assert os.read(imported, 1) == b"!"
        sent = time.monotonic()
        for seconds, number in signals:
            ended, _, _ = select.select([process.stdout], [], [], seconds)  # its report, or its end
            if ended:
                break
            sent = time.monotonic()
            process.send_signal(number)
        out, errors = process.communicate(timeout=40)
        return End(
            process.returncode,
            json.loads(out or "null"),
            errors,
            time.monotonic() - sent,
            tuple(number for _, number in signals),
            # A process that has had no turn between two sees them in the order of their numbers.
            frozenset(number for place, (gap, number) in enumerate(signals) if place == 0 or gap <= APART_SECONDS),
        )
    finally:
        os.close(imported)
        process.kill()
        process.communicate()


def assert_as_documented(end: End) -> None:
    """Its status says which signal came first, if one came in time, and its books balance."""
    assert "Traceback" not in end.errors, end.errors
    assert " died" not in end.errors, end.errors
    document = end.document
    if document is None or document.get("error_type") == "KeyboardInterrupt":
        # Before the run, or after its end while the report was to be written: there is no report then. The
        # interpreter that begins or ends is killed by a signal as any is; a shell shows that as the same status.
        assert end.status in (130, *(-number for number in end.signals)), end.errors
        assert "running" not in end.errors or ", completed, " in end.errors, end.errors
        return
    interrupted_by = document["interrupted_by"]
    assert interrupted_by is None or interrupted_by in {number.name for number in end.first}
    assert document["status"] in ("completed", "cancelled")
    if interrupted_by is not None:
        assert end.status == 128 + signal.Signals[interrupted_by]
    elif end.status:  # it came behind a whole report: while that was flushed, or while the interpreter ended
        assert document["status"] == "completed"
        assert end.status in (130, *(-number for number in end.signals)), end.errors
        assert end.status != 130 or "factflow: interrupted" in end.errors, end.errors
    routes = document.get("routes")
    if routes is None:
        assert document["error"] == "interrupted before it had started"
        return
    source, work, sink = routes["source"], routes["work"], routes["sink"]
    ended = {name: sum(route["outcomes"].values()) for name, route in routes.items()}
    assert all(route["received"] == ended[name] for name, route in routes.items()), "nothing is in flight any more"
    assert work["emitted"] == work["outcomes"]["completed"] == ended["sink"] + sink["waiting"]
    assert source["emitted"] == ended["work"] + work["waiting"]
    # The one input: it is done with, with all that it led to, or it waits where it was.
    done = source["outcomes"]["completed"] - source["emitted"]
    assert done + source["waiting"] == 1
    assert source["emitted"] == ITEMS if done else source["emitted"] <= ITEMS
    if document["status"] == "completed":
        assert ended["sink"] == ITEMS


def drained(files: Path, seed: int) -> End:
    """One signal at a random instant, to a pipeline that is well."""
    instants = random.Random(seed)
    number = BOTH[seed % 2]
    end = run_signalled(files, "healthy.yaml", [(instants.uniform(0, LONGEST_SECONDS), number)])
    assert_as_documented(end)
    if end.document is not None and "routes" in end.document:
        assert end.document["status"] == "completed", "one signal drains, and there was time enough to"
        assert end.document["held"] == []
    assert end.seconds_since_signal < GONE_WITHIN_SECONDS
    return end


def cancelled(files: Path, seed: int) -> End:
    """Two signals at random instants, to a pipeline that would take for ever, or is well."""
    instants = random.Random(seed)
    first, between = BOTH[seed % 2], instants.uniform(0.001, 0.2)
    # Two alike in quick succession are one to a process that has not had its turn meanwhile: the system sees to that.
    second = instants.choice(BOTH) if between > APART_SECONDS else BOTH[1 - seed % 2]
    signals = [(instants.uniform(0, LONGEST_SECONDS), first), (between, second)]
    pipeline = "healthy.yaml" if seed % 4 == 0 else "held.yaml"
    end = run_signalled(files, pipeline, signals, "--drain-timeout", "3600")
    assert_as_documented(end)
    assert end.seconds_since_signal < GONE_WITHIN_SECONDS
    return end


@pytest.mark.timeout(90)
@pytest.mark.parametrize("seed", range(4))
def test_one_signal_drains(files: Path, seed: int) -> None:
    drained(files, seed)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("seed", range(1, 5))
def test_two_signals_cancel(files: Path, seed: int) -> None:
    cancelled(files, seed)


@pytest.mark.slow
def test_hundreds_of_processes_drain(files: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda seed: drained(files, seed), range(1000, 1150)))
    assert {end.status for end in ends} >= {130, 143}


@pytest.mark.slow
def test_hundreds_of_processes_cancel(files: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda seed: cancelled(files, seed), range(2000, 2150)))
    reports = [end.document for end in ends if end.document is not None and "interrupted_by" in end.document]
    statuses = {report["status"] for report in reports}
    assert statuses == {"completed", "cancelled"}
    assert any(report.get("held") for report in reports)
