"""Every suite runs, tiny, by the command of `make bench`: a suite that crashes is found here and not a month later."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench.__main__ import SUITES
from bench.record import folder_name

from support.doc_pages import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert find_spec("pygal"), "what the bench compares with is not installed: make setup does it"
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )


def test_every_module_of_the_suites_is_run() -> None:
    modules = {path.stem for path in (ROOT / "bench" / "suites").glob("*.py")} - {"__init__"}
    assert modules == set(SUITES)


def test_the_readme_says_what_each_suite_answers() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "bench" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(SUITES)


@pytest.mark.timeout(600)  # seconds on an idle machine
@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_runs_measures_records_and_draws(suite: str, tmp_path: Path) -> None:
    ran = run("bench", suite, "--tiny", "--into", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    [written] = tmp_path.glob(f"*/*-{suite}.json")
    record = json.loads(written.read_text(encoding="utf-8"))
    assert record["quick"] is True
    for case in record["cases"]:
        shown = set(case["units"])
        assert case["samples"], f"{case['name']} has no subject"
        for subject, metrics in case["samples"].items():
            assert set(metrics) & shown, f"{case['name']}: {subject} yields none of {shown}"
            assert len({len(rounds) for rounds in metrics.values()}) == 1
        assert f"== {case['name']}" in ran.stdout
    assert written.with_suffix(".svg").read_bytes().startswith(b"<?xml")


def test_charts_are_drawn_again_from_the_records_alone(tmp_path: Path) -> None:
    ran = run("bench.chart", "--into", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    records = {path.relative_to(ROOT / "bench" / "record") for path in (ROOT / "bench" / "record").glob("*/*.json")}
    assert {path.relative_to(tmp_path).with_suffix(".json") for path in tmp_path.glob("*/*.svg")} == records
    assert records
    assert not list((ROOT / "bench" / "record").rglob("*.svg"))


def test_a_record_lies_in_the_folder_of_its_machine() -> None:
    for path in (ROOT / "bench" / "record").rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert path.parent.name == folder_name(record["machine"])
        assert path.name == f"{record['taken'][:10]}-{record['suite']}.json"
        assert record["quick"] is False, f"{path} is of a short run"
