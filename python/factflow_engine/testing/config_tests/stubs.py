"""Stages of a test: the adapters that answer in the place of the pipeline's own, and the pipeline that runs with them.

A stub is an adapter of its own type, so that the stage's own adapter is neither made nor opened. Conditions, limits,
retries, breakers, time limits and stores of the stage stay as they are. Kept separate from running because coverage runs
the same pipeline with probes.
"""

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import Condition, compile_condition
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.frozen import FrozenDict
from factflow_engine.config.models import AdapterConfig
from factflow_engine.testing.config_tests.models import AnswerModel, CaseModel, RaisedModel, StubModel
from factflow_engine.testing.config_tests.payloads import from_written, is_same
from factflow_engine.testing.simulation.errors import SimulatedFailureError
from factflow_engine.testing.simulation.models import (
    Bimodal,
    Constant,
    Lognormal,
    ServiceTime,
    StageChange,
    StageModel,
    Weave,
)
from factflow_protocols import (
    AdapterResult,
    CircuitOpenError,
    Emit,
    FactflowError,
    Overloaded,
    PipelineAdapter,
    PipelineContext,
    Reject,
    RetryLater,
    StatefulAdapter,
)

Probe = Callable[[Any], None]
"""Function that is given each message at a place of the pipeline."""


class StubbedError(FactflowError):
    """Failure that a test asks for."""


class UnexpectedCallError(FactflowError):
    """Call of a stage with a message for which the test has no answer."""


def error_of(raised: RaisedModel) -> Exception:
    """Return the exception that a test names."""
    name, text = raised.type, raised.text
    match name:
        case "Reject":
            return Reject(text)
        case "RetryLater":
            return RetryLater(raised.delay, text)
        case "Overloaded":
            made = Overloaded(raised.delay if "delay" in raised.model_fields_set else None, text)
            made.args = (text,)  # the text as it was, which may name the delay
            return made
        case "CircuitOpenError":
            return CircuitOpenError(text, raised.delay)
    return _class_of(name, raised.bases)(text)


def _class_of(name: str, bases: Sequence[str]) -> type[Exception]:
    """Return a class of this name that is made of its text; of a built-in class, or a subclass of those named."""
    above: type[Exception] = StubbedError
    for base in reversed(bases):
        above = _built_in(base) or type(base, (above,), {})
    if name == StubbedError.__name__:
        return StubbedError
    own = None if bases else _built_in(name)
    return type(name, (above,), {"__init__": Exception.__init__, "__str__": Exception.__str__}) if own is None else own


def _built_in(name: str) -> type[Exception] | None:
    """Return a built-in class of exceptions whose text is what it is made of; None if there is none of this name."""
    found = getattr(builtins, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return None
    try:
        if str(found("x")) == "x":
            return found
    except TypeError:  # it wants more than a text, as UnicodeDecodeError does
        return None
    return type(name, (found,), {"__str__": lambda self: str(self.args[0])})  # as KeyError, which quotes


class _Answer:
    """An answer, ready to be given."""

    def __init__(self, model: AnswerModel) -> None:
        self._model = model
        self._headers = None if model.headers is None else {k: from_written(v) for k, v in model.headers.items()}
        self._emitted = [_emitted(each) for each in model.emits]

    async def give(self) -> AdapterResult | None:
        model, written = self._model, self._model.model_fields_set
        if "sticks" in written:
            await trio.sleep_forever()
        if "emits" in written:
            if model.raises is not None:
                return AdapterResult(emitted=self._failing(model.raises), headers=self._headers)
            return AdapterResult(emitted=list(self._emitted), headers=self._headers)
        if model.raises is not None:
            raise error_of(model.raises)
        if "returns" in written:
            return AdapterResult(message=from_written(model.returns), headers=self._headers)
        return None if "filters" in written else AdapterResult.forward()

    def result_for(self, context: PipelineContext, result: AdapterResult | None) -> AdapterResult | None:
        """Return what is given for a message: a forwarded one may get headers."""
        if result is not None and result.is_forward and self._headers is not None:
            return AdapterResult(message=context.message, headers=self._headers)
        return result

    def _failing(self, raised: RaisedModel) -> Any:
        yield from self._emitted
        raise error_of(raised)


def _emitted(given: Any) -> Any:
    if isinstance(given, Mapping) and "payload" in given and given.keys() <= {"payload", "key", "headers"}:
        return Emit(from_written(given["payload"]), key=given.get("key"), headers=from_written(given.get("headers")))
    return from_written(given)


class _Case:
    """A case of a stage, with the number of its calls that are left."""

    def __init__(self, model: CaseModel) -> None:
        written = model.model_fields_set
        self.answer = _Answer(model)
        self._input: Any = from_written(model.input)
        self._is_exact = "input" in written
        self._condition: Condition | None = compile_condition(model.when) if "when" in written else None
        self._attempt = model.attempt
        self._left = model.calls

    def takes(self, message: Any, attempt: int) -> bool:
        """True if it answers this attempt at a message; counts the call."""
        if self._left == 0 or (self._attempt is not None and self._attempt != attempt):
            return False
        if self._is_exact and not is_same(self._input, message):
            return False
        if self._condition is not None and not self._condition.matches_value(message):
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Answering:
    """Answers of one stage during one run, over all its processes.

    Args:
        stage: The stage, as `route/stage`.
        model: What the test says.
        unexpected: List that calls without an answer are added to.
    """

    def __init__(self, stage: str, model: StubModel, unexpected: list[tuple[str, Any]]) -> None:
        self._stage = stage
        self._cases = [_Case(case) for case in model.cases]
        is_free = model.has_answer or (not self._cases and model.finishes is not None)
        self._default = _Answer(model) if is_free else None
        self._ends_here = is_free and not model.has_answer  # it only finishes: messages end in it
        self._finish = model.finishes
        self._unexpected = unexpected

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Return the answer to a message."""
        message = context.message
        for case in self._cases:
            if case.takes(message, context.attempt):
                return case.answer.result_for(context, await case.answer.give())
        if self._default is None:
            self._unexpected.append((self._stage, message))
            raise UnexpectedCallError(f"the test has no answer of stage {self._stage!r} for the message {message!r}")
        if self._ends_here:
            return None
        return self._default.result_for(context, await self._default.give())

    def adapter(self) -> type[PipelineAdapter]:
        """Return a class of adapters that answer so."""
        answering, model = self, self._finish

        class Stub(PipelineAdapter):
            """Stage of a test."""

            async def process(self, context: PipelineContext) -> AdapterResult | None:
                return await answering.process(context)

        class FinishingStub(StatefulAdapter):
            """Stage of a test that adds something at its end."""

            async def process(self, context: PipelineContext) -> AdapterResult | None:
                return await answering.process(context)

            def __init__(self) -> None:
                # Of each instance: the one that takes the place of one that died says it, too.
                self._last = None if model is None else _Answer(model)

            async def finish(self) -> AdapterResult | None:
                answer, self._last = self._last, None
                return None if answer is None else await answer.give()

            def snapshot(self) -> Any:
                return None

            def restore(self, state: Any) -> None:
                del state

        return Stub if self._finish is None else FinishingStub


def _probing(probe: Probe) -> type[PipelineAdapter]:
    """Return a class of adapters that show each message to a probe, and pass it on."""

    class Probing(PipelineAdapter):
        """Probe of the coverage."""

        async def process(self, context: PipelineContext) -> AdapterResult:
            probe(context.message)
            return AdapterResult.forward()

    return Probing


def with_stubs(
    config: PipelineGlobalConfig,
    registry: ValidatingAdapterRegistry,
    stubs: Mapping[str, StubModel],
    unexpected: list[tuple[str, Any]],
    probes: Mapping[tuple[str, int], Probe] | None = None,
) -> tuple[PipelineGlobalConfig, ValidatingAdapterRegistry]:
    """Return the pipeline with its stubbed stages, and the registry to run it with.

    Args:
        config: The pipeline.
        registry: Its adapters.
        stubs: Behaviour of stages, by `route/stage`.
        unexpected: List that calls without an answer are added to.
        probes: Functions that are given each message in front of a route's stage of this number; the number of stages
            is the place behind all of them.
    """
    copied = registry.copy()
    routes: dict[str, Any] = {}
    for route_id, route in config.routes.items():
        sections: list[AdapterConfig] = []
        for place, stage in enumerate(route.adapters):
            stub = stubs.get(f"{route_id}/{stage.name}")
            if stub is not None and stub.is_stubbed:
                name = f"stub_{len(copied.types())}"
                copied.register(name, Answering(f"{route_id}/{stage.name}", stub, unexpected).adapter())
                stage = _of_type(stage, name)  # noqa: PLW2901 - the stage as it runs
            sections += _probe(copied, probes, route_id, place)
            sections.append(stage)
        sections += _probe(copied, probes, route_id, len(route.adapters))
        routes[route_id] = route.model_copy(update={"adapters": tuple(sections)})
    changed = config.model_copy(update={"routes": FrozenDict(routes)})
    # Places of references to the environment are those of the stages that are no more; the hash is not shown.
    changed.__pydantic_private__ = {**(config.__pydantic_private__ or {}), "_references": FrozenDict()}
    return changed, copied


def _of_type(stage: AdapterConfig, name: str) -> AdapterConfig:
    changed = stage.model_copy(
        update={
            "type": name,
            "config": FrozenDict(),
            "isolation": None,
            "processes": None,
            "max_messages_per_process": None,
        }
    )
    changed.__pydantic_private__ = {**(stage.__pydantic_private__ or {}), "_references": FrozenDict()}
    return changed


def _probe(
    registry: ValidatingAdapterRegistry,
    probes: Mapping[tuple[str, int], Probe] | None,
    route_id: str,
    place: int,
) -> Sequence[AdapterConfig]:
    probe = None if probes is None else probes.get((route_id, place))
    if probe is None:
        return ()
    name = f"probe_{len(registry.types())}"
    registry.register(name, _probing(probe))
    return (AdapterConfig(type=name, name=f"coverage-{place}"),)


def changes(stubs: Mapping[str, StubModel]) -> list[StageChange]:
    """Return the times and failures of stages, as a simulation takes them."""
    found: list[StageChange] = []
    for stage, stub in stubs.items():
        share = 0.0 if stub.fails is None else stub.fails.share
        if stub.times is not None or share:
            found.append(StageModel(stage=stage, time=_time(stub), errors=share))
        if stub.fails is not None and stub.fails.first:
            found.append(Weave(stage, _Failing(stage, stub.fails.first)))
    return found


def _time(stub: StubModel) -> ServiceTime:
    times = stub.times
    if times is None:
        return Constant(0)
    if times.lognormal is not None:
        return Lognormal(median=times.lognormal.median, sigma=times.lognormal.sigma)
    if times.bimodal is not None:
        return Bimodal(quick=times.bimodal.quick, slow=times.bimodal.slow, slow_share=times.bimodal.slow_share)
    return Constant(times.constant or 0)


class _Failing:
    """Failure of the first calls of a stage."""

    def __init__(self, stage: str, first: int) -> None:
        self._stage = stage
        self._first = first
        self._calls = 0

    def __call__(self, context: PipelineContext) -> None:
        del context
        self._calls += 1
        if self._calls <= self._first:
            raise SimulatedFailureError(f"{self._stage}: call {self._calls} of the {self._first} that fail")
