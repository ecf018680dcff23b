"""`factflow run` of pipelines that read standard input and write standard output: nothing else comes in between."""

import json
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(120)
COMMAND = [sys.executable, "-W", "error", "-c", "from factflow_engine.cli import main; main()", "run"]
THROUGH = """\
version: "1.0"
name: through
routes:
  r:
    adapters:
      - {type: read_stdin, config: {format: json}}
      - {type: call, config: {function: "printing:shout"}}
      - {type: write_stdout}
init_message: {route: r, payload: {}}
"""
PRINTING = """\
def shout(message):
    print("a line of the function's own")
    return message
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "printing.py").write_text(PRINTING)
    (tmp_path / "p.yaml").write_text(THROUGH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*options, **streams):
        return subprocess.run(
            [*COMMAND, "p.yaml", *options],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
            **streams,
        )

    return run


@pytest.mark.parametrize("sink", ["{type: write_stdout}", "{type: write_jsonl, config: {path: /dev/stdout}}"])
@pytest.mark.parametrize("queue", [(), ("--queue", "sqlite:///q.db")])
def test_only_the_lines_are_on_standard_output(tmp_path, run, queue, sink):
    (tmp_path / "p.yaml").write_text(THROUGH.replace("{type: write_stdout}", sink))
    text = "".join(f'{{"i":{number}}}\n' for number in range(2000))
    ended = run("--progress", "none", *queue, input=text)
    assert sorted(ended.stdout.splitlines()) == sorted(text.splitlines())
    assert ended.stderr.count("a line of the function's own") == 2000
    assert "completed" in ended.stderr  # the report
    assert ended.returncode == 0


def test_a_json_report_is_refused_where_a_stage_writes_lines(run):
    ended = run("--output", "json", input="")
    assert ended.returncode == 2
    assert "stage 'r/write_stdout' writes lines" in json.loads(ended.stdout)["error"]


def test_a_reader_that_leaves_is_one_error(tmp_path, run):
    text = "".join(f'{{"i":{number}}}\n' for number in range(200_000))
    (tmp_path / "many").write_text(text)
    with (
        (tmp_path / "many").open() as many,
        subprocess.Popen(
            [*COMMAND, "p.yaml", "--progress", "none"],
            cwd=tmp_path,
            stdin=many,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 1
    assert "write_stdout cannot write to standard output: its reader has closed it" in errors
    assert "message failed" not in errors
    assert "messages failed" not in errors


def test_an_interrupt_ends_the_wait_for_input(tmp_path, run):
    with subprocess.Popen(
        [*COMMAND, "p.yaml", "--progress", "none", "--drain-timeout", "0"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write('{"first":1}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"first": 1}  # before more has come
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        process.stdin.close()
        assert "Traceback" not in process.stderr.read()
