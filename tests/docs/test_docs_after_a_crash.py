"""The page "After a crash": its example is killed and resumed, its table says what the classes say."""

import json
import re
import sys

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.keeping import flushes, loses_state, snapshots
from support.doc_pages import DOCS, blocks, files, tables
from support.dying_executions import DyingExecutions

PAGE = DOCS / "after-a-crash.md"
FACTFLOW = [sys.executable, "-c", "from factflow_engine.cli import main; main()"]
BOOKINGS = [{"n": number, "account": "abc"[number % 3], "cents": number * 7 % 100} for number in range(200)]

DEATH = """

# Added by the test: die at the so-many-th message.
import signal

HOW, AT = os.environ["DIE"].split()
HANDLED = []
_process = Totals.process


async def process(self, context):
    await trio.sleep(0.002)
    result = await _process(self, context)
    HANDLED.append(context.message_id)
    if HOW == "kill" and len(HANDLED) == int(AT):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


Totals.process = process
"""


@pytest.mark.timeout(300)
def test_the_example_is_exact_however_often_it_is_killed(tmp_path):
    for name, block in files(PAGE).items():
        (tmp_path / name).write_text(block + DEATH * (name == "bookings.py"))
    (tmp_path / "bookings.jsonl").write_text("".join(json.dumps(booking) + "\n" for booking in BOOKINGS))
    [command] = blocks(PAGE, "sh")
    words = command.replace('"', "").replace("queue.db?lease=1", "q.db?lease=1&durability=process").split()
    assert words[0] == "factflow"
    executions = DyingExecutions(tmp_path, [*FACTFLOW, *words[1:]], last="booked.jsonl")
    deaths = [executions.start("kill", at).wait(120) for at in (30, 60, 45)]
    assert deaths == [-9, -9, -9], (tmp_path / "stderr").read_text()
    executions.complete()

    lines = [json.loads(line) for line in (tmp_path / "booked.jsonl").read_text().splitlines()]
    totals = [line["totals"] for line in lines if "totals" in line]
    assert totals == [
        {account: sum(booking["cents"] for booking in BOOKINGS if booking["account"] == account) for account in "abc"}
    ]
    assert sorted((line for line in lines if "n" in line), key=lambda line: line["n"]) == BOOKINGS
    receipts = [json.loads(path.read_text()) for path in (tmp_path / "receipts").glob("*.json")]
    assert sorted(receipts, key=lambda receipt: receipt["n"]) == BOOKINGS


def test_every_built_in_adapter_has_a_row_that_says_what_its_class_says():
    _, rows = tables(PAGE)
    said = {name: state for cell, state, _ in rows for name in re.findall(r"`(\w+)`", cell)}
    registry = ValidatingAdapterRegistry()
    assert said == {name: state_of(registry.get(name).adapter_class) for name in registry.types()}


def state_of(cls):
    assert not loses_state(cls)
    return "stored" if snapshots(cls) else "flushed" if flushes(cls) else "none"
