"""A pipeline that stores its stages, run in processes of their own that are killed, and what it leaves, to compare.

Used as a module of adapters by those processes, too: `numbers` emits, `square` and `describe` change, `tally` counts all.
"""

import json
import os
import signal
from pathlib import Path

import trio

from factflow_engine import AdapterResult, PipelineAdapter, StatefulAdapter

PIPELINE = """\
version: "1.0"
name: squares
routes:
  source:
    adapters: [{type: numbers, store: true}]
    outbound: [{route: work}]
  work:
    inbound: {concurrency: 4}
    adapters:
      - {type: square, store: true}
      - {type: describe, store: {content_field: text, extension: txt}}
    outbound: [{route: last}]
  last:
    adapters:
      - {type: tally, store: true}
init_message: {route: source, payload: {count: COUNT}}
"""
CALLS = "calls"
"""File to which a process adds a line for each call of `square`."""


def _die_at(number):
    """Kill this process at the call that the test has chosen."""
    if os.environ.get("DIE_AT") == str(number):
        os.kill(os.getpid(), signal.SIGKILL)


class Numbers(PipelineAdapter):
    """Emits numbers."""

    adapter_type = "numbers"

    async def process(self, context):
        return AdapterResult(emitted=({"n": number} for number in range(context.message["count"])))


class Square(PipelineAdapter):
    """Squares a number."""

    adapter_type = "square"

    calls = 0

    async def process(self, context):
        self.calls += 1
        number = context.message["n"]
        with Path(CALLS).open("a") as file:
            file.write(f"{number}\n")
        await trio.sleep(0)
        _die_at(f"square {self.calls}")
        return AdapterResult(message={"n": number, "square": number**2})


class Describe(PipelineAdapter):
    """Describes it in words."""

    adapter_type = "describe"

    calls = 0

    async def process(self, context):
        self.calls += 1
        _die_at(f"describe {self.calls}")
        message = context.message
        return AdapterResult(message={**message, "text": f"the square of {message['n']} is {message['square']}"})


class Tally(StatefulAdapter):
    """Counts, and sums the squares."""

    adapter_type = "tally"

    def __init__(self):
        self.count = self.sum = 0

    async def process(self, context):
        self.count += 1
        self.sum += context.message["square"]

    def snapshot(self):
        return [self.count, self.sum]

    def restore(self, state):
        self.count += state[0]
        self.sum += state[1]

    async def finish(self):
        _die_at("finish")
        return AdapterResult(message={"count": self.count, "sum": self.sum})


def write_pipeline(folder, count):
    (folder / "pipeline.yaml").write_text(PIPELINE.replace("COUNT", str(count)))


def calls_of(folder):
    """Numbers that `square` was called for, in all processes."""
    path = folder / CALLS
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def contents(folder):
    """Stage, bytes, type and declared metadata of each object, without ids: those of two executions can be compared.

    Metadata that differs from run to run is left out: the execution, ids, times and attempts.
    """
    found = []
    for path in sorted((folder / ".factflow" / "objects" / "executions").rglob("*")):
        if not path.is_file() or path.name.endswith(".meta.json") or path.name.startswith(".factflow-"):
            continue
        route, stage = path.parts[-3:-1]
        metadata = path.with_name(path.name + ".meta.json").read_text()
        described = json.loads(metadata)
        found.append((route, stage, path.suffix, path.read_bytes(), _stable(described)))
    return sorted(found)


def _stable(value):
    """The parts of a sidecar that are the same in each run, as text."""
    if isinstance(value, dict):
        unstable = {"execution", "message_id", "correlation_id", "parent_id", "time", "attempt", "config_hash"}
        return json.dumps({name: _stable(item) for name, item in sorted(value.items()) if name not in unstable})
    if isinstance(value, list):
        return json.dumps([_stable(item) for item in value])
    return json.dumps(value)
