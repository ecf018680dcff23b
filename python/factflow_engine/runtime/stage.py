"""One adapter's place in a route, prepared for calling; apart from the loop so that the loop calls one shape only."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from factflow_engine.conditions import Condition
from factflow_engine.frames import label_of
from factflow_engine.seams import Threads
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StageInfo, StatefulAdapter

StageCall = Callable[[PipelineContext], Awaitable[AdapterResult | None]]


class StageTimeoutError(TimeoutError):
    """An adapter took longer than its stage's `timeout_seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the adapter did not return within timeout_seconds: {seconds:g}")


class Stage:
    """An adapter instance with its condition and the way it is called.

    Attributes:
        info: Where it stands.
        condition: Messages for which it is false skip the stage; None for all messages.
        call: Awaitable form of the adapter's `process`, time-out included.
        in_thread: Whether `process` is synchronous: then an iterator that it emits is pulled in a thread too.
        threads: Where such an iterator is pulled.
        label: Tells the ids of this stage's children from those of another's.
        stateful: The adapter if it has state to open, finish and close.
        is_stateful: Whether there is one.
        touched: Whether a stateful adapter has something to finish: true at first and after each message.
    """

    __slots__ = ("call", "condition", "in_thread", "info", "is_stateful", "label", "stateful", "threads", "touched")

    def __init__(
        self,
        *,
        info: StageInfo,
        adapter: PipelineAdapter,
        condition: Condition | None,
        timeout_seconds: float | None,
        threads: Threads,
    ) -> None:
        self.info = info
        self.condition = condition
        self.label = label_of(f"{info.route}\0{info.stage}")
        self.stateful = adapter if isinstance(adapter, StatefulAdapter) else None
        self.is_stateful = self.stateful is not None
        self.touched = True
        self.threads = threads
        self.in_thread = not inspect.iscoroutinefunction(adapter.process)
        call: StageCall = partial(_call_in_thread, adapter, threads) if self.in_thread else adapter.process  # type: ignore[assignment]  # the registry has checked that it is a coroutine function
        self.call = call if timeout_seconds is None else partial(_call_in_time, call, timeout_seconds)


async def _call_in_thread(adapter: PipelineAdapter, threads: Threads, context: PipelineContext) -> AdapterResult | None:
    return await threads.run(partial(adapter.process, context))  # type: ignore[arg-type]  # synchronous, as checked


async def _call_in_time(call: StageCall, seconds: float, context: PipelineContext) -> AdapterResult | None:
    # A scope of its own costs microseconds, and only stages that ask for a time-out pay it. What the adapter returned
    # counts even if the time ran out meanwhile: a thread cannot be interrupted.
    with trio.move_on_after(seconds):
        return await call(context)
    raise StageTimeoutError(seconds)
