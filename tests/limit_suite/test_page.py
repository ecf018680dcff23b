import json
import re
from typing import Any

import pytest

from factflow_engine.limit_suite import page as page_module
from factflow_engine.limit_suite.contenders import contenders
from factflow_engine.limit_suite.page import BINS, page
from factflow_engine.limit_suite.suite import Comparison, Task, compare, published_tasks, variants_of
from factflow_engine.native import LIMIT_SCALES


def compared(*names: str, variants: int = 0, algorithms: tuple[str, ...] = ("arc", "fixed")) -> Comparison:
    tasks = published_tasks(names, (0.2,))
    return compare((*tasks, *variants_of(tasks, variants, 1)), contenders(algorithms), bins=BINS)


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_scenario_can_be_chosen_and_has_a_row_an_algorithm() -> None:
    text = page(compared("steady", "outage"))
    data = data_of(text)
    assert re.findall(r'<option value="(\w+)"', text) == ["steady", "outage"]
    assert [task["scenario"] for task in data["tasks"]] == ["steady", "outage"]
    assert [(cell["task"], cell["algorithm"]) for cell in data["cells"]] == [
        (task, name) for task in (0, 1) for name in ("arc", "fixed")
    ]
    assert re.findall(r'data-task="(\d)"', text) == ["0", "1"]


def test_series_are_bounded_and_classes_are_digits() -> None:
    comparison = compared("outage")
    (cell, _) = data_of(page(comparison))["cells"]
    names = ("limit", "in_flight", "in_time", "late", "failed", "given_up")
    assert {len(cell[name]) for name in names} == {BINS}
    assert re.fullmatch(rf"[0-9a-z]{{{11 * BINS}}}", cell["heat"])
    series = comparison.cells[0].series
    assert series is not None
    assert [digit != "0" for digit in cell["heat"]] == [count > 0 for counts in series["latencies"] for count in counts]


def test_variants_are_in_the_tables_and_not_drawn_unless_alone() -> None:
    comparison = compared("steady", variants=2)
    text = page(comparison)
    assert [task["scenario"] for task in data_of(text)["tasks"]] == ["steady"]
    assert "steady#1" in text
    assert "Charts of 1 of them." in text
    alone = compare(comparison.tasks[1:], contenders(("arc",)), bins=BINS)
    assert [task["scenario"] for task in data_of(page(alone))["tasks"]] == ["steady#0", "steady#1"]


def test_the_number_of_charts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_DRAWN", 2)
    assert [task["scenario"] for task in data_of(page(compared("steady", "knee")))["tasks"]] == ["steady"]


def test_names_of_any_text_stay_text() -> None:
    task, *_ = published_tasks(("steady",), (0.2,))
    hostile = Task(label="</script><b>{{data}}", scale=0.2, scenario=task.scenario)
    text = page(compare((hostile,), contenders(("arc",)), bins=BINS))
    assert data_of(text)["tasks"][0]["scenario"] == hostile.label
    assert "<b>" not in text


def test_a_comparison_without_bins_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="without bins"):
        page(compare(published_tasks(("steady",), (0.2,)), contenders(("arc",))))


def test_the_page_is_the_same_every_time_and_shows_all_scales() -> None:
    tasks = published_tasks(("jitter",))
    first, again = (page(compare(tasks, contenders(("vegas",)), threads=threads, bins=BINS)) for threads in (1, 3))
    assert first == again
    assert re.findall(r'<option value="([\d.]+)"', first) == [f"{scale:g}" for scale in LIMIT_SCALES]
