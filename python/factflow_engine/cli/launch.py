"""Starts of runs that are no first ones: a replay, a fork, or a recovery.

Kept separate from `running`, which runs it as any other, and from the commands, which decide what is to be started.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from factflow_engine.cli.progress import Progress
from factflow_engine.cli.session import RunningExecution
from factflow_engine.executions import Executions, ReplayStoppedError, StartedExecution
from factflow_engine.executions.recording import Manager
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics
from factflow_protocols import Begun


class Starting(Protocol):
    """Start of a replay or a recovery that was planned: `replay` or `recover`, with all that the operator does not give."""

    def __call__(
        self,
        executions: Executions,
        manager: Manager,
        *,
        tag: str,
        metadata: Mapping[str, Any],
        allow_loss: bool,
        begun: Callable[[StartedExecution], None],
        progress: Callable[[int], None],
    ) -> Awaitable[StartedExecution]:
        """See `replay`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start of a run that is no first one.

    Attributes:
        start: Starts it, and publishes its messages.
        messages: Number of the stored messages that it publishes.
        idempotency_key: Key that it begins with; None for none.
    """

    start: Starting
    messages: int
    idempotency_key: str | None


class LaunchedExecution:
    """Execution that is shown, and can be ended, while its stored messages are still published.

    Args:
        execution: The execution.
        fed: Set once nothing more is published to it.
        say: Prints a notice.
    """

    def __init__(self, execution: PipelineOrchestrator, fed: trio.Event, say: Callable[[str], None]) -> None:
        self._execution: RunningExecution = execution
        self._fed = fed
        self._say = say

    @property
    def begun(self) -> Begun | None:
        """See `RunningExecution.begun`."""
        return self._execution.begun

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        """See `RunningExecution.statistics`."""
        return self._execution.statistics(details=details)

    async def complete(self) -> ExecutionReport:
        """Wait until the messages are published, then complete."""
        await self._fed.wait()
        return await self._execution.complete()

    async def wait_ended(self) -> ExecutionReport:
        """See `RunningExecution.wait_ended`."""
        return await self._execution.wait_ended()

    async def drain(self, seconds: float, /) -> ExecutionReport:
        """See `RunningExecution.drain`; while messages are published, cancel: it must not end as completed."""
        if self._fed.is_set():
            return await self._execution.drain(seconds)
        self._say("not all stored messages are published yet: only those in flight may finish")
        return await self._execution.cancel(seconds)

    async def cancel(self, seconds: float, /) -> ExecutionReport:
        """See `RunningExecution.cancel`."""
        return await self._execution.cancel(seconds)


async def launched(
    launch: Launch,
    executions: Executions,
    manager: Manager,
    progress: Progress,
    *,
    tag: str,
    metadata: Mapping[str, Any],
    allow_loss: bool,
    task_status: trio.TaskStatus[tuple[str, LaunchedExecution | None]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Start a run, and publish its messages, in a task of its own, while the display shows how many are published.

    Reports started once the execution has begun: the id of its record, and None if another start has begun it before.

    Raises:
        ReplayStoppedError: Not all could be published, and nobody had ended the execution.
        FactflowError: It could not be started.

    Cancellation: the execution is cancelled with it.
    """
    fed = trio.Event()

    def begun(started: StartedExecution) -> None:
        assert started.execution is not None
        task_status.started((started.id, LaunchedExecution(started.execution, fed, progress.say)))

    def published(count: int) -> None:
        progress.remark = f"{count:,} of {launch.messages:,} stored messages published"

    try:
        started = await launch.start(
            executions, manager, tag=tag, metadata=metadata, allow_loss=allow_loss, begun=begun, progress=published
        )
    except ReplayStoppedError as error:
        if not error.was_closed:
            raise
        progress.say(
            f"{error.published:,} of {error.objects:,} stored messages were published; recover it for the others"
        )
    else:
        if started.execution is None:
            task_status.started((started.id, None))
        elif launch.messages:
            progress.say(f"{launch.messages:,} stored messages published")
    finally:
        progress.remark = ""
        fed.set()
