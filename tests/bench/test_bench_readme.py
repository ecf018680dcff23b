"""The figures of pages are those of the newest records, and a page with others is noticed."""

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
from bench.record import RECORDS, newest
from bench.table import number

from bench import readme

TEXT = "".join(page.read_text(encoding="utf-8") for page in readme.PAGES)


def test_the_pages_show_the_figures_of_the_newest_records() -> None:
    assert readme.with_figures(TEXT) == TEXT, "write them with: make figures"


def test_every_figure_that_is_written_is_shown_once() -> None:
    for name in ("hop", "durable", "stages", "parts"):
        assert TEXT.count(f"<!-- figures: {name} -->") == 1
    assert TEXT.count("<!-- figures:") == TEXT.count("<!-- end of figures -->") == 4


@pytest.mark.parametrize("suite", ["hop", "queue", "stages"])
def test_a_newer_record_makes_the_pages_stale(suite: str, tmp_path: Path) -> None:
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
    copies = [tmp_path / page.name for page in readme.PAGES]
    for page, copy in zip(readme.PAGES, copies, strict=True):
        copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(readme, "PAGES", copies)
    assert readme.main(["--check"]) == 0
    ours = number(readme.figure(newest("hop"), "linear", "ours"))
    for copy in copies:
        text = copy.read_text(encoding="utf-8")
        assert f"| {ours} |" in text
        copy.write_text(text.replace(f"| {ours} |", "| 0.01 |"), encoding="utf-8")
        assert readme.main(["--check"]) == 1
        assert readme.main([]) == 0
        assert copy.read_text(encoding="utf-8") == text


def test_a_figure_that_the_record_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError, match="'cpu' of 'nobody' in case 'linear'"):
        readme.figure(newest("hop"), "linear", "nobody")
    with pytest.raises(LookupError):
        readme.with_figures("<!-- figures: unknown -->\n<!-- end of figures -->")
