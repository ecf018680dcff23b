"""Campaigns in forked processes: the same result as in one, and nothing is left of them, whatever ends whom."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from factflow_engine import ExecutionStartError
from factflow_engine.testing.simulation import (
    SimulationError,
    explore,
)
from factflow_protocols import PipelineAdapter
from support.pipelines import registry_of
from testing.test_exploring import RARE, all_arrive, orders
from testing.test_simulate import HEAD


def test_forked_runs_find_what_those_of_one_process_find():
    options = {"registry": registry_of(), "inputs": orders, "check": all_arrive, "stop_at": 1000, "shrinks": False}
    told = []
    alone = explore(RARE, seeds=range(40), **options)
    forked = explore(RARE, seeds=range(40), jobs=2, progress=lambda done, of: told.append((done, of)), **options)
    assert forked.failed_seeds == alone.failed_seeds
    assert forked.counts == alone.counts
    assert told[-1] == (40, 40)


def test_an_error_of_a_forked_run_is_that_of_the_run():
    class Refuses(PipelineAdapter):
        def __init__(self):
            raise RuntimeError("no licence")

        async def process(self, context): ...

    registry = registry_of(refuses=Refuses)
    text = HEAD + "routes:\n  a: {adapters: [{type: refuses}]}\n"
    for jobs in (1, 2):
        with pytest.raises(ExecutionStartError, match="no licence"):
            explore(text, registry=registry, seeds=range(40), jobs=jobs)


def test_runs_of_a_process_that_was_killed_are_missed():
    def check(report):
        if report.seed == 17 and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(SimulationError, match=r"(16|32) runs were not made: a forked process has died"):
        explore(RARE, registry=registry_of(), inputs=orders, check=check, seeds=range(160), jobs=2)


def test_forked_processes_end_in_a_caller_that_goes_on_after_sigterm():
    program = textwrap.dedent(
        """
        import signal
        from factflow_engine.testing.simulation import explore

        signal.signal(signal.SIGTERM, lambda *_: None)
        text = "version: '1.0'\\nroutes:\\n  a: {outbound: [{queue: /queue/out, external: true}]}\\n"
        explore(text, inputs={"a": [1]}, seeds=range(8), jobs=2).check()
        """
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_files_of_runs_that_were_ended_with_their_process_are_removed(monkeypatch, tmp_path):
    def check(report):
        assert report.seed != 3

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    inputs = {"orders": [{"pieces": 1}] * 20}
    campaign = explore(
        RARE,
        registry=registry_of(),
        inputs=inputs,
        check=check,
        seeds=range(400),
        jobs=2,
        queue="sqlite://",
        shrinks=False,
    )
    assert campaign.failed_seeds == (3,)
    assert not list(tmp_path.iterdir())


KILLED = """
import multiprocessing, os, signal
from factflow_engine.testing.simulation import explore

def killed(done, of):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

TEXT = "version: '1.0'\\nroutes:\\n  a: {outbound: [{queue: /queue/out, external: true}]}\\n"
explore(TEXT, inputs={"a": range(100)}, seeds=range(100_000), jobs=2, progress=killed)
"""


def test_forked_processes_end_with_a_caller_that_was_killed(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # nobody removes its files
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = {int(pid) for pid in killed.stdout.split()}
    assert len(left) == 2
    ends_by = time.monotonic() + 30
    while left:
        left = {pid for pid in left if Path(f"/proc/{pid}").exists()}
        assert time.monotonic() < ends_by
        time.sleep(0.05)


def test_more_processes_than_there_is_work_are_not_forked():
    found = explore(RARE, registry=registry_of(), inputs=orders, seeds=[0, 1], jobs=10**9)
    assert found.counts.runs == 2
