"""The README's figures are those of the newest records, and a README with others is noticed."""

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
from bench.record import RECORDS, newest
from bench.table import number

from bench import readme

TEXT = readme.README.read_text(encoding="utf-8")


def test_the_readme_shows_the_figures_of_the_newest_records() -> None:
    assert readme.with_figures(TEXT) == TEXT, "write them with: make figures"


def test_every_figure_that_is_written_is_shown_once() -> None:
    for name in ("hop", "durable"):
        assert TEXT.count(f"<!-- figures: {name} -->") == 1
    assert TEXT.count("<!-- figures:") == TEXT.count("<!-- end of figures -->") == 2


@pytest.mark.parametrize("suite", ["hop", "queue"])
def test_a_newer_record_makes_the_readme_stale(suite: str, tmp_path: Path) -> None:
    shutil.copytree(RECORDS, tmp_path, dirs_exist_ok=True)
    assert readme.with_figures(TEXT, tmp_path) == TEXT
    record = newest(suite, tmp_path)
    taken = dt.datetime.fromisoformat(record["taken"]) + dt.timedelta(days=1)
    record["taken"] = taken.isoformat()
    for case in record["cases"]:
        case["medians"] = {name: dict.fromkeys(metrics, 777.0) for name, metrics in case["medians"].items()}
    (tmp_path / "another-machine").mkdir()
    (tmp_path / "another-machine" / f"{taken.date()}-{suite}.json").write_text(json.dumps(record), encoding="utf-8")
    stale = readme.with_figures(TEXT, tmp_path)
    assert stale != TEXT
    assert "777" in stale
    assert str(taken.date()) in stale


def test_a_figure_changed_by_hand_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (copy := tmp_path / "README.md").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(readme, "README", copy)
    assert readme.main(["--check"]) == 0
    ours = number(readme.figure(newest("hop"), "linear", "ours"))
    copy.write_text(TEXT.replace(f"| {ours} |", "| 0.01 |"), encoding="utf-8")
    assert readme.main(["--check"]) == 1
    assert readme.main([]) == 0
    assert copy.read_text(encoding="utf-8") == TEXT


def test_a_figure_that_the_record_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError, match="'cpu' of 'nobody' in case 'linear'"):
        readme.figure(newest("hop"), "linear", "nobody")
    with pytest.raises(LookupError):
        readme.with_figures("<!-- figures: unknown -->\n<!-- end of figures -->")
