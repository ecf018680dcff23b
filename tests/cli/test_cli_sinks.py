"""Every built-in sink in real processes that are killed, drained and cancelled, alone and two at a time, until one ends.

The process itself says when it dies, at its so-many-th message: nothing here depends on the machine's speed. The soak
kills from outside, at any time.
"""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from support.dying_executions import DyingExecutions

pytestmark = pytest.mark.timeout(300)
COMMAND = [sys.executable, "-c", "from factflow_engine.cli import main; main()", "run", "p.yaml"]
OPTIONS = ["--adapters", "parts.py", "--queue", "sqlite:///q.db?lease=1&durability=process", "--id", "nightly"]
PIPELINE = """\
version: "1.0"
name: sinks
routes:
  source: {adapters: [{type: numbers}], outbound: [{route: store}]}
  store:
    inbound: {concurrency: 4, prefetch: 10}
    adapters:
      - {type: work}
      - {type: write_jsonl, config: {path: out.jsonl, existing: EXISTING}}
      - {type: write_sqlite, config: {path: out.db, table: rows, columns: {i: i}}}
      - {type: write_stdout}
      - {type: count_by_field, config: {field: kind, messages: end}}
    outbound: [{route: said}]
  said: {adapters: [{type: write_jsonl, config: {path: summary.jsonl}}]}
init_message: {route: source, payload: {n: MESSAGES}}
"""
PARTS = """\
import os, signal
import trio
from gathering import all_here
from factflow_protocols import AdapterResult, PipelineAdapter

HOW, AT = os.environ.get("DIE", "never 0").split()

class Numbers(PipelineAdapter):
    adapter_type = "numbers"
    async def process(self, context):
        return AdapterResult(emitted=({"i": i, "kind": "abc"[i % 3]} for i in range(context.message["n"])))

class Work(PipelineAdapter):
    adapter_type = "work"
    handled = 0
    async def process(self, context):
        await all_here()
        await trio.sleep(0.002)
        Work.handled += 1
        if HOW != "never" and Work.handled == int(AT):
            os.kill(os.getpid(), signal.SIGKILL if HOW == "kill" else signal.SIGTERM)
        return AdapterResult.forward()
"""


class Executions(DyingExecutions):
    """Processes of one execution, in a folder of their own."""

    def __init__(self, folder, existing, messages=150, without=()):
        super().__init__(folder, [*COMMAND, *OPTIONS, "--progress", "none"], last="summary.jsonl", keeps_output=True)
        self.messages, self.without = messages, without
        text = PIPELINE.replace("MESSAGES", str(messages)).replace("EXISTING", existing)
        kept = [line for line in text.splitlines() if not any(f"type: {sink}" in line for sink in without)]
        (folder / "p.yaml").write_text("\n".join(kept))
        (folder / "parts.py").write_text(PARTS)
        self.old = [1000, 1001]
        (folder / "out.jsonl").write_text("".join(f'{{"i":{i}}}\n' for i in self.old))
        self.existing = existing

    def check(self):
        """See that the output is that of an undisturbed run, each message in it once."""
        expected = list(range(self.messages))
        lines = [json.loads(line)["i"] for line in (self.folder / "out.jsonl").read_text().splitlines()]
        old = self.old if self.existing == "append" else []
        assert lines[: len(old)] == old
        assert sorted(lines[len(old) :]) == expected
        if "write_sqlite" not in self.without:
            connection = sqlite3.connect(self.folder / "out.db")
            assert connection.execute("SELECT i FROM rows ORDER BY i").fetchall() == [(i,) for i in expected]
            connection.close()
        [summary] = [json.loads(line) for line in (self.folder / "summary.jsonl").read_text().splitlines()]
        assert summary["counts"] == Counter("abc"[i % 3] for i in expected)
        assert (summary["missing"], summary["other"], summary["total"]) == (0, 0, self.messages)
        if "write_stdout" not in self.without:
            written = (self.folder / "stdout").read_text().splitlines()
            assert {json.loads(line)["i"] for line in written} == set(expected)
        assert [path.name for path in self.folder.iterdir() if "staging" in path.name or ".tmp" in path.name] == []


HOWS = ["kill", "drain", "hasty", "cancel"]


@pytest.mark.parametrize(
    ("existing", "deaths"),
    [
        ("append", [("kill", 20), ("drain", 50)]),
        ("replace", [("cancel", 70), ("kill", 15)]),
    ],
)
def test_output_is_that_of_an_undisturbed_run_whatever_ends_the_processes(tmp_path, existing, deaths):
    executions = Executions(tmp_path, existing)
    for how, at in deaths:
        executions.start(how, at).wait(120)
    executions.complete()
    executions.check()


def test_a_cancelled_process_stores_what_it_acknowledges(tmp_path):
    executions = Executions(tmp_path, "append", without=("write_sqlite", "write_stdout"))
    executions.start("cancel", 70).wait(120)
    executions.complete()
    executions.check()


@pytest.mark.parametrize("how", ["kill", "cancel"])
def test_two_processes_share_the_output_of_one_execution(tmp_path, how):
    executions = Executions(tmp_path, "append")
    executions.run_together((how, 30), ("never", 0))
    executions.complete()
    executions.check()


@pytest.mark.parametrize("stage", [None, "store/write_jsonl"])
def test_what_is_stored_of_an_execution_that_nobody_goes_on_with_is_forgotten_with_it(tmp_path, stage):
    executions = Executions(tmp_path, "append", without=("write_sqlite", "write_stdout"))
    executions.start("kill", 40).wait(120)
    staging = [path.name for path in tmp_path.glob(".out*.staging")]
    assert len(staging) == 1
    other = [*COMMAND, *OPTIONS[:-1], "other", "--progress", "none"]
    subprocess.run(other, cwd=tmp_path, check=True, capture_output=True)
    lines = [json.loads(line)["i"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[:2] == executions.old
    assert sorted(lines[2:]) == list(range(executions.messages)), "a new execution has nothing of the old one's"
    forget = [*COMMAND[:-2], "queue", "forget", OPTIONS[3], "--execution", "nightly", "--yes", "-o", "json"]
    forget += ["--stage", stage] if stage else []
    deadline = 50
    while (said := subprocess.run(forget, cwd=tmp_path, capture_output=True, check=False)).returncode and deadline:
        assert b"lease" in said.stderr, said.stderr
        assert (tmp_path / staging[0]).exists(), "while its process may live, nothing is deleted"
        deadline -= 1
        time.sleep(0.2)
    document = json.loads(said.stdout)
    assert str(tmp_path / staging[0]) in document["files"]
    assert list(tmp_path.glob(".out*")) == []
    assert bool(list(tmp_path.glob(".summary*"))) is (stage is not None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_or_doubled_however_often_processes_end(tmp_path, seed):
    chance = random.Random(seed)
    # So many that all who die here cannot complete them: whoever starts after the end begins a new execution.
    executions = Executions(tmp_path, chance.choice(["append", "replace"]), messages=400)
    for _ in range(chance.randrange(1, 5)):
        running = [
            executions.start(chance.choice(HOWS), chance.randrange(1, 30)) for _ in range(chance.randrange(1, 3))
        ]
        for process in running:
            if chance.random() < 0.5:
                try:
                    process.wait(chance.uniform(0.5, 4))
                except subprocess.TimeoutExpired:
                    process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            process.wait(120)
    executions.complete()
    executions.check()
