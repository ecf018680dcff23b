"""Dated records, one folder a machine: everything needed to read a run later, raw samples included.

Figures of two machines do not compare; figures of one machine on two days may. So a machine has a folder of its own,
named after its processor and cores.
"""

import datetime as dt
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.run import CaseResult
from bench.timing import calibration

PACKAGES = (
    "factflow-engine", "trio", "pydantic", "faststream", "bytewax", "ormsgpack", "msgspec", "msgpack", "rule-engine",
    "zen-engine", "jmespath",
)  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "bench" / "record"


def as_record(suite: str, results: Sequence[CaseResult], *, quick: bool, taken: dt.datetime) -> dict[str, Any]:
    """A suite's run as JSON values."""
    return {
        "suite": suite,
        "quick": quick,
        "taken": taken.isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "cases": [_case(result) for result in results],
    }


def write(record: Mapping[str, Any], folder: Path) -> Path:
    """Write a record as `<machine>/<date>-<suite>.json`; a later run of the same day takes its place."""
    path = folder / folder_name(record["machine"]) / f"{record['taken'][:10]}-{record['suite']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def folder_name(machine: Mapping[str, Any]) -> str:
    """Return the name of a machine's folder: its processor and cores, as in `amd-epyc-2-cores`."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\(\w+\)|\bprocessor\b", " ", machine["processor"].lower()))
    return "-".join([*words, str(machine["cores"]), "cores"])


def newest(suite: str, folder: Path = RECORDS) -> dict[str, Any]:
    """Return the record of a suite that was taken last, on whatever machine.

    Raises:
        LookupError: The folder has no record of this suite.
    """
    found: list[dict[str, Any]] = [
        json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(f"*/*-{suite}.json")
    ]
    if not found:
        raise LookupError(f"{folder} has no record of the suite {suite!r}; take one with: python -m bench {suite}")
    return max(found, key=lambda record: str(record["taken"]))


def machine() -> dict[str, Any]:
    """Where it was run, and how busy and fast that was at the time."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(value, 2) for value in os.getloadavg()],
        "calibration_ns": round(calibration(), 2),
    }


def versions() -> dict[str, str | None]:
    """What was run: interpreter, packages, commit; None for what is not installed."""
    found: dict[str, str | None] = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "answers": result.case.answers,
        "units": {metric.name: metric.unit for metric in result.case.metrics},
        "notes": {subject.name: subject.note for subject in result.case.subjects if subject.note},
        "medians": {
            name: {metric: _short(summary.median) for metric in metrics if (summary := result.summary(name, metric))}
            for name, metrics in result.samples.items()
        },
        "targets": [
            {
                "metric": verdict.target.metric,
                "target": verdict.target.text,
                "value": _short(verdict.value),
                "against": verdict.against,
                "met": verdict.met,
            }
            for verdict in result.verdicts()
        ],
        "samples": {
            name: {metric: [_short(value) for value in values] for metric, values in metrics.items()}
            for name, metrics in result.samples.items()
        },
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux: what Python knows is enough
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "python", "rust")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive has no history
        return None
