"""One run of a pipeline for an operator: start it, show its progress, obey Ctrl-C, return its report.

Kept separate from the command so that it can be driven in tests without a terminal or a process.
"""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import trio

from factflow_engine.cli.progress import Progress
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics
from factflow_protocols import Begun


class RunningExecution(Protocol):
    """The methods of an execution that a session calls."""

    @property
    def begun(self) -> Begun | None:
        """Outcome of publishing the init messages."""
        ...

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        """Return the execution's statistics now; without `details`, only the cheap ones."""
        ...

    async def complete(self) -> ExecutionReport:
        """Finish what was published, then end."""
        ...

    async def wait_ended(self) -> ExecutionReport:
        """Wait for the end, however it comes about."""
        ...

    async def drain(self, seconds: float, /) -> ExecutionReport:
        """Take nothing new, finish in-flight messages within so many seconds, then cancel."""
        ...

    async def cancel(self, seconds: float, /) -> ExecutionReport:
        """Cancel; give in-flight messages so many seconds."""
        ...


class Starter(Protocol):
    """The methods of a manager that a session calls."""

    async def start(
        self,
        config: PipelineGlobalConfig,
        *,
        execution_id: str | None,
        init: Sequence[InitMessageConfig] | None,
        asked_ns: int | None,
        allow_loss: bool,
    ) -> RunningExecution:
        """Start an execution.

        `init` replaces the configuration's init messages; `execution_id` resumes the execution of that id; `allow_loss`
        accepts stages that may lose what they keep.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """End of a session.

    Attributes:
        report: The execution's report; None if it was interrupted before it had started.
        interrupted_by: The first signal, if one arrived before the execution's own end.
    """

    report: ExecutionReport | None
    interrupted_by: signal.Signals | None


class Session:
    """Runner of one execution.

    The first interruption drains the execution with a budget, or cancels it if it is still starting; the second
    cancels it at once. Cancellation of `run` itself cancels the execution.
    """

    def __init__(
        self,
        *,
        open_manager: Callable[[], AbstractAsyncContextManager[Starter]],
        config: PipelineGlobalConfig,
        progress: Progress,
        drain_seconds: float,
        forever: bool = False,
        init: Sequence[InitMessageConfig] | None = None,
        execution_id: str | None = None,
        allow_loss: bool = False,
        asked_ns: int | None = None,
        unpublished: Callable[[Begun], str] | None = None,
    ) -> None:
        """Prepare.

        Args:
            open_manager: Opens the manager that starts the execution.
            config: The configuration to run.
            progress: Display of the execution.
            drain_seconds: The time that the first interruption gives to in-flight messages; 0 cancels at once.
            forever: True if the execution goes on when nothing is left to do, until an interruption.
            init: Init messages that replace the configuration's.
            execution_id: Id of the execution, if it may be resumed.
            allow_loss: True to run stages that can lose what they keep.
            asked_ns: Wall time at which the operator asked for the run; None for now.
            unpublished: Builds the notice that the init messages were not published because the execution is resumed.
        """
        self._open_manager = open_manager
        self._config = config
        self._progress = progress
        self._drain_seconds = drain_seconds
        self._forever = forever
        self._init = init
        self._execution_id = execution_id
        self._allow_loss = allow_loss
        self._asked_ns = asked_ns
        self._unpublished = unpublished
        self._execution: RunningExecution | None = None
        self._start = trio.CancelScope()
        self._signals: list[signal.Signals] = []

    async def run(self, interruptions: AsyncIterator[int]) -> SessionEnd:
        """Run the execution.

        Args:
            interruptions: Signal numbers, as they arrive.

        Raises:
            FactflowError: The execution could not start; wrapped in an ExceptionGroup, as nurseries do.
        """
        report: ExecutionReport | None = None
        interrupted_by: signal.Signals | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey, interruptions, nursery)
            async with self._open_manager() as manager:
                with self._start:
                    self._execution = await manager.start(
                        self._config,
                        execution_id=self._execution_id,
                        init=self._init,
                        asked_ns=self._asked_ns,
                        allow_loss=self._allow_loss,
                    )
                if self._execution is not None:
                    if self._start.cancel_called:  # as it ended: there was nothing left to cancel
                        self._end(self._execution, nursery)
                    nursery.start_soon(self._show, self._execution)
                    self._say_unpublished(self._execution.begun)
                    execution = self._execution
                    report = await (execution.wait_ended() if self._forever else execution.complete())
                    interrupted_by = self._first_signal  # what comes while all is being put away changes nothing
                    self._progress.end(self._execution.statistics(details=False))
            nursery.cancel_scope.cancel()
        return SessionEnd(report=report, interrupted_by=interrupted_by if report is not None else self._first_signal)

    @property
    def _first_signal(self) -> signal.Signals | None:
        return self._signals[0] if self._signals else None

    def _say_unpublished(self, begun: Begun | None) -> None:
        if self._unpublished is not None and begun is not None and not begun.published:
            self._progress.say(self._unpublished(begun))

    async def _show(self, execution: RunningExecution) -> None:
        while True:
            self._progress.show(execution.statistics(details=False))
            await trio.sleep(self._progress.interval_seconds)

    async def _obey(self, interruptions: AsyncIterator[int], nursery: trio.Nursery) -> None:
        async for number in interruptions:
            self._signals.append(signal.Signals(number))
            if self._execution is None:
                self._progress.say("interrupted while starting")
                self._start.cancel()
            else:
                self._end(self._execution, nursery)

    def _end(self, execution: RunningExecution, nursery: trio.Nursery) -> None:
        """End the execution as the signals so far ask for."""
        if len(self._signals) == 1 and self._drain_seconds > 0:
            self._progress.say(
                f"draining: {_held(execution)} may take {self._drain_seconds:g} s to finish; "
                "interrupt again to cancel at once"
            )
            nursery.start_soon(self._drain, execution)
        else:
            self._progress.say(f"cancelling: {_held(execution)} will be given back")
            nursery.start_soon(self._cancel, execution)

    async def _drain(self, execution: RunningExecution) -> None:
        await execution.drain(self._drain_seconds)

    async def _cancel(self, execution: RunningExecution) -> None:
        await execution.cancel(0)


def _held(execution: RunningExecution) -> str:
    routes = execution.statistics(details=False).routes.values()
    in_flight, waiting = sum(route.in_flight for route in routes), sum(route.waiting for route in routes)
    retrying = sum(route.retrying for route in routes)
    return f"{in_flight:,} in flight, {retrying:,} to be tried again and {waiting:,} waiting"
