"""Standard streams that are closed, full or without a reader never change what a run does."""

import json
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="closes descriptors by the shell, and writes to /dev/full"),
]
COMMAND = f"{sys.executable} -W error -c 'from factflow_engine.cli import main; main()'"
PIPELINE = """\
version: "1.0"
name: streams
routes:
  r:
    adapters:
      - {type: log, config: {text: "a line"}}
      - {type: write_jsonl, config: {path: out.jsonl}}
init_message: {route: r, payload: {a: 1}}
"""


@pytest.fixture
def shell(tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)

    def run(text):
        return subprocess.run(
            ["/bin/bash", "-c", text.replace("factflow", COMMAND)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(exec true)", ">/dev/null 2>&-"]
)
def test_a_stream_that_cannot_be_written_changes_nothing(tmp_path, shell, redirection, output):
    ended = shell(f"factflow run p.yaml --progress plain --output {output} {redirection}")
    assert ended.returncode == 0
    assert (tmp_path / "out.jsonl").read_text() == '{"a":1}\n'


def test_a_file_that_is_opened_never_takes_the_place_of_a_stream(tmp_path, shell):
    ended = shell("factflow run p.yaml --progress plain --queue sqlite:///q.db 0<&- 1>&- 2>&-")
    assert ended.returncode == 0
    assert (tmp_path / "q.db").read_bytes().startswith(b"SQLite format 3\0")
    assert (tmp_path / "out.jsonl").read_text() == '{"a":1}\n'


def test_results_that_cannot_be_written_are_an_error(shell):
    ended = shell("factflow adapters list > /dev/full")
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_error_is_told_by_the_status_where_nothing_can_be_said(shell):
    assert shell("factflow run nowhere.yaml 2>/dev/full").returncode == 2


@pytest.mark.parametrize(("columns", "wrapped"), [("0", False), ("-1", False), ("wide", False), ("60", True)])
def test_only_a_width_that_is_one_wraps(shell, columns, wrapped):
    listed = shell(f"COLUMNS={columns} factflow adapters list").stdout
    assert "walk_directory" in listed
    assert (max(map(len, listed.splitlines())) <= 60) is wrapped


def test_a_document_is_whole_whatever_becomes_of_standard_error(shell):
    ended = shell("factflow run p.yaml --output json 2>&-")
    assert json.loads(ended.stdout)["status"] == "completed"
