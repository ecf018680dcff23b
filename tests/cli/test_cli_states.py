"""Stages with `snapshot` in real processes that are killed, drained and cancelled, alone and two at a time, until one ends.

Before and after them stages that fail, fan out and drop. A process says itself when it dies, at its so-many-th message; the
soak kills from outside too, at any time.
"""

import json
import random
import signal
import subprocess
import sys

import pytest

from support.dying_executions import DyingExecutions

pytestmark = pytest.mark.timeout(300)
URL = "sqlite:///q.db?lease=1&durability=process"
FACTFLOW = [sys.executable, "-c", "from factflow_engine.cli import main; main()"]
RUN = [*FACTFLOW, "run", "p.yaml", "--adapters", "parts.py", "--queue", URL, "--id", "nightly", "--progress", "none"]
PIPELINE = """\
version: "1.0"
name: states
processor: {snapshot_seconds: SECONDS}
routes:
  source: {adapters: [{type: numbers}], outbound: [{route: store}]}
  store:
    inbound: {concurrency: 4, prefetch: 10}
    adapters:
      - {type: ledger}
      - {type: flaky}
      - {type: ledger, name: late}
      - {type: write_jsonl, config: {path: out.jsonl}}
    error_handling: {max_retries: 2, retry_delay_seconds: 0.01, jitter: none, dead_letter_queue: /queue/dead}
init_message: {route: source, payload: {n: MESSAGES}}
"""
PARTS = """\
import os, signal
import trio
from gathering import all_here
from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter

HOW, AT = os.environ.get("DIE", "never 0").split()

class Numbers(PipelineAdapter):
    adapter_type = "numbers"
    async def process(self, context):
        return AdapterResult(emitted=({"n": n} for n in range(context.message["n"])))

class Ledger(StatefulAdapter):
    adapter_type = "ledger"
    def __init__(self):
        self.kept = []
    async def open(self, stage):
        self.by = stage.stage
    async def process(self, context):
        message = context.message
        await trio.sleep(0.001)
        if "by" in message:
            return AdapterResult.forward()
        self.kept.append([message["n"], message.get("part", -1)])
        if self.by == "late":
            return AdapterResult.forward()
        if message["n"] % 7 == 0:
            return None
        if message["n"] % 5 == 0:
            return AdapterResult(emitted=[{"n": message["n"], "part": part} for part in range(3)])
        return AdapterResult.forward()
    def snapshot(self):
        return self.kept
    def restore(self, state):
        self.kept += state
    async def finish(self):
        return AdapterResult(message={"by": self.by, "kept": sorted(self.kept)})

class Flaky(PipelineAdapter):
    adapter_type = "flaky"
    handled = 0
    async def process(self, context):
        await all_here()
        await trio.sleep(0.002)
        Flaky.handled += 1
        if HOW != "never" and Flaky.handled == int(AT):
            os.kill(os.getpid(), signal.SIGKILL if HOW == "kill" else signal.SIGTERM)
        n = context.message.get("n", 1)
        if n % 11 == 0:
            raise ValueError("never")
        if n % 3 == 0 and context.attempt < 2:
            raise OSError("not yet")
        return AdapterResult.forward()
"""
HOWS = ["kill", "drain", "hasty", "cancel"]


class Executions(DyingExecutions):
    """Processes of one execution, in a folder of their own."""

    def __init__(self, folder, messages=150, seconds=0.05):
        super().__init__(folder, RUN, last="out.jsonl")
        self.messages = messages
        text = PIPELINE.replace("MESSAGES", str(messages)).replace("SECONDS", str(seconds))
        (folder / "p.yaml").write_text(text)
        (folder / "parts.py").write_text(PARTS)

    def check(self):
        """See that what was said, written and given up is that of an undisturbed run, each once."""
        numbers = range(self.messages)
        made = [[n, part] for n in numbers if n % 7 for part in (range(3) if n % 5 == 0 else [-1])]
        passed = sorted(each for each in made if each[0] % 11)
        lines = [json.loads(line) for line in (self.folder / "out.jsonl").read_text().splitlines()]
        said = {line["by"]: line["kept"] for line in lines if "by" in line}
        assert said["ledger"] == [[n, -1] for n in numbers]
        assert said["late"] == passed
        assert sorted([line["n"], line.get("part", -1)] for line in lines if "n" in line) == passed
        assert len(lines) == len(passed) + 2, "each stage has spoken once"
        dead = [*FACTFLOW, "queue", "stats", URL, "-o", "json"]
        document = json.loads(subprocess.run(dead, cwd=self.folder, check=True, capture_output=True).stdout)
        assert (document["states"], document["answers"]) == (0, 0)
        waiting = {line["queue"]: line["waiting"] for line in document["lines"] if line["waiting"]}
        assert waiting == {"exec:nightly:/queue/dead": len(made) - len(passed)}


@pytest.mark.parametrize("deaths", [[("kill", 40), ("hasty", 30)], [("kill", 25), ("kill", 60), ("cancel", 20)]])
def test_states_are_those_of_an_undisturbed_run_whatever_ends_the_processes(tmp_path, deaths):
    executions = Executions(tmp_path)
    for how, at in deaths:
        executions.start(how, at).wait(120)
    executions.complete()
    executions.check()


@pytest.mark.parametrize("how", ["kill", "drain"])
def test_two_processes_share_the_states_of_one_execution(tmp_path, how):
    executions = Executions(tmp_path)
    executions.run_together((how, 30), ("never", 0))
    executions.complete()
    executions.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_no_state_is_lost_or_doubled_however_often_processes_end(tmp_path, seed):
    chance = random.Random(seed)
    # So many that all who die here cannot complete them: whoever starts after the end begins a new execution.
    executions = Executions(tmp_path, messages=500, seconds=chance.choice([0.01, 0.1, 1]))
    for _ in range(chance.randrange(2, 6)):
        running = [
            executions.start(chance.choice(HOWS), chance.randrange(1, 40)) for _ in range(chance.randrange(1, 3))
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
