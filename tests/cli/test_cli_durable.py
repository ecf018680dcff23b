"""`factflow run --queue`: messages that outlive the process, their dead letters, and what cannot be such a queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert factflow("dlq", "requeue", url, "exec:letters:/queue/dead", "--all").status == 0
    (tmp_path / "mended").touch()
    said = run("--queue", url)
    assert said.document["routes"]["a"]["received"] == 1, "no init message is published again while there is work"
    assert waiting(factflow, url) == {"exec:letters:/queue/out": 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--id", "x"], "add --queue"),
        (["--queue", "redis://somewhere"], "write sqlite:///"),
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
