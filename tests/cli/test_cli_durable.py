"""`factflow run --queue`: messages that outlive the process, their dead letters, and what cannot be such a queue."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FACTFLOW = [sys.executable, "-c", "from factflow_engine.cli import main; main()"]

PICKY = """\
from factflow_protocols import AdapterResult, PipelineAdapter
from pathlib import Path

class Picky(PipelineAdapter):
    adapter_type = "picky"
    async def process(self, context):
        if context.message["n"] == 2 and not Path(__file__).with_name("mended").exists():
            raise ValueError("two is broken")
        return AdapterResult.forward()
"""

LETTERS = """\
version: "1.0"
name: letters
routes:
  a:
    adapters: [{type: picky}]
    outbound: [{queue: /queue/out}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0, dead_letter_queue: /queue/dead}
init_message: [{route: a, payload: {n: 1}}, {route: a, payload: {n: 2}}]
"""


@pytest.fixture
def run(factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "picky.py").write_text(PICKY)

    def call(*options: str) -> Any:
        return factflow("run", pipeline(LETTERS), "--adapters", tmp_path / "picky.py", "-o", "json", *options)

    return call


def waiting(factflow: Callable[..., Any], url: str) -> dict[str, int]:
    document = factflow("queue", "stats", url, "-o", "json").document
    return {line["queue"]: line["waiting"] for line in document["lines"] if line["waiting"]}


def test_a_dead_letter_is_put_back_and_the_next_run_carries_it(
    factflow: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    said = run("--queue", url)
    assert said.status == 0, said.err
    assert said.document["execution_id"] == "letters"
    assert said.document["outcomes"]["dead_lettered"] == 1
    assert waiting(factflow, url) == {"exec:letters:/queue/dead": 1, "exec:letters:/queue/out": 1}
    [letter] = factflow("dlq", "list", url, "exec:letters:/queue/dead", "-o", "json").document["dead_letters"]
    assert (letter["queue"], letter["error"]) == ("exec:letters:/queue/a", "two is broken")
    assert factflow("dlq", "requeue", url, "exec:letters:/queue/dead", "--all", "--yes").status == 0
    (tmp_path / "mended").touch()
    said = run("--queue", url)
    assert said.document["routes"]["a"]["received"] == 1, "no init message is published again while there is work"
    assert waiting(factflow, url) == {"exec:letters:/queue/out": 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--id", "x"], "add --queue"),
        (["--queue", "redis://somewhere"], "no queue provider has the scheme 'redis'; the schemes are memory, sqlite"),
        (["--queue", "sqlite://q.db"], "write sqlite:///relative"),
        (["--queue", "memory://x"], "write memory://"),
        (["--queue", "sqlite:///q.db", "--id", "a b"], "1 to 64 letters"),
    ],
)
def test_wrong_options_say_what_to_write(run: Callable[..., Any], options: list[str], said: str) -> None:
    came = run(*options)
    assert came.status == 2
    assert said in came.err


def test_a_file_that_is_no_queue_is_named(run: Callable[..., Any], tmp_path: Path) -> None:
    said = run("--queue", f"sqlite:///{tmp_path / 'picky.py'}")
    assert said.status == 1
    assert "is not a usable SQLite file" in said.err


LOSES = """\
from factflow_protocols import AdapterResult, StatefulAdapter

class Total(StatefulAdapter):
    adapter_type = "total"
    total = 0
    async def process(self, context):
        self.total += context.message["n"]
        return AdapterResult.forward()
    async def finish(self):
        return AdapterResult(message={"total": self.total})
"""

LOSSY = """\
version: "1.0"
name: lossy
routes:
  a: {adapters: [{type: total}], outbound: [{queue: /queue/out}]}
init_message: {route: a, payload: {n: 1}}
"""


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_stage_that_a_crash_would_take_its_state_from_is_refused_unless_losses_are_allowed(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path, command: str
) -> None:
    (tmp_path / "loses.py").write_text(LOSES)
    path, url = pipeline(LOSSY), f"sqlite:///{tmp_path / 'q.db'}"
    words = ["run"] if command == "run" else ["config", "validate"]

    def call(*options: str) -> Any:
        return factflow(*words, path, "--adapters", tmp_path / "loses.py", *options)

    said = call("--queue", url)
    assert said.status == 2
    assert "E306" in said.out + said.err
    assert "--allow-loss" in said.out + said.err
    assert not (tmp_path / "q.db").exists(), "nothing was begun"
    said = call("--queue", url, "--allow-loss")
    assert said.status == 0, said.err
    assert (tmp_path / "q.db").exists() == (command == "run")
    said = call("--queue", "memory://") if command == "validate" else call()
    assert said.status == 0, said.err
    assert "E306" not in said.out + said.err


def test_validate_refuses_a_queue_that_run_would_refuse(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    said = factflow("config", "validate", pipeline(LOSSY), "--queue", "redis://somewhere")
    assert (said.status, "the schemes are memory, sqlite" in said.err) == (2, True)


GOES_ON = """\
version: "1.0"
name: on
routes:
  a: {inbound: {concurrency: 1}, adapters: [{type: split, config: {field: xs}}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 1}, adapters: [{type: stops}]}
init_message: {route: a, payload: {xs: []}}
"""

STOPS = """\
import os, signal
from factflow_protocols import AdapterResult, PipelineAdapter
import trio

class Stops(PipelineAdapter):
    adapter_type = "stops"
    async def process(self, context):
        with open(__file__ + ".handled", "a") as file:
            file.write(f"{context.message}\\n")
        if not os.path.exists(__file__ + ".go_on") and context.message == 3:
            os.kill(os.getpid(), signal.SIG)
            await trio.sleep_forever()
        return AdapterResult.forward()
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("sig", ["SIGTERM", "SIGKILL"])
def test_the_same_command_with_a_payload_goes_on_and_says_what_it_does_not_publish(
    sig: str, factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    module = tmp_path / "stops.py"
    module.write_text(STOPS.replace("SIG)", f"{sig})"))
    url = f"sqlite:///{tmp_path / 'q.db'}?lease=0.5"
    command = ["run", str(pipeline(GOES_ON)), "--adapters", str(module), "--queue", url, "--drain-timeout", "0"]
    command += ["--set-payload", '{"xs": [1, 2, 3, 4, 5]}', "-o", "json"]
    first = subprocess.run([*FACTFLOW, *command], capture_output=True, check=False)
    assert first.returncode == (-9 if sig == "SIGKILL" else 143), first.stderr
    module.with_name("stops.py.go_on").touch()
    said = factflow(*command)
    assert said.status == 0, said.err
    left = said.document["routes"]["b"]["received"]
    assert left >= 3, "what had ended just before the kill may not be acknowledged, and comes again"
    assert "the payload of --set-payload was not published: execution 'on' goes on with what it has left, " in said.err
    assert "factflow queue forget" in said.err
    handled = [int(line) for line in module.with_name("stops.py.handled").read_text().split()]
    assert handled[:3] == [1, 2, 3]
    assert sorted(handled[3:]) == [1, 2, 3, 4, 5][-left:]
    said = factflow(*command)
    assert said.document["routes"]["a"]["received"] == 6, "it had completed, and begins anew"
    assert "was not published" not in said.err


@pytest.mark.timeout(90)
def test_commands_started_together_publish_once_however_fast_the_first_is_through(
    pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    path = pipeline(
        'version: "1.0"\nname: n\nroutes: {a: {adapters: [{type: log}]}}\ninit_message: {route: a, payload: 1}'
    )
    command = [
        *FACTFLOW,
        "run",
        str(path),
        "--queue",
        f"sqlite:///{tmp_path / 'q.db'}",
    ]
    together = [subprocess.Popen([*command, "-o", "json"], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    documents = [json.loads(process.communicate()[0]) for process in together]
    assert [document["status"] for document in documents] == ["completed"] * 3
    assert sum(document["routes"]["a"]["received"] for document in documents) == 1
