"""The boundary of the simulation is that of the code: seams, banned names, modules that may use them."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
import trio.testing

from factflow_engine.seams import Seams
from factflow_engine.testing import Simulation, seams_of_process
from factflow_engine.testing.simulation import boundary

ROOT = Path(__file__).parents[2]
LINT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
SYSTEM = "factflow_engine.seams"


def test_every_seam_has_its_row():
    assert list(boundary.SEAMS) == [field.name for field in dataclasses.fields(Seams)]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Seams)])
def test_no_seam_of_a_simulated_run_is_the_machines(name):
    simulation = Simulation(1, trio.testing.MockClock())
    for seams in (simulation.seams, seams_of_process(simulation, 0)):
        simulated = getattr(seams, name)
        places = {getattr(simulated, "__module__", ""), type(simulated).__module__}
        assert SYSTEM not in places
        assert simulated is None or places & {
            "factflow_engine.testing.virtual_time", "factflow_engine.testing.simulation.process_seams"
        }  # fmt: skip


def test_the_machines_seams_would_be_noticed():
    real = Seams.real()
    assert {type(real.clock).__module__, real.machine_instant.__module__} == {SYSTEM}


def test_every_banned_name_has_its_seam():
    banned = set(LINT["flake8-tidy-imports"]["banned-api"])
    assert banned == {*boundary.BANNED, *boundary.OTHERWISE_BANNED}
    assert not boundary.BANNED.keys() & boundary.OTHERWISE_BANNED
    assert set(boundary.BANNED.values()) <= set(boundary.SEAMS)


def test_every_exception_has_its_reason():
    ignored = {
        name.removeprefix("python/")
        for name, rules in LINT["per-file-ignores"].items()
        if "TID251" in rules and name.startswith("python/")
    }
    noted = {
        str(path.relative_to(ROOT / "python"))
        for path in (ROOT / "python").rglob("*.py")
        if re.search(r"# noqa:[^#]*\bTID251\b", path.read_text(encoding="utf-8"))
    }
    assert noted
    assert ignored | noted == set(boundary.EXCEPTIONS)
    assert not {rule for rule in LINT["ignore"] if rule.startswith("TID")}


def test_no_row_is_empty():
    for rows in (boundary.SEAMS, boundary.REPLACED, boundary.ESCAPES):
        for row in rows.values():
            assert all(row)
            assert not any("|" in cell for cell in row)  # they are cells of the page's tables


def test_native_code_has_no_clock_and_no_generator():
    pattern = re.compile(r"\b(Instant|SystemTime)::now\b|\bthread_rng\b|\bgetrandom\b|\bOsRng\b|\brand::")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "rust").rglob("src/**/*.rs")
        if pattern.search(re.sub(r"//.*", "", path.read_text(encoding="utf-8")).split("#[cfg(test)]")[0])
    ]
    assert found == []
