"""Results for programs: whatever modules, libraries, child processes and exit handlers print, nothing comes between."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)
COMMAND = [sys.executable, "-W", "error", "-c", "from factflow_engine.cli import main; main()"]
NOISY = """\
import atexit, os, subprocess, sys
from factflow_protocols import AdapterResult, PipelineAdapter

def everywhere(text):
    print(text, "by print")
    os.write(1, f"{text} by the descriptor\\n".encode())
    sys.__stdout__.write(f"{text} by the first stream\\n")
    subprocess.run([sys.executable, "-c", f"print('{text} by a child')"], check=True)
    with open("/dev/stdout", "w") as device:
        device.write(f"{text} by the device\\n")

def forked(text):
    if not (child := os.fork()):
        print(text, "by a fork", flush=True)
        os._exit(0)
    os.waitpid(child, 0)

if __name__ != "__mp_main__":
    everywhere("import")
    atexit.register(everywhere, "exit")

class Noisy(PipelineAdapter):
    '''Prints.'''
    adapter_type = "noisy"
    async def process(self, context):
        everywhere("adapter")
        forked("adapter")
        return AdapterResult.forward()

class Worker(PipelineAdapter):
    '''Prints, in a worker process.'''
    adapter_type = "worker"
    runs_in = "process"
    def process(self, context):
        everywhere("worker")
        return AdapterResult.forward()
"""
PIPELINE = """\
version: "1.0"
name: noise
routes: {r: {adapters: [{type: noisy}, {type: worker}]}}
init_message: {route: r, payload: {}}
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "p.yaml").write_text(PIPELINE)

    def run(*arguments, **streams):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.run([*COMMAND, *arguments], cwd=tmp_path, text=True, timeout=60, check=False, **streams)

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "p.yaml"),
        ("run", "p.yaml", "--queue", "sqlite:///q.db"),
        ("run", "nowhere.yaml"),
        ("config", "validate", "p.yaml"),
        ("adapters", "list"),
        ("adapters", "show", "noisy"),
        ("adapters", "show", "nowhere"),
    ],
)
def test_a_document_is_alone_on_standard_output(command, arguments):
    ended = command(*arguments, "--adapters", "noisy.py", "--output", "json")
    assert isinstance(json.loads(ended.stdout), dict)
    kinds = ("print", "the descriptor", "the first stream", "a child", "the device")
    for kind in kinds:
        assert f"import by {kind}\n" in ended.stderr
        assert f"exit by {kind}\n" in ended.stderr
    if arguments[:2] == ("run", "p.yaml"):
        assert ended.returncode == 0
        for kind in kinds:
            assert f"worker by {kind}\n" in ended.stderr
            assert f"adapter by {kind}\n" in ended.stderr
        assert "adapter by a fork\n" in ended.stderr


@pytest.mark.parametrize("arguments", [("graph", "p.yaml"), ("config", "schema")])
def test_other_results_for_programs_are_alone_too(command, arguments):
    ended = command(*arguments, "--adapters", "noisy.py")
    assert ended.returncode == 0
    assert " by " not in ended.stdout.replace("by the descriptor of", "") or arguments[0] == "config"
    if arguments[0] == "config":
        json.loads(ended.stdout)
    assert "import by a child" in ended.stderr


def test_rows_are_alone_on_standard_output(command):
    ended = command("run", "p.yaml", "--adapters", "noisy.py", "--output", "plain")
    assert ended.stdout == "r\t1\t1\t0\t0\t0\t0\t0\n"
    assert "completed  noise in " in ended.stderr


def test_what_adapters_print_goes_to_standard_output_of_a_run_for_people(command):
    ended = command("run", "p.yaml", "--adapters", "noisy.py")
    assert "adapter by print" in ended.stdout
    assert "adapter by a child" in ended.stdout
    assert "completed  noise in " in ended.stdout


def test_help_is_on_standard_output_whatever_the_output(command):
    assert command("run", "--output", "json", "--help").stdout.startswith("Usage:")


@pytest.mark.skipif(sys.platform != "linux", reason="writes to /dev/full")
def test_a_document_that_cannot_be_written_is_an_error(command):
    with Path("/dev/full").open("w") as full:
        ended = command("adapters", "list", "--output", "json", stdout=full)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reader_of_a_document_that_went_away_is_no_error(command):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = command("config", "codes", "--output", "json", stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_wrong_arguments_are_a_document_too(command):
    ended = command("run", "p.yaml", "--output", "json", "--drain-timeout", "long")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["status"] == "error"
    assert "--drain-timeout" in ended.stderr
