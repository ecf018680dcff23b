import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factflow_engine.resilience import limits

SMALL = ("bench", "limits", "--scenario", "steady", "--scale", "0.2", "--algorithm", "arc", "--algorithm", "aimd")


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_REGISTERED", {})


def test_tables_fit_eighty_columns_and_the_league_comes_first(factflow: Callable[..., Any]) -> None:
    said = factflow("bench", "limits", "--scale", "1", "--scenario", "two_routes", "--scenario", "noisy_neighbour")
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["algorithm", "geometric", "mean", "worst", ">=", "0.8", "cells"]
    blank = lines.index("")
    assert {line.split()[0] for line in lines[1:blank]} == set(limits.ALGORITHMS)
    cells = [line.split()[:3] for line in lines[blank + 2 :]]
    assert cells == [[name, "1", one] for name in ("two_routes", "noisy_neighbour") for one in limits.ALGORITHMS]


def test_plain_and_wide_have_every_measure(factflow: Callable[..., Any]) -> None:
    plain = factflow(*SMALL, "-o", "plain").out.splitlines()
    assert [line.split("\t")[:4] for line in plain] == [
        ["steady", "0.2", "arc", "0.499896"],
        ["steady", "0.2", "aimd", "0.020842"],
    ]
    assert [len(line.split("\t")) for line in plain] == [14, 14]
    wide = factflow(*SMALL, "-o", "wide").out
    assert "in time" in wide
    assert "changes/min" in wide


def test_the_document_is_the_only_thing_on_standard_output(factflow: Callable[..., Any]) -> None:
    document = factflow(*SMALL, "--output", "json").document
    assert list(document) == ["cells", "summary"]
    assert [cell["algorithm"] for cell in document["cells"]] == ["arc", "aimd"]


def test_variants_take_the_place_of_the_scenarios(factflow: Callable[..., Any]) -> None:
    document = factflow(*SMALL, "--variants", "2", "--seed", "5", "-o", "json").document
    assert [cell["scenario"] for cell in document["cells"][::2]] == ["steady#0", "steady#1"]
    assert factflow(*SMALL, "--variants", "2", "--seed", "5", "-o", "json").document == document
    assert factflow(*SMALL, "--variants", "2", "-o", "json").document != document


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--algorithm", "argh"), "--algorithm: no limit algorithm 'argh'; there are adaptive"),
        (("--scenario", "stedy"), '--scenario: no scenario "stedy"; there are steady'),
        (("--scale", "0"), "is not in the range"),
        (("--scale", "101"), "is not in the range 0<x<=100"),
        (("--scale", "nan"), "--scale: expected a number above 0 and up to 100, got nan"),
        (("--seed", "3"), "add --variants N"),
        (("-a", "none.py"), "--adapters none.py cannot be used"),
        (("--scenario", "none.yaml"), "none.yaml:1:1: E016 the file does not exist"),
        (("--trace", "none.jsonl"), "--trace: none.jsonl cannot be read: No such file"),
        (("--trace", "none.jsonl", "--variants", "2"), "--variants are of published scenarios"),
    ],
)
def test_what_cannot_be_is_answered_with_what_can(factflow: Callable[..., Any], options: Any, said: str) -> None:
    answer = factflow("bench", "limits", *options)
    assert answer.status == 2
    assert said in answer.err
    assert answer.out == ""


def test_a_module_may_register_algorithms(factflow: Callable[..., Any], tmp_path: Path) -> None:
    module = tmp_path / "steadfast.py"
    module.write_text(
        "from factflow_engine.resilience.limits import register\n"
        "class Steadfast:\n"
        "    limit = 4\n"
        "    def on_sample(self, **sample): pass\n"
        "register('steadfast', Steadfast)\n"
    )
    document = factflow(
        "bench",
        "limits",
        "-a",
        module,
        "--algorithm",
        "steadfast",
        "--scenario",
        "steady",
        "--scale",
        "0.2",
        "-o",
        "json",
    ).document
    assert document["summary"]["steadfast"]["geometric_mean"] == 1.0


@pytest.mark.parametrize(
    ("body", "said"),
    [("raise RuntimeError('mine')", "'bad': RuntimeError: mine ("), ("self.limit = 0", "'bad': expected a limit")],
)
def test_an_own_algorithm_that_fails_is_named(
    factflow: Callable[..., Any], tmp_path: Path, body: str, said: str
) -> None:
    module = tmp_path / "bad.py"
    module.write_text(
        "from factflow_engine.resilience.limits import register\n"
        f"class Bad:\n    limit = 4\n    def on_sample(self, **sample): {body}\nregister('bad', Bad)\n"
    )
    answer = factflow("bench", "limits", "-a", module, "--algorithm", "bad", "--scenario", "steady", "--scale", "0.2")
    assert (answer.status, answer.out) == (2, "")
    assert f"limit algorithm {said}" in answer.err


def test_scenarios_of_one_name_are_refused(factflow: Callable[..., Any], tmp_path: Path) -> None:
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("name: steady\ntarget_ms: 9\nserver: {capacity: 2, service_ms: 5}\nphases: [{seconds: 1}]\n")
    answer = factflow("bench", "limits", "--scenario", scenario, "--scenario", "steady")
    assert answer.status == 2
    assert "2 scenarios have the name 'steady'; write another `name:`" in answer.err


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(factflow: Callable[..., Any]) -> None:
    page = factflow(*SMALL, "--output", "html").out
    assert page.startswith("<!doctype html>")
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page)
    assert "{{" not in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert [cell["algorithm"] for cell in data["cells"]] == ["arc", "aimd"]
    assert {len(cell[name]) for cell in data["cells"] for name in ("limit", "in_flight", "in_time", "given_up")} == {60}
    assert len(page) < 60_000


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    module = tmp_path / "telling.py"
    module.write_text("import sys\nprint('imported', file=sys.stderr, flush=True)\n")
    program = [sys.executable, "-c", "from factflow_engine.cli.root import main; main()"]
    asked = ["bench", "limits", "-a", str(module), "--variants", "1000", "--scale", "100"]  # days of simulation
    with subprocess.Popen(
        [*program, *asked], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "imported\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, ""), err
