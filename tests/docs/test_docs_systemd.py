"""The page "Running as a service": its units are valid and agree with the code, its program drains at SIGTERM."""

import configparser
import re
import shlex
import shutil
import signal
import subprocess
import sys

import click
import pytest

from factflow_engine import PipelineConfigLoader, ValidatingAdapterRegistry
from factflow_engine.adapters.keeping import flushes, snapshots
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.root import root
from support.doc_pages import DOCS, blocks, files, tables

PAGE = DOCS / "systemd.md"
UNITS = {name: block for name, block in files(PAGE).items() if name.endswith((".service", ".timer"))}
SERVICES = [name for name in UNITS if name.endswith(".service")]


def unit(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(UNITS[name])
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path):
    for name, block in UNITS.items():
        (tmp_path / name).write_text(re.sub(r"/opt/factflow/bin/\w+", sys.executable, block))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    broken = tmp_path / SERVICES[0]
    broken.write_text(broken.read_text().replace("KillMode=mixed", "KillMode=mixt"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", broken], capture_output=True, text=True, check=False
    )
    assert "mixt" in verified.stderr, "a mistake would be noticed"


def test_every_exit_status_has_a_row_and_the_units_agree_with_it():
    [rows] = [rows for rows in tables(PAGE) if rows[0][0] == "0"]
    assert [int(status) for status, *_ in rows] == sorted(ExitStatus)
    job = unit("factflow-nightly.service")["Service"]
    assert int(job["SuccessExitStatus"]) == ExitStatus.TERMINATED
    assert int(job["RestartPreventExitStatus"]) == ExitStatus.INVALID
    assert job["Restart"] == "on-failure"


def test_the_stop_time_out_is_longer_than_the_longest_drain():
    job = unit("factflow-nightly.service")["Service"]
    words = shlex.split(job["ExecStart"])
    command = root.get_command(click.Context(root), "run")
    context = command.make_context("run", words[2:])
    assert context.params["execution_id"] == "nightly"
    [pipeline] = blocks(PAGE, "yaml")
    registry = ValidatingAdapterRegistry()
    config = PipelineConfigLoader(registry).load_text(pipeline)
    stages = [stage for route in config.routes.values() for stage in route.adapters]
    classes = [registry.get(stage.type).adapter_class for stage in stages]
    stateful = sum(snapshots(cls) or flushes(cls) for cls in classes)
    settings = config.orchestrator
    longest = context.params["drain_timeout"] + stateful * (settings.finish_seconds + 1 + settings.close_seconds)
    assert f"= {longest:g}." in PAGE.read_text()
    assert all(int(unit(name)["Service"]["TimeoutStopSec"]) > longest for name in SERVICES)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_drains_at_a_signal(tmp_path, number):
    (tmp_path / "service.py").write_text(files(PAGE)["service.py"])
    [pipeline] = blocks(PAGE, "yaml")
    (tmp_path / "pipeline.yaml").write_text(pipeline.replace("/var/lib/factflow/", ""))
    command = [sys.executable, "service.py", "pipeline.yaml", "sqlite:///queue.db"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr.readline, "")
        for line in lines:
            if "started" in line:
                process.send_signal(number)
                break
        rest = "".join(lines)
    assert process.returncode == 0, rest
    assert rest == "INFO root: ended: completed\n"
