import datetime as dt
import json
from pathlib import Path

import pytest
from bench.model import OURS, Case, Metric, Subject, at_most, better_than
from bench.record import as_record, folder_name, newest, write
from bench.run import CaseResult
from bench.table import render

TAKEN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def result() -> CaseResult:
    case = Case(
        name="race",
        answers="Who is faster?",
        metrics=(Metric(name="cpu", unit="us"), Metric(name="wall", unit="us")),
        subjects=(
            Subject(name=OURS, measure=dict, note="the engine"),
            Subject(name="hare", measure=dict),
            Subject(name="tortoise", measure=dict),
        ),
        targets=(at_most("cpu", 5, "us"), better_than("cpu", "hare", 2)),
    )
    samples = {
        OURS: {"cpu": [4.0, 4.0], "wall": [4.0, 4.0]},
        "hare": {"cpu": [1.0, 1.0], "wall": [9.0, 9.0]},
        "tortoise": {"cpu": [40.0, 44.0]},
    }
    return CaseResult(case=case, samples=samples)


def test_a_table_shows_who_wins_even_if_it_is_not_us() -> None:
    lines = render(result()).splitlines()
    (best_cpu, best_wall) = [line for line in lines if line.endswith("best")]
    assert "hare" in best_cpu
    assert "0.250x" in best_cpu
    assert OURS in best_wall


def test_a_table_says_of_each_target_whether_it_was_met() -> None:
    table = render(result())
    assert "met    cpu <= 5 us: 4.00 us" in table
    assert "MISSED cpu >= 2x better than hare: 0.250x" in table


def test_a_metric_that_a_subject_does_not_yield_has_no_row() -> None:
    assert render(result()).count("tortoise") == 1


def test_a_record_keeps_every_round_and_says_where_and_what_was_run(tmp_path: Path) -> None:
    path = write(as_record("speed", [result()], quick=True, taken=TAKEN), tmp_path / "records")
    assert path.name == "2026-03-01-speed.json"
    assert path.parent.parent == tmp_path / "records"
    record = json.loads(path.read_text(encoding="utf-8"))
    (case,) = record["cases"]
    assert case["samples"] == {name: dict(metrics) for name, metrics in result().samples.items()}
    assert case["medians"]["tortoise"] == {"cpu": 42.0}
    assert case["notes"] == {OURS: "the engine"}
    assert [target["met"] for target in case["targets"]] == [True, False]
    assert record["quick"] is True
    assert record["machine"]["cores"] >= 1
    assert record["versions"]["trio"]


def test_a_later_run_of_the_day_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    for quick in (True, False):
        path = write(as_record("speed", [result()], quick=quick, taken=TAKEN), tmp_path)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    assert json.loads(path.read_text(encoding="utf-8"))["quick"] is False


@pytest.mark.parametrize(
    ("processor", "cores", "name"),
    [
        ("AMD EPYC", 2, "amd-epyc-2-cores"),
        ("Intel(R) Xeon(R) Processor", 2, "intel-xeon-2-cores"),
        ("AMD EPYC 7B13 64-Core Processor", 128, "amd-epyc-7b13-64-core-128-cores"),
    ],
)
def test_a_machine_has_a_folder_named_after_its_processor_and_cores(processor: str, cores: int, name: str) -> None:
    assert folder_name({"processor": processor, "cores": cores}) == name


def test_the_newest_record_is_the_one_taken_last_on_whatever_machine(tmp_path: Path) -> None:
    for day, machine in ((3, "a"), (9, "b"), (5, "c")):
        taken = TAKEN.replace(day=day)
        record = as_record("speed", [result()], quick=False, taken=taken) | {
            "machine": {"processor": machine, "cores": 1}
        }
        write(record, tmp_path)
    assert newest("speed", tmp_path)["machine"]["processor"] == "b"
    with pytest.raises(LookupError, match="no record of the suite 'spee'"):
        newest("spee", tmp_path)
