"""Ablations: each guarantee's safeguard switched off, and the campaign that must find it.

Kept separate from the tests because the reference page is written from the same list.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import trio

from factflow_engine.native import Frame
from factflow_engine.resilience import CircuitBreaker
from factflow_engine.runtime.execution import assembly
from factflow_engine.runtime.execution.watchdog import Watchdog
from factflow_engine.runtime.hop import route_state
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.report import Outcome
from factflow_engine.runtime.stages import stage
from factflow_engine.runtime.transport.flush import Flush
from factflow_engine.runtime.transport.sender import Sender
from factflow_engine.testing import explore
from factflow_engine.testing.simulation import (
    Campaign,
    CancelExecution,
    Crash,
    Fault,
    FaultRates,
    Input,
    SimulationReport,
    StickStage,
    simulate,
)
from factflow_engine.testing.virtual_time import SimulatedRandomness
from factflow_protocols import AdapterResult
from factflow_protocols.assertions import always
from support.pipelines import registry_of
from testing.soak_oracles import left
from testing.soak_pipelines import PIPELINES, REGISTRY, frozen

HEAD = 'version: "1.0"'


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a class for a time."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A safeguard, and the campaign that notices that it is gone.

    Attributes:
        name: Name of the ablation.
        guarantee: Number of the guarantee.
        removed: What is switched off, for people.
        off: Switches it off, for the time of a context.
        campaign: Plays seeds, and shrinks the first that fails.
    """

    name: str
    guarantee: int
    removed: str
    off: Callable[[], AbstractContextManager[None]]
    campaign: Callable[[Sequence[int]], Campaign]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Result of a campaign against an ablation.

    Attributes:
        seeds: Seeds that were needed.
        inputs: Inputs of the smallest run that fails; likewise faults, and decisions of the schedule that are shuffled.
        broken: Name of what was broken.
    """

    seeds: int
    inputs: int
    faults: int
    decisions: int
    broken: str


def found(ablation: Ablation, seeds: int = 60) -> Found | None:
    """Play an ablation's campaign with the safeguard off; None if it does not notice."""
    with ablation.off():
        campaign = ablation.campaign(range(seeds))
    if not campaign.failures:
        return None
    smallest = campaign.failures[0]
    return Found(
        seeds=campaign.failed_seeds[0] + 1,
        inputs=len(smallest.inputs),
        faults=len(smallest.faults),
        decisions=smallest.decisions if smallest.schedule is None else len(smallest.schedule),
        broken=smallest.broken[0].name,
    )


# -- campaigns ---------------------------------------------------------------------------------------------------------


def _left_is_right(name: str) -> Callable[[SimulationReport], None]:
    """Return a judge: what leaves a pipeline of the soak is what its model says, each id once."""
    pipeline = PIPELINES[name]

    def check(report: SimulationReport) -> None:
        payloads = [each.payload for each in report.inputs]
        if report.is_smaller:
            return  # the model is that of the whole pipeline
        if not report.ended or not all(isinstance(each, dict) and {"n", "kind"} <= each.keys() for each in payloads):
            return
        want = pipeline.left(payloads)
        if pipeline.has_states:
            members = {frozen(n) for payload in report.payloads("/queue/out") for n in payload["seen"]}
            assert members == set(want["/queue/out"]), "a batch lacks a message that was acknowledged"
            return
        for queue, counts in left(report).items():
            got = sorted(map(repr, (payload for _, payload in counts)))
            assert got == sorted(map(repr, want[queue].elements())), f"{queue} has other messages than it must"

    return check


def _of_soak(
    name: str, faults: Callable[[int], Sequence[Fault]], *, queue: str = "broker://", most: int = 3
) -> Callable[[Sequence[int]], Campaign]:
    """Return the campaign of a pipeline of the soak."""
    pipeline = PIPELINES[name]
    return lambda seeds: explore(
        HEAD + pipeline.text,
        seeds=seeds,
        registry=REGISTRY,
        inputs=lambda seed: pipeline.inputs(random.Random(seed))[:most],
        faults=faults,
        models=pipeline.models,
        queue=queue,
        check=_left_is_right(name),
    )


def _crash(seed: int) -> Sequence[Fault]:
    return [Crash(step=random.Random(seed).randint(1, 150))]


def _cancel(seed: int) -> Sequence[Fault]:
    return [CancelExecution(step=random.Random(seed).randint(1, 150))]


STUCK = HEAD + "\nroutes:\n  a: {adapters: [{type: forward}]}\n"
BURST = (
    HEAD
    + """
routes:
  a:
    inbound: {capacity: 1, concurrency: 1}
    adapters: [{type: double}]
    outbound: [{route: a, condition: {field: n, operator: gt, value: 0}}]
"""
)


async def _double(context: Any) -> Any:
    await trio.sleep(0.01)
    return AdapterResult(emitted=[{"n": context.message["n"] - 1}, {"n": context.message["n"] - 1}])


def _stuck(seeds: Sequence[int]) -> Campaign:
    def check(report: SimulationReport) -> None:
        said = any(event.event == "~ log" and "route 'a', stage 'forward'" in event.detail for event in report.trace)
        assert said or not any(isinstance(fault, StickStage) for fault in report.fired), "nobody says who holds what"

    return explore(
        STUCK,
        seeds=seeds,
        registry=registry_of(),
        inputs={"a": [1, 2]},
        faults=[StickStage(stage="a/forward")],
        until=7_200,
        check=check,
    )


GUARDED = (
    HEAD
    + """
routes:
  a:
    adapters:
      - {type: slow, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1}}
"""
)
TWO = HEAD + "\nroutes:\n  a:\n    inbound: {concurrency: 2}\n    adapters: [{type: counted}]\n"


async def _slow(context: Any) -> Any:
    await trio.sleep(1)
    return AdapterResult.forward()


def _counted() -> Callable[[Any], Any]:
    """Return an adapter that asserts that two messages at most are in it."""
    inside = 0

    async def counted(context: Any) -> Any:
        nonlocal inside
        inside += 1
        always(inside <= 2, "at most two at once")
        await trio.sleep(1)
        inside -= 1
        return AdapterResult.forward()

    return counted


def _never_opens(report: SimulationReport) -> None:
    assert not report.counts.breaker_openings, "a breaker opens, and no call has failed"


def _twice(seeds: Sequence[int]) -> Campaign:
    """Return the campaign that plays each run twice."""
    pipeline = PIPELINES["chain"]

    def check(report: SimulationReport) -> None:
        again = simulate(
            report.config, registry=REGISTRY, inputs=report.inputs, seed=report.seed, schedule=report.schedule
        )
        assert str(again.trace) == str(report.trace), "two runs differ"

    return explore(
        HEAD + pipeline.text,
        seeds=seeds,
        registry=REGISTRY,
        inputs=lambda seed: pipeline.inputs(random.Random(seed))[:3],
        check=check,
    )


# -- safeguards switched off -------------------------------------------------------------------------------------------


async def _settle_first(self: Flush, deliveries: Any) -> None:
    await self.settle(deliveries)
    await self.publish()


async def _settle_without_states(self: Flush, deliveries: Any, change: Any = None) -> None:
    assert self._subscription is not None
    await self._subscription.settle(deliveries)


def _end_as_failed(self: Settlement, worker: Any, route: Any, context: Any, parent: Any) -> None:
    self.end(route, context.frame, parent, Outcome.FAILED, error=OSError("cancelled"))


_TAKE = Sender._take


def _with_counted_ids() -> Callable[[Sender, int], Sequence[Frame]]:
    numbers = itertools.count(1)

    def take(self: Sender, most: int) -> Sequence[Frame]:
        return [_with_id(frame, next(numbers).to_bytes(16)) for frame in _TAKE(self, most)]

    return take


def _with_id(frame: Frame, message_id: bytes) -> Frame:
    return Frame.create(
        frame.payload,
        message_id=message_id,
        correlation_id=frame.correlation_id,
        parent_id=frame.parent_id,
        attempt=frame.attempt,
        time_ns=frame.time_ns,
        key=frame.key,
        headers=frame.headers,
    )


def _nothing(self: Any, *args: Any, **options: Any) -> None:
    """Do nothing."""


def _record_all(self: CircuitBreaker, permit: Any, error: Any = None, duration_ns: int | None = None) -> None:
    if not permit.is_settled:
        permit.record(0, 0, None if error is None else OSError("cancelled"))


@contextmanager
def _any_concurrency() -> Iterator[None]:
    with patched(route_state, "permits", lambda _: 1_000), patched(assembly, "permits", lambda _: 1_000):
        yield


@contextmanager
def _no_time_limits() -> Iterator[None]:
    before = stage.in_time
    stage.in_time = lambda call, seconds: call  # type: ignore[attr-defined]
    try:
        yield
    finally:
        stage.in_time = before  # type: ignore[attr-defined]


ABLATIONS = (
    Ablation(
        name="ended unseen",
        guarantee=1,
        removed="the end of a message that is not retried any more is not counted",
        off=lambda: patched(Settlement, "_end_failed", _nothing),
        campaign=_of_soak("dead letters", lambda seed: (), queue="memory://"),
    ),
    Ablation(
        name="acknowledged first",
        guarantee=2,
        removed="a delivery is acknowledged before what it emitted is published",
        off=lambda: patched(Flush, "publish_and_settle", _settle_first),
        campaign=_of_soak("chain", _crash),
    ),
    Ablation(
        name="states not stored",
        guarantee=2,
        removed="what a stateful stage keeps is not stored with the acknowledgement",
        off=lambda: patched(Flush, "settle", _settle_without_states),
        campaign=_of_soak("gathered", _crash),
    ),
    Ablation(
        name="ids by counter",
        guarantee=2,
        removed="ids of emitted messages are counted, not derived",
        off=lambda: patched(Sender, "_take", _with_counted_ids()),
        campaign=_of_soak("diamond", _crash),
    ),
    Ablation(
        name="cancelled is failed",
        guarantee=3,
        removed="an interrupted message ends as failed",
        off=lambda: patched(Settlement, "interrupt", _end_as_failed),
        campaign=_of_soak("chain", _cancel),
    ),
    Ablation(
        name="breakers count cancellations",
        guarantee=3,
        removed="a circuit breaker counts a call that is cancelled",
        off=lambda: patched(CircuitBreaker, "settle", _record_all),
        campaign=lambda seeds: explore(
            GUARDED,
            seeds=seeds,
            registry=registry_of(slow=_slow),
            inputs={"a": [1, 2]},
            faults=_cancel,
            check=_never_opens,
        ),
    ),
    Ablation(
        name="no time limit",
        guarantee=4,
        removed="`timeout_seconds` of a stage is not applied",
        off=_no_time_limits,
        campaign=_of_soak("time limit", lambda seed: [FaultRates(until=20, stick_stage=0.2)], queue="memory://"),
    ),
    Ablation(
        name="no relief of full circles",
        guarantee=5,
        removed="a circle of full queues lets no message exceed a capacity",
        off=lambda: patched(Relief, "_look_at", lambda self, cycle, asks: False),
        campaign=lambda seeds: explore(
            BURST, seeds=seeds, registry=registry_of(double=_double), inputs=lambda seed: [Input("a", {"n": 3})] * 3
        ),
    ),
    Ablation(
        name="no concurrency limit",
        guarantee=5,
        removed="`concurrency` of a route is not applied",
        off=_any_concurrency,
        campaign=lambda seeds: explore(
            TWO, seeds=seeds, registry=registry_of(counted=_counted()), inputs={"a": [1, 2, 3, 4]}
        ),
    ),
    Ablation(
        name="randomness without a seed",
        guarantee=6,
        removed="what the execution draws comes of the machine",
        off=lambda: patched(SimulatedRandomness, "uniform", lambda self, low, high: random.uniform(low, high)),
        campaign=_twice,
    ),
    Ablation(
        name="no watchdog",
        guarantee=9,
        removed="the watchdog does not look",
        off=lambda: patched(Watchdog, "_look", _nothing),
        campaign=_stuck,
    ),
)
"""All ablations, in the order of the guarantees."""

HELD_ELSEWHERE = (
    (
        3,
        "the permit of a message that is cancelled comes back",
        "tests/runtime/stages/test_limits_on_a_durable_queue.py",
    ),
    (7, "the validator is the loader: there is nothing to switch off", "tests/testing/test_strategies_configs.py"),
    (8, "conditions are linear: they are evaluated in Rust", "tests/conditions/test_hostile_sources.py"),
    (9, "a worker that dies fails its route: no adapter can kill one", "tests/runtime/hop/test_loop_interruptions.py"),
)
"""Safeguards that no campaign of this list switches off: guarantee, safeguard, and the tests that hold it."""

GUARANTEES = {
    1: "conservation",
    2: "at least once, derived ids",
    3: "cancelled is never an outcome",
    4: "nothing outlives its owner",
    5: "bounded, no deadlock",
    6: "deterministic",
    7: "the validator is the loader",
    8: "linear",
    9: "loud",
}


def row(ablation: Ablation, result: Found) -> str:
    """Return the row of the page."""
    return (
        f"| {ablation.guarantee}, {GUARANTEES[ablation.guarantee]} | {ablation.removed} | {result.broken} "
        f"| {result.seeds} | {result.inputs} + {result.faults} + {result.decisions} |"
    )
