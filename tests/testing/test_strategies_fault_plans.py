"""Drawn plans of faults: they fit the configuration, come back from their text, and shrink to no fault."""

import os
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import find as smallest
from hypothesis import strategies as st

from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.testing import SimulationError
from factflow_engine.testing.simulation.faults import KINDS, Fault, plan_text, read_plan
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_engine.testing.strategies import (
    DEFAULT_KINDS,
    MEMORY_KINDS,
    StrategyError,
    fault_plans,
    loaded_configs,
    registry_of_examples,
)

FOUND = settings(
    max_examples=2_000,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)
ALL = {"queues": ["/queue/parse"], "stages": ["parse/fetch"], "processes": 2}


@given(loaded_configs(features=["queues"]), st.integers(1, 3), st.integers(0, 6), st.data())
def test_a_plan_fits_the_configuration(
    config: PipelineGlobalConfig, processes: int, most: int, data: st.DataObject
) -> None:
    plan = data.draw(fault_plans(config, processes=processes, most=most))
    assert len(plan) <= most
    queues = {route.inbound.queue for route in config.routes.values()}
    stages = {f"{name}/{stage.name}" for name, route in config.routes.items() for stage in route.adapters}
    for fault in plan:
        assert fault.kind in DEFAULT_KINDS
        assert getattr(fault, "queue", None) in queues | {None}
        assert getattr(fault, "stage", None) in stages | {None}
        assert (getattr(fault, "process", None) or 0) < processes


@given(fault_plans(kinds=list(KINDS), **ALL))
def test_a_plan_comes_back_from_its_text(plan: tuple[Fault, ...]) -> None:
    assert read_plan(plan_text(plan)) == plan


PIPELINE = 'version: "1.0"\nroutes: {parse: {adapters: [{type: forward, name: fetch}]}}\n'


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_memory_takes_the_kinds_that_are_said_and_no_others(kind: str) -> None:
    loaded = PipelineConfigLoader(registry_of_examples(), environ={}).load_text(PIPELINE)
    plan = smallest(fault_plans(kinds=[kind], **ALL | {"processes": 1}), bool, settings=FOUND)

    def settings_of_a_run() -> RunSettings:
        return RunSettings(config=loaded, registry=registry_of_examples(), inputs=(), seed=1, faults=plan)

    # Rates are of many kinds, the plainest of none.
    if kind in MEMORY_KINDS or kind == "rates":
        settings_of_a_run()
    else:
        with pytest.raises(SimulationError, match="write queue="):
            settings_of_a_run()


def names_of(kind: type[Fault]) -> list[str]:
    return [field.name for field in fields(kind)]


def test_every_kind_and_every_field_is_drawn() -> None:
    seen: set[tuple[str, str]] = set()

    def draw(plan: tuple[Fault, ...]) -> None:
        for fault in plan:
            text = plan_text([fault])
            seen.update((fault.kind, name) for name in names_of(type(fault)) if f'"{name}": ' in text)

    for kind in KINDS:
        draws = settings(
            max_examples=60,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        draws(given(plan=fault_plans(kinds=[kind], **ALL))(draw))()
    assert seen >= {(kind, name) for kind, cls in KINDS.items() for name in names_of(cls)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_with_a_fault_shrinks_to_that_one_in_its_plainest_form(kind: str) -> None:
    plan = smallest(
        fault_plans(kinds=list(KINDS), **ALL), lambda plan: any(fault.kind == kind for fault in plan), settings=FOUND
    )
    assert len(plan) == 1
    assert plan_text(plan) == PLAINEST[kind]


PLAINEST = {
    "duplicate": '[{"fault": "duplicate", "queue": "/queue/parse"}]',
    "delay": '[{"fault": "delay", "queue": "/queue/parse"}]',
    "reorder": '[{"fault": "reorder", "queue": "/queue/parse"}]',
    "drop_delivery": '[{"fault": "drop_delivery", "queue": "/queue/parse"}]',
    "lose_lease": '[{"fault": "lose_lease", "queue": "/queue/parse"}]',
    "fail_queue": '[{"fault": "fail_queue"}]',
    "fail_storage": '[{"fault": "fail_storage"}]',
    "crash": '[{"fault": "crash", "at": 1}]',
    "cancel_execution": '[{"fault": "cancel_execution", "at": 1}]',
    "power_cut": '[{"fault": "power_cut", "at": 1}]',
    "step_clock": '[{"fault": "step_clock", "at": 1, "seconds": 1}]',
    "skew_clock": '[{"fault": "skew_clock"}]',
    "slow_stage": '[{"fault": "slow_stage", "stage": "parse/fetch"}]',
    "stick_stage": '[{"fault": "stick_stage", "stage": "parse/fetch"}]',
    "fail_stage": '[{"fault": "fail_stage", "stage": "parse/fetch"}]',
    "rates": '[{"fault": "rates", "until": 60}]',
}


def test_the_plainest_plan_has_no_fault() -> None:
    assert smallest(fault_plans(**ALL), lambda plan: True, settings=FOUND) == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kinds": ["flood"]}, "kinds: expected some of duplicate, .*, got 'flood'"),
        ({"kinds": ["duplicate"]}, "expected queues or stages for faults of duplicate, got none"),
        ({"processes": 0}, "expected most=0 or more and processes=1 or more, got 5 and 0"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        fault_plans(**arguments)


DRAWING = """
from hypothesis import HealthCheck, Phase, given, seed, settings
from factflow_engine.testing.strategies import configs, fault_plans, invalid_configs, messages

strategy = fault_plans(queues=["/queue/a", "/queue/b"], stages=["a/b"], processes=2)

for strategy in (strategy, configs(), invalid_configs(), messages()):
    @seed(1)
    @settings(max_examples=30, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(value):
        print(repr(value))

    draw()
"""


def test_what_is_drawn_does_not_depend_on_the_hash_seed() -> None:
    drawn = [
        subprocess.run(
            [sys.executable, "-c", DRAWING],
            env=dict(os.environ, PYTHONHASHSEED=hash_seed),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 1000
