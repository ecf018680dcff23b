"""Stages of a simulated run: models, replaced and woven functions, recorded calls, and the faults of stages.

Wraps the call of a stage inside its time limits, breakers and limits (`Seams.hooks`), so that they see what a slow, failing
or missing dependency would let them see. A stage that nothing changes is called as in production. Kept separate from
`models` and `faults`, which are data.
"""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from factflow_engine.seams import Clock, Randomness
from factflow_engine.testing.simulation.errors import SimulatedFailureError
from factflow_engine.testing.simulation.faults import FailStage, Fault, FaultRates, SlowStage, StickStage
from factflow_engine.testing.simulation.models import Process, Record, Replace, StageChange, StageModel, Weave
from factflow_engine.testing.simulation.trace import TraceLog
from factflow_engine.testing.virtual_time import SimulatedRandomness
from factflow_protocols import AdapterResult, PipelineContext

SLOW_SECONDS: Final = 5.0
"""Seconds that a call takes longer that `FaultRates.slow_stage` has drawn."""

Call = Callable[[Any], Awaitable[AdapterResult | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call of a stage that was to be recorded.

    Attributes:
        at: Virtual seconds at which it ended.
        process: Number of the process.
        message: The message.
        result: What it returned; None, too, if it raised.
        error: What it raised, as text; `cancelled` if a time limit or the execution's end cancelled it; None if it
            returned.
    """

    at: float
    process: int
    message: Any
    result: AdapterResult | None
    error: str | None


@dataclass(slots=True)
class _Plan:
    """Changes of one stage; shared by all processes, as the dependency is that they stand for."""

    name: str
    randomness: Randomness
    rates: Randomness  # of faults; apart, so that a plan without rates leaves the model's draws as they were
    model: StageModel | None = None
    replaced: Process | None = None
    woven: list[Callable[[PipelineContext], Any]] = field(default_factory=list)
    is_recorded: bool = False
    faults: list[Fault] = field(default_factory=list)
    calls: int = 0
    places: "_Places | None" = None


class _Places:
    """Calls that a dependency takes at a time: first come, first served. Those of a dead process are given back."""

    def __init__(self, capacity: int) -> None:
        self._free = capacity
        self._held: dict[int, int] = {}
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    async def take(self, process: int) -> None:
        if self._free:
            self._free -= 1
        else:
            mine = process, trio.Event()
            self._waiting.append(mine)
            try:
                await mine[1].wait()
            except BaseException:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                else:
                    self._pass_on()
                raise
        self._held[process] = self._held.get(process, 0) + 1

    def give_back(self, process: int) -> None:
        if self._held.get(process):
            self._held[process] -= 1
            self._pass_on()

    def die(self, process: int) -> None:
        self._waiting = deque(each for each in self._waiting if each[0] != process)
        for _ in range(self._held.pop(process, 0)):
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft()[1].set()
        else:
            self._free += 1


class Staging:
    """Changes of the stages of one run.

    Args:
        changes: The changes.
        faults: The run's faults; those of stages are taken.
        seed: Seed of the draws; each stage has a stream of its own.
        clock: The run's clock.
        trace: Trace of the run.
        stages: Names of all stages, `route/stage`.

    Attributes:
        fired: Faults that have happened, as faults without a rate.
        calls: Recorded calls by stage.
    """

    def __init__(
        self,
        changes: Sequence[StageChange],
        faults: Sequence[Fault],
        *,
        seed: int,
        clock: Clock,
        trace: TraceLog,
        stages: Sequence[str],
    ) -> None:
        self.fired: list[Fault] = []
        self.calls: dict[str, list[RecordedCall]] = {}
        self._seed = seed
        self._clock = clock
        self._trace = trace
        self._rates = [
            fault
            for fault in faults
            if isinstance(fault, FaultRates) and (fault.fail_stage or fault.slow_stage or fault.stick_stage)
        ]
        self._plans: dict[str, _Plan] = {}
        for change in changes:
            plan = self._plan(change.stage)
            if isinstance(change, StageModel):
                plan.model = change
                plan.replaced = change.process or plan.replaced
                plan.places = None if change.capacity is None else _Places(change.capacity)
            elif isinstance(change, Replace):
                plan.replaced = change.process
            elif isinstance(change, Weave):
                plan.woven.append(change.before)
            else:
                assert isinstance(change, Record), change
                plan.is_recorded = True
                self.calls[change.stage] = []
        for fault in faults:
            if isinstance(fault, (SlowStage, StickStage, FailStage)):
                self._plan(fault.stage).faults.append(fault)
        if self._rates:
            for name in stages:
                self._plan(name)

    def _plan(self, name: str) -> _Plan:
        plan = self._plans.get(name)
        if plan is None:
            randomness = SimulatedRandomness(f"{self._seed}/{name}")
            plan = self._plans[name] = _Plan(name, randomness, SimulatedRandomness(f"{self._seed}/{name} faults"))
        return plan

    def process_died(self, process: int) -> None:
        """Give back what the calls of a dead process had."""
        for plan in self._plans.values():
            if plan.places is not None:
                plan.places.die(process)

    def around(self, process: int, route: str, stage: str, call: Call) -> Call:
        """Return what is called in the place of a stage's `process` in one process."""
        plan = self._plans.get(f"{route}/{stage}")
        if plan is None:
            return call
        return _Around(self, plan, process, call).call

    def note(self, plan: _Plan, process: int, context: PipelineContext, fault: Fault) -> None:
        """Note a fault that happens now."""
        # One of a time happens at each call in it; two that are equal are listed twice.
        if getattr(fault, "nth", None) is not None or self.fired.count(fault) < plan.faults.count(fault):
            self.fired.append(fault)
        route, _, stage = plan.name.partition("/")
        self._trace.note(
            "! fault", repr(fault), process=process, route=route, stage=stage,
            message_id=bytes.fromhex(context.message_id),
        )  # fmt: skip

    def drawn(self, plan: _Plan) -> Fault | None:
        """Return the fault that the rates draw for the call that begins."""
        now = self._clock.monotonic_ns() / 1e9
        for rates in self._rates:
            if rates.until is not None and now > rates.until:
                continue
            draw = plan.rates.uniform(0, 1)
            if draw < rates.fail_stage:
                # half of them after the work, as the faults of queues and stores
                return FailStage(stage=plan.name, nth=plan.calls, done=draw < rates.fail_stage / 2)
            if draw < rates.fail_stage + rates.stick_stage:
                return StickStage(stage=plan.name, nth=plan.calls)
            if draw < rates.fail_stage + rates.stick_stage + rates.slow_stage:
                return SlowStage(stage=plan.name, nth=plan.calls, extra_seconds=SLOW_SECONDS)
        return None

    def record(
        self, plan: _Plan, process: int, context: PipelineContext, result: AdapterResult | None, error: str | None
    ) -> None:
        """Note a call that has ended, if they are recorded."""
        if plan.is_recorded:
            now = self._clock.monotonic_ns() / 1e9
            self.calls[plan.name].append(
                RecordedCall(at=now, process=process, message=context.message, result=result, error=error)
            )

    def now(self) -> float:
        """Return the virtual seconds since the beginning of the run."""
        return self._clock.monotonic_ns() / 1e9


class _Around:
    """A stage's call in one process, with what is changed of it."""

    __slots__ = ("_call", "_in_flight", "_plan", "_process", "_staging")

    def __init__(self, staging: Staging, plan: _Plan, process: int, call: Call) -> None:
        self._staging = staging
        self._plan = plan
        self._process = process
        self._call = call
        self._in_flight = 0

    async def call(self, context: Any) -> AdapterResult | None:
        plan, staging = self._plan, self._staging
        plan.calls += 1
        failing = None
        try:
            failing = await self._begin_faults(context)
            for before in plan.woven:
                awaited = before(context)
                if inspect.isawaitable(awaited):
                    await awaited
            if plan.model is not None:
                await self._serve(plan.model)
            if plan.replaced is None:
                result = await self._call(context)
            else:
                returned = plan.replaced(context)
                result = await returned if inspect.isawaitable(returned) else returned
        except Exception as error:
            staging.record(plan, self._process, context, None, f"{type(error).__name__}: {error}")
            raise
        except trio.Cancelled:  # by a time limit, or the end of the execution: the stage was called all the same
            staging.record(plan, self._process, context, None, "cancelled")
            raise
        staging.record(plan, self._process, context, result, None)
        if failing is not None:
            raise SimulatedFailureError(f"{failing!r}, after the work was done")
        return result

    async def _begin_faults(self, context: PipelineContext) -> FailStage | None:
        """Let the faults of this call happen; return one that is to happen at its end."""
        plan, staging = self._plan, self._staging
        at_end, now, number = None, staging.now(), plan.calls  # others may begin while this one sleeps
        drawn = staging.drawn(plan)
        for fault in plan.faults if drawn is None else [*plan.faults, drawn]:
            if isinstance(fault, SlowStage):
                in_time = fault.from_seconds <= now <= fault.from_seconds + fault.seconds
                if in_time if fault.nth is None else fault.nth == number:
                    staging.note(plan, self._process, context, fault)
                    await trio.sleep(fault.extra_seconds)
            elif isinstance(fault, StickStage):
                if fault.nth == number:
                    staging.note(plan, self._process, context, fault)
                    await trio.sleep_forever()
            elif isinstance(fault, FailStage) and fault.nth == number:
                staging.note(plan, self._process, context, fault)
                if not fault.done:
                    raise SimulatedFailureError(repr(fault))
                at_end = fault
        return at_end

    async def _serve(self, model: StageModel) -> None:
        """Take the time that the model takes, or fail as it does.

        Cancellation: the place that the call has is given back.
        """
        plan, now = self._plan, self._staging.now()
        if any(outage.from_seconds <= now < outage.until_seconds for outage in model.outages):
            raise SimulatedFailureError(f"{plan.name} is out of service at {now:g} s")
        if plan.places is not None:
            await plan.places.take(self._process)
        self._in_flight += 1
        try:
            seconds = model.time.draw(plan.randomness)
            if model.knee is not None and self._in_flight > model.knee:
                seconds *= self._in_flight / model.knee
            if seconds:
                await trio.sleep(seconds)
            if model.errors and plan.randomness.uniform(0, 1) < model.errors:
                raise SimulatedFailureError(f"{plan.name} has failed, as {model.errors:g} of its calls do")
        finally:
            self._in_flight -= 1
            if plan.places is not None:
                plan.places.give_back(self._process)
