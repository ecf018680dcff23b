"""Plainer forms of inputs and faults, and that a search for a small run ends with them."""

from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.testing import simulate, validating_registry
from factflow_engine.testing.simulation import Crash, Delay, FailStage, SlowStage, StepClock, shrink
from factflow_engine.testing.simulation.plainer import plainer_faults
from factflow_protocols import AdapterResult

times = st.floats(0, 1e6)
counts = st.integers(1, 10_000)
FAULTS = st.one_of(
    st.builds(Crash, at=times, process=st.none() | st.integers(0, 9)),
    st.builds(Crash, step=counts, life=st.integers(0, 5), restart_after=st.none() | times),
    st.builds(Delay, queue=st.just("/queue/a"), nth=counts, seconds=times),
    st.builds(SlowStage, stage=st.just("a/b"), from_seconds=times, extra_seconds=times),
    st.builds(StepClock, at=times, seconds=st.floats(-1e6, 1e6)),
)


@given(FAULTS)
def test_plainer_forms_come_to_an_end(fault):
    for _ in range(400):
        fault, before = next(plainer_faults(fault), None), fault
        if fault is None:
            return
        assert fault != before
        assert type(fault) is type(before)
    raise AssertionError(f"{fault} is never plain")


def test_counts_and_times_become_small():
    async def work(context):
        return AdapterResult.forward()

    registry = validating_registry(work=work)

    def judged(report):
        names = {type(fault).__name__ for fault in report.fired}
        assert names != {"Crash", "FailStage", "SlowStage"}, "all have happened"

    report = simulate(
        "version: '1.0'\nroutes: {a: {adapters: [{type: work}], error_handling: {max_retries: 5}}}",
        registry=registry,
        inputs={"a": list(range(6))},
        queue="broker://",
        faults=[
            FailStage(stage="a/work", nth=5),
            SlowStage(stage="a/work", nth=3, extra_seconds=7.25),
            Crash(step=31, restart_after=2.5),
        ],
    )
    smallest = shrink(report, registry=registry, check=judged)
    of = {type(fault): fault for fault in smallest.faults}
    assert of[FailStage] == FailStage(stage="a/work")
    assert of[SlowStage] == SlowStage(stage="a/work", nth=1)
    crash = of[Crash]
    assert (crash.restart_after, crash.life) == (1.0, 0)
    assert crash.step < 31
    assert len(smallest.inputs) == 1
