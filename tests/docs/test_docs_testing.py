"""The page "Testing pipelines": its programs print what it shows, and its tables name what there is."""

import dataclasses
import re

import pytest

import factflow_engine.testing
from factflow_engine import pytest_plugin
from factflow_engine.testing.simulation import (
    CancelExecution,
    Crash,
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    FailStage,
    FailStorage,
    FaultRates,
    LoseLease,
    PowerCut,
    Reorder,
    SimulationError,
    SimulationReport,
    SkewClock,
    SlowStage,
    StageModel,
    StepClock,
    StickStage,
)
from factflow_engine.testing.simulation.faults import KINDS
from factflow_engine.testing.simulation.loading import load_for_simulation
from factflow_engine.testing.simulation.settings import QUEUES, RunSettings
from factflow_protocols import assertions
from support.doc_pages import DOCS, tables, text
from support.pipelines import registry_of
from support.printed_programs import assert_programs_print_what_is_shown
from testing.test_simulate import SHOP, price

PAGE = DOCS / "testing.md"
_, MODEL, REPORT, FAULTS, WORLDS, ASSERTIONS = tables(PAGE)


def first_cells(table: list[list[str]]) -> set[str]:
    return {name for row in table for name in re.findall(r"`(\w+)", row[0])}


def test_the_programs_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_programs_print_what_is_shown(PAGE, outputs=8)


def test_the_tables_are_complete():
    assert first_cells(MODEL) == {field.name for field in dataclasses.fields(StageModel)} - {"stage"}
    assert first_cells(FAULTS) == {kind.__name__ for kind in KINDS.values()}
    assert [row[0].strip("`") for row in WORLDS] == list(QUEUES)
    assert first_cells(ASSERTIONS) == {"always", "sometimes", "eventually", "leads_to"}


OF_PROCESSES = (Crash(at=1), CancelExecution(at=1))
OF_BROKERS = (
    Duplicate(queue="/queue/orders"),
    Delay(queue="/queue/orders"),
    Reorder(queue="/queue/orders"),
    DropDelivery(queue="/queue/orders"),
    LoseLease(queue="/queue/orders"),
    FailQueue(),
)
OTHERS = (
    FailStage(stage="orders/price"),
    StickStage(stage="orders/price"),
    SlowStage(stage="orders/price"),
    FailStorage(),
    StepClock(),
    SkewClock(),
    FaultRates(until=1),
)


@pytest.mark.parametrize(
    ("queue", "refused"),
    [
        ("memory://", {Crash, PowerCut, *map(type, OF_BROKERS)}),
        ("broker://", {PowerCut}),
        ("sqlite://", {*map(type, OF_BROKERS)}),
    ],
)
def test_each_queue_has_the_faults_that_the_page_names(queue, refused):
    faults = (*OF_PROCESSES, *OF_BROKERS, *OTHERS, PowerCut(at=1))
    assert {type(fault) for fault in faults} == set(KINDS.values())
    registry = registry_of(price=price)
    config, registry = load_for_simulation(SHOP, registry, [StageModel(stage="letters/send")])
    found = set()
    for fault in faults:
        try:
            RunSettings(config=config, registry=registry, faults=(fault,), queue=queue)
        except SimulationError:
            found.add(type(fault))
    assert found == refused


def test_what_the_page_names_is_there():
    fields = {field.name for field in dataclasses.fields(SimulationReport)}
    assert first_cells(REPORT) <= fields | set(dir(SimulationReport))
    assert all(hasattr(assertions, name) for name in first_cells(ASSERTIONS))
    listed = re.search(r"Where pytest runs, (.*?) are\nfixtures", text(PAGE), re.DOTALL)
    assert listed
    fixtures = re.findall(r"`(\w+)`", listed[1])
    assert len(fixtures) == 6
    for name in fixtures:
        assert hasattr(pytest_plugin, name)
        assert hasattr(factflow_engine.testing, name) or name.startswith("recording_")
