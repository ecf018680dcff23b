"""Drawn configurations, inputs and faults together: simulated runs, in memory and on a broker, keep every guarantee."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.testing import simulate
from factflow_engine.testing.strategies import (
    DEFAULT_KINDS,
    FEATURES,
    MEMORY_KINDS,
    StrategyError,
    fault_plans,
    inputs,
    loaded_configs,
    registry_of_examples,
)

REGISTRY = registry_of_examples()

# Lineage is left out: its store is the program's.
DRAWN = loaded_configs(cycles=True, routes=(1, 3), features=[name for name in FEATURES if name != "lineage"])


def check(config: PipelineGlobalConfig, data: st.DataObject, queue: str) -> None:
    """Simulate a run with drawn inputs and faults, and check what must hold of every run."""
    assume(not has_competitors(config))
    # A call that never returns ends only by a time limit, which most drawn stages do not have; messages in memory end with
    # an execution that is cancelled.
    without = {"stick_stage", "cancel_execution"} if queue == "memory://" else {"stick_stage"}
    kinds = [kind for kind in (MEMORY_KINDS if queue == "memory://" else DEFAULT_KINDS) if kind not in without]
    try:
        plans = fault_plans(config, kinds=kinds, most=3)
    except StrategyError:  # there is nothing that could fail
        plans = st.just(())
    drawn, plan = data.draw(inputs(config, most=4)), data.draw(plans)
    report = simulate(config, registry=REGISTRY, inputs=drawn, faults=plan, seed=1, queue=queue)
    if config.orchestrator.max_failed_messages is not None and {each.name for each in report.broken} == {
        "executions complete"
    }:
        return  # it is to fail after so many
    report.check()


def has_competitors(config: PipelineGlobalConfig) -> bool:
    """True if two routes share the messages of a queue: the oracle expects each message in both."""
    read = [(route.inbound.queue, route.inbound.subscription) for route in config.routes.values()]
    queues = [queue for queue, _ in read if queue.startswith("/queue/")]
    return len(set(read)) < len(read) or len(set(queues)) < len(queues)


@pytest.mark.parametrize("queue", ["memory://", "broker://"])
@settings(max_examples=40)
@given(config=DRAWN, data=st.data())
def test_a_run_of_any_configuration_keeps_every_guarantee(
    queue: str, config: PipelineGlobalConfig, data: st.DataObject
) -> None:
    check(config, data, queue)


@pytest.mark.slow
@pytest.mark.parametrize("queue", ["memory://", "broker://"])
@settings(max_examples=1_000)
@given(config=DRAWN, data=st.data())
def test_many_runs_of_any_configuration_keep_every_guarantee(
    queue: str, config: PipelineGlobalConfig, data: st.DataObject
) -> None:
    check(config, data, queue)
