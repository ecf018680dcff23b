"""One adapter's place in a route, prepared for calling. Kept separate from the loop, which calls every stage alike."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from factflow_engine.adapters.keeping import flushes, loses_state, snapshots
from factflow_engine.conditions import Condition
from factflow_engine.frames import label_of
from factflow_engine.native import LoopWatch, MessageContext, WatchedCall
from factflow_engine.runtime.stages.answers import Answers, Roots
from factflow_engine.runtime.stages.breaker_guard import BreakerGuard
from factflow_engine.runtime.stages.lifecycle import Opened
from factflow_engine.runtime.stages.limits import Limits
from factflow_engine.runtime.stages.open_scopes import guarded
from factflow_engine.runtime.stages.process_pool import ProcessPool
from factflow_engine.runtime.stages.recorded import recorded
from factflow_engine.runtime.stages.stage_limit import StageLimit
from factflow_engine.runtime.stages.storing import Storing
from factflow_engine.runtime.stages.timeouts import StageCall, by_deadline, in_route_time, in_time
from factflow_engine.seams import Seams, Threads
from factflow_protocols import AdapterResult, PipelineAdapter, StageInfo, StatefulAdapter

if TYPE_CHECKING:
    from factflow_engine.config import BackpressureConfig, CircuitBreakerConfig

T = TypeVar("T")


class Stage:
    """An adapter instance with its condition and its call.

    Attributes:
        info: Execution, route and name of the stage.
        adapter: The adapter, or the pool of processes that it runs in.
        condition: Messages for which it is false skip the stage; None for all messages.
        call: Awaitable form of the adapter's `process`, guards included.
        in_thread: True if `process` is synchronous: an iterator that it emits is then pulled in a thread, too.
        threads: Threads for pulling such an iterator.
        label: Distinguishes the ids of this stage's children from those of other stages.
        stateful: The adapter if it has state to open, finish and close.
        opened: Object that is opened before the first message and closed after the last: the adapter, or a process
        pool.
        is_stateful: True if there is one.
        guard: Its circuit breakers, if it has any.
        limit: Limit of its calls, if it has one of its own.
        deadline_seconds: Deadline since its message was published, for its emitted source as for its call; None: no
        bound.
        clock: Clock of the deadline.
        close_seconds: Time to close.
        pull_seconds: Time for an emitted async iterator to give one element; None: no bound.
        touched: True if a stateful adapter has something to finish: at first, and after each message.
        answers: Answers to unacknowledged messages, if its state is stored with acknowledgements.
        is_flushed: True if it makes its effects durable before messages are acknowledged.
        loses: True if it keeps state that is lost with the process.
        doing: Reason that reports give for a message at this stage, if it is not the adapter's work; else empty.
        follows: True if a message that skips the stage before this one skips this one, too: the two belong together.
        is_step: True if it is no stage of the configuration, but the step that stores beside one of the same name.
    """

    __slots__ = (
        "_watch",
        "adapter",
        "answers",
        "call",
        "clock",
        "close_seconds",
        "condition",
        "deadline_seconds",
        "doing",
        "follows",
        "guard",
        "in_thread",
        "info",
        "is_flushed",
        "is_stateful",
        "is_step",
        "label",
        "limit",
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
        backpressure: BackpressureConfig | None = None,
        limits: Limits,
        seams: Seams,
        watch: LoopWatch,
        roots: Roots | None = None,
        follows: bool = False,
        doing: str = "",
        recalled: Callable[[StageCall], StageCall] | None = None,
    ) -> None:
        """Prepare.

        `roots` are the route's if a state can be stored with the acknowledgements of messages. `recalled` wraps the call
        so that stored results take the place of calls.
        """
        self.info = info
        self.adapter = adapter
        self._watch = watch
        self.condition = condition
        self.follows = follows
        self.is_step = isinstance(adapter, Storing)
        self.doing = doing
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
        if seams.around_call is not None:
            call = seams.around_call(info.route, info.stage, call)
        self.is_flushed = info.durable and flushes(type(adapter))
        self.loses = loses_state(type(adapter)) or (snapshots(type(adapter)) and roots is None and not self.is_flushed)
        answers = roots is not None and snapshots(type(adapter))
        if answers or (timeout_seconds, circuit_breaker, route_timeout_seconds, deadline_seconds) != (None,) * 4:
            call = guarded(call, info)  # innermost: the guards around it see the call fail
        self.answers: Answers | None = None
        if roots is not None and answers:
            self.answers = Answers(info.stage, call, roots, in_thread=self.in_thread)
            call = self.answers.call
        if timeout_seconds is not None:
            call = in_time(call, timeout_seconds)
        if seams.calls is not None:
            call = recorded(call, info, seams.calls, seams.clock)
        self.guard: BreakerGuard | None = None
        if circuit_breaker is not None:
            self.guard = BreakerGuard(
                call, circuit_breaker, name=f"{info.route}/{info.stage}", clock=seams.clock, randomness=seams.randomness
            )
            call = self.guard.call
            if seams.hooks is not None:
                seams.hooks.breaker(self.guard.name, self.guard.events.subscribe)
        if isinstance(adapter, ProcessPool):
            call = adapter.in_turn(call)
        self.limit: StageLimit | None = None
        if backpressure is not None:
            shared = limits.of_stage(f"{info.route}/{info.stage}", backpressure)
            self.limit = StageLimit(
                call,
                backpressure,
                shared,
                stage=info.stage,
                guard=self.guard,
                is_shared=backpressure.group is not None,
                leave_out=limits.leave_out,
                clock=seams.clock,
            )
            call = self.limit.call
        if route_timeout_seconds is not None:
            call = in_route_time(call, route_timeout_seconds, seams.clock)
        if deadline_seconds is not None:
            call = by_deadline(call, deadline_seconds, seams.clock)
        self.call = call if recalled is None else recalled(call)

    def watched(self, awaitable: Awaitable[T], call: str) -> Awaitable[T]:
        """Return this awaitable of the stage's `call` so that it is noticed if one of its steps holds the loop."""
        return WatchedCall(awaitable, self._watch, self, call)

    @property
    def keeps(self) -> bool:
        """True if its state is durable by the time that messages are acknowledged."""
        return self.is_flushed or self.answers is not None


async def _call_in_thread(adapter: PipelineAdapter, threads: Threads, context: MessageContext) -> AdapterResult | None:
    return await threads.run(partial(adapter.process, context))  # type: ignore[arg-type]  # synchronous, as checked
