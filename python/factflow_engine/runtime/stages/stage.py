"""One adapter's place in a route, prepared for calling. Kept separate from the loop so that the loop calls one shape only."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

from factflow_engine.adapters.keeping import flushes, loses_state, snapshots
from factflow_engine.conditions import Condition
from factflow_engine.frames import label_of
from factflow_engine.native import MessageContext
from factflow_engine.runtime.stages.answers import Answers, Roots
from factflow_engine.runtime.stages.guards import Guard, StageCall, by_deadline, in_route_time, in_time
from factflow_engine.runtime.stages.lifecycle import Opened
from factflow_engine.runtime.stages.open_scopes import guarded
from factflow_engine.runtime.stages.process_pool import ProcessPool
from factflow_engine.seams import Seams, Threads
from factflow_protocols import AdapterResult, PipelineAdapter, StageInfo, StatefulAdapter

if TYPE_CHECKING:
    from factflow_engine.config import CircuitBreakerConfig


class Stage:
    """An adapter instance with its condition and the way it is called.

    Attributes:
        info: Where it stands.
        condition: Messages for which it is false skip the stage; None for all messages.
        call: Awaitable form of the adapter's `process`, time-out included.
        in_thread: True if `process` is synchronous: then an iterator that it emits is pulled in a thread too.
        threads: Where such an iterator is pulled.
        label: Tells the ids of this stage's children from those of another's.
        stateful: The adapter if it has state to open, finish and close.
        opened: What is opened before the first message and closed after the last: that, or worker processes.
        is_stateful: True if there is one.
        guard: Its circuit breakers, if it has any.
        deadline_seconds: Since its message was published, for what it emits as for its call; None: no bound.
        clock: By which that is measured.
        close_seconds: How long it may take to clean up.
        pull_seconds: How long an async iterator that it emits may take for one element; None: no bound.
        touched: True if a stateful adapter has something to finish: true at first and after each message.
        answers: What it has made of messages that are not acknowledged, if its state is stored with acknowledgements.
        is_flushed: True if it makes its effects durable before messages are acknowledged.
        loses: True if it keeps what ends with the process.
    """

    __slots__ = (
        "answers",
        "call",
        "clock",
        "close_seconds",
        "condition",
        "deadline_seconds",
        "guard",
        "in_thread",
        "info",
        "is_flushed",
        "is_stateful",
        "label",
        "loses",
        "opened",
        "pull_seconds",
        "stateful",
        "threads",
        "touched",
    )

    def __init__(
        self,
        *,
        info: StageInfo,
        adapter: PipelineAdapter,
        condition: Condition | None,
        timeout_seconds: float | None,
        route_timeout_seconds: float | None,
        deadline_seconds: float | None,
        close_seconds: float,
        circuit_breaker: CircuitBreakerConfig | None,
        seams: Seams,
        roots: Roots | None = None,
    ) -> None:
        """Prepare; `roots` are the route's where a state can be stored with the acknowledgements of messages."""
        self.info = info
        self.condition = condition
        self.label = label_of(f"{info.route}\0{info.stage}")
        self.stateful = adapter if isinstance(adapter, StatefulAdapter) else None
        self.opened: Opened | None = adapter if isinstance(adapter, ProcessPool) else self.stateful
        self.is_stateful = self.stateful is not None
        self.touched = True
        self.threads = seams.threads
        self.pull_seconds = route_timeout_seconds
        self.deadline_seconds = deadline_seconds
        self.close_seconds = close_seconds
        self.clock = seams.clock
        self.in_thread = not inspect.iscoroutinefunction(adapter.process)
        call: StageCall = partial(_call_in_thread, adapter, seams.threads) if self.in_thread else adapter.process  # type: ignore[assignment]  # the registry has checked that it is a coroutine function, and the context is one
        self.is_flushed = info.durable and flushes(type(adapter))
        self.loses = loses_state(type(adapter)) or (snapshots(type(adapter)) and roots is None and not self.is_flushed)
        answers = roots is not None and snapshots(type(adapter))
        if answers or (timeout_seconds, circuit_breaker, route_timeout_seconds, deadline_seconds) != (None,) * 4:
            call = guarded(call, info)  # innermost: what stands around it sees the call fail
        self.answers: Answers | None = None
        if roots is not None and answers:
            self.answers = Answers(info.stage, call, roots, in_thread=self.in_thread)
            call = self.answers.call
        if timeout_seconds is not None:
            call = in_time(call, timeout_seconds)
        self.guard: Guard | None = None
        if circuit_breaker is not None:
            self.guard = Guard(
                call, circuit_breaker, name=f"{info.route}/{info.stage}", clock=seams.clock, randomness=seams.randomness
            )
            call = self.guard.call
        if isinstance(adapter, ProcessPool):
            call = adapter.in_turn(call)
        if route_timeout_seconds is not None:
            call = in_route_time(call, route_timeout_seconds, seams.clock)
        if deadline_seconds is not None:
            call = by_deadline(call, deadline_seconds, seams.clock)
        self.call = call

    @property
    def keeps(self) -> bool:
        """True if what it keeps is durable by the time that messages are acknowledged."""
        return self.is_flushed or self.answers is not None


async def _call_in_thread(adapter: PipelineAdapter, threads: Threads, context: MessageContext) -> AdapterResult | None:
    return await threads.run(partial(adapter.process, context))  # type: ignore[arg-type]  # synchronous, as checked
