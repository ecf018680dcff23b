"""`factflow run --record`: a run becomes a test, or it is said why not; a run that is not recorded pays nothing."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from factflow_engine.testing.config_tests.recorded_file import HEAD

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_index"
PIPELINE = """\
version: "1.0"
routes:
  feed:
    adapters: [{type: feed}]
    outbound_mode: first
    outbound:
      - {queue: /queue/more, external: true, condition: {field: n, operator: gte, value: 2}}
      - {route: small}
  small: {adapters: [{type: set_fields, config: {fields: {small: true}}}], outbound: [{queue: /queue/less, external: true}]}
init_message: {route: feed, payload: {count: 4}}
"""
FEED = """\
import os
import signal
from factflow_engine import AdapterResult, PipelineAdapter
class Feed(PipelineAdapter):
    adapter_type = "feed"
    async def process(self, context):
        if context.message["count"] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return AdapterResult(emitted=({"n": n} for n in range(context.message["count"])))
"""


@pytest.fixture
def feed(pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    pipeline(PIPELINE, "feed.yaml")
    pipeline(FEED, "feed.py")
    return ("run", "feed.yaml", "-a", "feed.py", "--progress", "none")


def test_a_run_becomes_a_test(factflow, feed, tmp_path) -> None:
    said = factflow(*feed, "--record", "monday.test.yaml")
    assert said.status == 0
    assert said.err == "factflow: the run was recorded as a test: factflow test monday.test.yaml\n"
    assert (tmp_path / "monday.test.yaml").read_text().startswith(f"{HEAD}\npipeline: feed.yaml\n")
    assert factflow("test", "monday.test.yaml").status == 0
    changed = PIPELINE.replace("operator: gte", "operator: gt")
    (tmp_path / "feed.yaml").write_text(changed)
    said = factflow("test", "monday.test.yaml")
    assert said.status == 1
    assert (
        '      outputs of /queue/more\n      --- expected\n      +++ actual\n      @@ -1,2 +1 @@\n      -- "n": 2\n       - "n": 3\n'
        in said.out
    )
    assert "      note: feed.yaml is not the snapshot that was recorded" in said.out
    again = factflow(*feed, "--record", "monday.test.yaml")  # a recording may be replaced by another
    assert again.status == 0
    assert factflow("test", "monday.test.yaml").status == 0


def test_the_payload_of_the_command_line_is_the_input(factflow, feed) -> None:
    said = factflow(*feed, "--set-payload", '{"count": 1}', "--record", "one.test.yaml", "--home", "home", "--tag", "x")
    assert said.status == 0
    text = Path("one.test.yaml").read_text()
    assert "count: 1\n" in text
    assert "/queue/more" not in text
    assert factflow("test", "one.test.yaml").status == 0


def test_a_file_in_a_folder_names_the_pipeline_from_there(factflow, feed, tmp_path) -> None:
    (tmp_path / "tests").mkdir()
    assert factflow(*feed, "--record", "tests/a.test.yaml").status == 0
    assert '\npipeline: "../feed.yaml"\n' in (tmp_path / "tests" / "a.test.yaml").read_text()
    assert factflow("test", "tests").status == 0


def test_another_file_is_not_overwritten(factflow, feed, pipeline) -> None:
    pipeline("tests: []\n", "mine.test.yaml")
    said = factflow(*feed, "--record", "mine.test.yaml")
    assert (said.status, said.out) == (2, "")
    assert "mine.test.yaml: the file is no recording; remove it, or name another file" in said.err
    said = factflow(*feed, "--record", "nowhere/x.test.yaml")
    assert said.status == 2
    assert "there is no folder nowhere" in said.err


def test_a_durable_queue_is_not_recorded(factflow, feed) -> None:
    said = factflow(*feed, "--queue", "sqlite:///q.db", "--record", "x.test.yaml")
    assert said.status == 2
    assert "leave out --queue, or --record" in said.err
    assert not Path("x.test.yaml").exists()


def test_a_run_that_fails_leaves_no_file(factflow, feed, pipeline) -> None:
    pipeline(FEED.replace('if context.message["count"] < 0', 'raise OSError("down")\n        if False'), "feed.py")
    pipeline(PIPELINE + "orchestrator: {max_failed_messages: 0}\n", "feed.yaml")
    said = factflow(*feed, "--record", "x.test.yaml")
    assert said.status == 1
    assert "--record x.test.yaml: no test was written: the run did not complete: it is failed" in said.err
    assert not Path("x.test.yaml").exists()


def test_a_run_that_dies_leaves_the_file_as_it_was(factflow, feed, tmp_path) -> None:
    assert factflow(*feed, "--record", "x.test.yaml").status == 0
    before = (tmp_path / "x.test.yaml").read_bytes()
    program = "from factflow_engine.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", program, *feed, "--set-payload", '{"count": -1}', "--record", "x.test.yaml"],
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    assert (tmp_path / "x.test.yaml").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".x")] == []


def test_a_result_that_something_else_decided_is_said_to_fail(factflow, feed, pipeline) -> None:
    two = "routes:\n  other: {inbound: {queue: /queue/less}, adapters: [{type: log}]}\n"  # which of the two is chance
    pipeline(
        PIPELINE.replace("routes:\n", two)
        .replace("{route: small}", "{queue: /queue/less}")
        .replace("  small: {", "  small: {inbound: {queue: /queue/less}, ")
        .replace("queue: /queue/less, external", "queue: /queue/end, external"),
        "feed.yaml",
    )
    pipeline(FEED.replace("for n in range(context.message", "for n in range(100 * context.message"), "feed.py")
    said = factflow(*feed, "--record", "x.test.yaml")
    assert said.status == 0
    assert "the run was recorded as a test" in said.err
    status = factflow("test", "x.test.yaml").status
    assert ("which does not pass (" in said.err) is (status == 1)


def test_the_demo_becomes_a_test(factflow, tmp_path, monkeypatch) -> None:
    """The example, over one package of the library: all of it is too large for a test."""
    monkeypatch.chdir(tmp_path)
    adapters = (EXAMPLE / "adapters.py").read_text()
    assert adapters.count('sysconfig.get_path("stdlib")\n') == 1
    (tmp_path / "adapters.py").write_text(
        adapters.replace('sysconfig.get_path("stdlib")\n', 'sysconfig.get_path("stdlib") + "/json"\n')
    )
    shutil.copy(EXAMPLE / "pipeline.yaml", tmp_path / "index.yaml")
    text = (tmp_path / "index.yaml").read_text().replace("../../out/stdlib_index", "out")
    (tmp_path / "index.yaml").write_text(text)
    said = factflow(
        "run", "index.yaml", "-a", "adapters.py", "--home", "home", "--progress", "none", "--record", "index.test.yaml"
    )
    assert said.status == 0
    assert said.err.endswith("factflow: the run was recorded as a test: factflow test index.test.yaml\n")
    said = factflow("test", "index.yaml", "--seeds", "3")  # without the adapters
    assert said.status == 0
    assert "(3 seeds)" in said.out
    (tmp_path / "index.yaml").write_text(text.replace("value: module", "value: class"))
    said = factflow("test", "index.yaml")
    assert said.status == 1
    assert "outcomes of modules" in said.out
