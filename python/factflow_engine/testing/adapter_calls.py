"""One call of an adapter's `process`: its outcome, and what it carries to the next stage.

Kept separate from `adapter_runs`, which makes the adapter, opens and closes it.
"""

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import trio

from factflow_engine.adapters.class_checks import is_sync
from factflow_engine.frames import pack, unpack
from factflow_engine.runtime.hop.instructions import instruction_of, wait_of
from factflow_engine.runtime.stages.results import not_a_result
from factflow_engine.seams import TrioThreads
from factflow_engine.testing.registries import FakeUseError
from factflow_protocols import (
    AdapterResult,
    CircuitOpenError,
    Emit,
    FactflowError,
    PipelineAdapter,
    PipelineContext,
    RetryLater,
)

AdapterOutcome = Literal["completed", "filtered", "failed", "retry"]


class NotReturnedError(FactflowError, TimeoutError):
    """A call of `process` that has not returned within the time limit of the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRun:
    """Result of one message at one adapter.

    Attributes:
        outcome: `completed`; `filtered` for None; `retry` for an error that asks the engine to wait and spends no
            attempt (`RetryLater`, `CircuitOpenError`); `failed` for any other error of this attempt.
        outputs: Messages for the next stage, emitted ones pulled to the end, as it would see them; before an error those
            that had been emitted.
        headers: Headers of each of the outputs.
        error: The error, out of the groups that nurseries make; None without one.
        retry_after_seconds: Time that the error asks for, if it asks for any.
        finished: Messages that `finish` of a `StatefulAdapter` has emitted afterwards.
        seconds: Time that the call took, by trio's clock.
    """

    outcome: AdapterOutcome
    outputs: tuple[Any, ...]
    headers: tuple[Mapping[str, Any], ...]
    error: Exception | None = None
    retry_after_seconds: float | None = None
    finished: tuple[Any, ...] = ()
    seconds: float = 0.0

    @property
    def output(self) -> Any:
        """The one message for the next stage.

        Raises:
            Exception: The adapter's error, if it failed.
            FakeUseError: There is none, or more than one.
        """
        if self.error is not None:
            raise self.error
        if len(self.outputs) != 1:
            raise FakeUseError(
                f"expected one output, got {len(self.outputs)} (outcome {self.outcome}); read .outputs for all of them"
            )
        return self.outputs[0]


async def attempt(adapter: PipelineAdapter, context: PipelineContext, seconds: float) -> AdapterRun:
    """Call `process` once, pull what it emits, and return the outcome; errors are outcomes.

    Cancellation: passes through the adapter.
    """
    start = trio.current_time()
    carried: list[tuple[Any, Mapping[str, Any]]] = []
    outcome: AdapterOutcome = "completed"
    error: Exception | None = None
    with trio.move_on_after(seconds) as scope:
        try:
            result = await _called(adapter, context)
            if result is None:
                outcome = "filtered"
            else:
                await _carry(result, context, carried, in_thread=is_sync(type(adapter)))
        except Exception as raised:  # noqa: BLE001 - an outcome
            error = instruction_of(raised)
    if scope.cancelled_caught:
        error = NotReturnedError(
            f"{type(adapter).__name__}.process did not return within {seconds:g} s of trio's clock; expected a call that "
            "ends: give seconds= if it may take longer"
        )
    wait = None
    if isinstance(error, RetryLater | CircuitOpenError):
        outcome, wait = "retry", wait_of(error)
    elif error is not None:
        outcome = "failed"
    return AdapterRun(
        outcome=outcome,
        outputs=tuple(message for message, _ in carried),
        headers=tuple(each for _, each in carried),
        error=error,
        retry_after_seconds=wait,
        seconds=trio.current_time() - start,
    )


async def _called(adapter: PipelineAdapter, context: PipelineContext) -> AdapterResult | None:
    """Call `process` where the engine would."""
    process = cast("Callable[[PipelineContext], Any]", adapter.process)
    if is_sync(type(adapter)):
        return await TrioThreads().run(lambda: _checked(process(context)))
    return _checked(await process(context))


def _checked(result: Any) -> AdapterResult | None:
    if result is None or isinstance(result, AdapterResult):
        return result
    if inspect.iscoroutine(result):
        result.close()  # or it would warn that nobody has awaited it
    raise TypeError(not_a_result(result))


async def _carry(
    result: AdapterResult, context: PipelineContext, carried: list[tuple[Any, Mapping[str, Any]]], *, in_thread: bool
) -> None:
    """Add what a result carries to a list, one by one, so that an error leaves what was before it."""
    if result.is_forward:
        carried.append((unpack(context.payload), context.headers))
        return
    of_all = _merged(context.headers, result.headers)

    def add(value: Any) -> None:
        if isinstance(value, Emit):
            carried.append((unpack(pack(value.payload)), _merged(of_all, value.headers)))
        else:
            carried.append((unpack(pack(value)), of_all))

    def add_all(values: Iterable[Any]) -> None:
        for value in values:
            add(value)

    emitted = result.emitted
    if emitted is None:
        add(result.message)
    elif isinstance(emitted, AsyncIterable):
        async with AsyncExitStack() as stack:
            close = getattr(emitted, "aclose", None)
            if close is not None:
                stack.push_async_callback(close)
            async for value in emitted:
                add(value)
    elif in_thread:
        await TrioThreads().run(lambda: add_all(emitted))
    else:
        add_all(emitted)


def _merged(headers: Mapping[str, Any], more: Mapping[str, Any] | None) -> Mapping[str, Any]:
    merged = {**headers, **(more or {})}
    return MappingProxyType({name: value for name, value in merged.items() if value is not None})
