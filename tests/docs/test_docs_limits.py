"""The page "Concurrency limits": its scenario and its algorithm are compared, and its tables say what there is."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from factflow_engine.cli.root import root
from factflow_engine.limit_suite.scenario_model import ServerModelConfig
from factflow_engine.limit_suite.suite import MEASURES
from factflow_engine.resilience import limits
from support.doc_pages import DOCS, blocks, files, tables

PAGE = DOCS / "limits.md"


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_REGISTERED", {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    [algorithm] = [block for block in blocks(PAGE, "python") if "class Patient" in block]
    for name, text in {**files(PAGE), "patient.py": algorithm}.items():
        assert len(text.splitlines()) < 30
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_scenario_and_the_algorithm_of_the_page_are_compared_with_the_others(folder: Path) -> None:
    asked = "bench limits -a patient.py --scenario checkout.yaml --scenario steady --scale 1 -o plain"
    said = CliRunner().invoke(root, [*asked.split(), "--algorithm", "patient", "--algorithm", "arc"])
    assert said.exit_code == 0, said.stderr
    rows = [line.split("\t") for line in said.stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        [scenario, "1", algorithm] for scenario in ("checkout", "steady") for algorithm in ("patient", "arc")
    ]
    assert all(0.3 < float(row[3]) <= 1 for row in rows)


def test_the_tables_of_measures_and_of_models_are_complete() -> None:
    named = [re.findall(r"`(\w+)`", row[0]) for table in tables(PAGE) for row in table]
    measures = [name for names in named for name in names if name in MEASURES]
    assert sorted(measures) == sorted(MEASURES)
    models = ServerModelConfig.model_fields["model"].annotation.__args__  # type: ignore[union-attr]
    assert [names[0] for names in named if names and names[0] in models] == list(models)
