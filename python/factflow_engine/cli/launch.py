"""Starts of runs that are no first ones: a replay, a fork, or a recovery.

Kept separate from `running`, which runs it as any other, and from the commands, which decide what is to be started.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from factflow_engine.cli.session import RunningExecution
from factflow_engine.executions import Origin
from factflow_engine.executions.replay import ReplayStoppedError
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics
from factflow_protocols import Begun

Feed = Callable[[PipelineOrchestrator], Awaitable[int]]
"""Publishes the messages of a replay, and returns their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start of a run that somebody else has begun.

    Attributes:
        origin: Origin of the execution.
        execution_id: Id that its queues and objects have; None for the record's.
        asked_ns: Time at which the first start was requested; None for now.
        recalls: True if stages take what they have stored.
        idempotency_key: Key that the operator did not give.
        metadata: Entries of the record's metadata.
        feed: Publishes messages once it runs.
    """

    origin: Origin
    execution_id: str | None = None
    asked_ns: int | None = None
    recalls: bool = False
    idempotency_key: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    feed: Feed | None = None


class FedExecution:
    """Execution that gets stored messages before it is waited for."""

    def __init__(self, execution: PipelineOrchestrator, feed: Feed, say: Callable[[str], None]) -> None:
        self._execution: RunningExecution = execution
        self._orchestrator = execution
        self._feed = feed
        self._say = say

    @property
    def begun(self) -> Begun | None:
        """See `RunningExecution.begun`."""
        return self._execution.begun

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        """See `RunningExecution.statistics`."""
        return self._execution.statistics(details=details)

    async def complete(self) -> ExecutionReport:
        """Publish the messages, then complete.

        Raises:
            ReplayStoppedError: Not all could be published, and nobody had asked for that.
        """
        await self._publish()
        return await self._execution.complete()

    async def wait_ended(self) -> ExecutionReport:
        """Publish the messages, then wait for the end; see `complete`."""
        await self._publish()
        return await self._execution.wait_ended()

    async def drain(self, seconds: float, /) -> ExecutionReport:
        """See `RunningExecution.drain`."""
        return await self._execution.drain(seconds)

    async def cancel(self, seconds: float, /) -> ExecutionReport:
        """See `RunningExecution.cancel`."""
        return await self._execution.cancel(seconds)

    async def _publish(self) -> None:
        try:
            published = await self._feed(self._orchestrator)
        except ReplayStoppedError as error:
            if not error.was_closed:
                raise
            self._say(
                f"{error.published:,} of {error.objects:,} stored messages were published; recover it for the others"
            )
        else:
            if published:
                self._say(f"{published:,} stored messages published")
