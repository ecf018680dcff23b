"""Lifecycle of one execution, from the opening of its routes to its report; its manager runs it.

Every end passes through here: completion, a drain, a cancellation, a fault. One rule decides which of them the report
names.

Kept separate from `orchestrator`, the object that users hold, because only the manager may call these methods; and from
`assembly`, which makes the parts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import trio

from factflow_engine.errors import ExecutionClosedError, ExecutionStartError
from factflow_engine.runtime.execution.access import Access
from factflow_engine.runtime.execution.assembly import assemble
from factflow_engine.runtime.execution.cause import Cause
from factflow_engine.runtime.execution.completion import LastWordsError
from factflow_engine.runtime.execution.failure_log import FailureLog
from factflow_engine.runtime.execution.faults import Faults
from factflow_engine.runtime.execution.observation import Observation
from factflow_engine.runtime.execution.opening import Opening
from factflow_engine.runtime.execution.plan import ExecutionPlan
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.execution.shutdown import Shutdown
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus
from factflow_engine.runtime.stages.isolation import FaultError
from factflow_protocols import QueueError, StorageError

logger = logging.getLogger("factflow_engine.runtime")


class Lifecycle:
    """Lifecycle of one execution, run once by its manager.

    Attributes:
        id: The execution's id.
        config: The configuration that it runs.
        routes: Routes by id, in the configuration's order.
        loop: Loop that carries the routes' messages.
        frames: Factory of the frames of published messages.
        transport: Transport between the routes and the provider.
        init: Publisher of the init messages.
        access: State of the execution for callers from outside.
        observation: Snapshots of its counters.
        status: State of the execution.
        report: Report, once it has ended.
    """

    def __init__(self, plan: ExecutionPlan) -> None:
        """Prepare; nothing is subscribed outside the process yet.

        Raises:
            StateLossError: A stage would lose its state.
            NoLineageError: Lineage is to be recorded, and there is no store.
            ExecutionStartError: An adapter could not be made.
        """
        config, clock = plan.config, plan.seams.clock
        self.id: Final = plan.execution_id
        self.config: Final = config
        self._config_hash: Final = plan.config_hash
        started_ns = clock.monotonic_ns()
        self.status = ExecutionStatus.STARTING
        self.report: ExecutionReport | None = None
        self._has_lived = False  # its routes have begun: their counts belong to this execution
        self._redacted = Redaction(config)
        self._failures = FailureLog(config.orchestrator.max_recorded_failures, self._redacted)
        self._cause = Cause(self._redacted)
        self._asked_to_end = trio.Event()
        self._shutdown = Shutdown(
            drain_seconds=config.orchestrator.drain_seconds, finish_seconds=config.orchestrator.finish_seconds
        )
        self.access: Final = Access(
            plan.execution_id, is_discarded=lambda: self._channels.is_discarded, closed_error=self._closed_error
        )
        self._faults = Faults(
            cause=self._cause,
            failures=self._failures,
            max_failed=config.orchestrator.max_failed_messages,
            redacted=self._redacted,
            is_ending=self._is_ending,
            close_intake=self._close_intake,
            stop=lambda: self.request_stop(0.0),
        )
        parts = assemble(
            plan, redacted=self._redacted, shutdown=self._shutdown, access=self.access, faults=self._faults
        )
        self._channels = parts.channels
        self.routes: Final = parts.routes
        self.loop: Final = parts.loop
        self.frames: Final = parts.frames
        self.transport: Final = parts.transport
        self._processors = parts.processors
        self.init: Final = parts.init
        self._watchdog = parts.watchdog
        self._completion = parts.completion
        self._storage = parts.storage
        self._storage_error: str | None = None
        self._lineage = parts.lineage
        self._announcing = parts.announcing
        self.observation: Final = Observation(
            plan.execution_id,
            parts.routes,
            loop=parts.loop,
            transport=parts.transport,
            watchdog=parts.watchdog,
            blockers=parts.blockers,
            limits=parts.limits,
            lineage=parts.lineage,
            clock=clock,
            started_ns=started_ns,
        )
        self._opening = Opening(plan.execution_id, parts.processors, parts.transport, parts.init)

    # -- called by the manager -------------------------------------------------------------------------------------

    async def run(
        self, *, publish_init: bool = True, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run from the first subscription to the report; the manager's task for this execution.

        Reports started when every route is subscribed and open and the init messages are published.

        Raises:
            ExecutionStartError: A route could not be started; nothing was processed.
            QueueError: A route could not be subscribed; nothing was processed.
            StorageError: The stages' object store cannot be used; nothing was processed.

        Cancellation: the execution ends `cancelled`; in-flight messages are given back.
        """
        start_error: ExecutionStartError | QueueError | StorageError | None = None
        self.access.enter()
        try:
            async with self._lineage, trio.open_nursery() as routes:
                routes.start_soon(self._announcing.run)
                try:
                    with self._shutdown.opening:
                        if self._storage is not None:
                            await self._storage.check(self.id)
                        await self._opening.run(routes, publish_init=publish_init)
                except (ExecutionStartError, QueueError, StorageError) as error:
                    start_error = error
                    self._redacted.censor(error)
                    self.status = ExecutionStatus.FAILED
                    self._cause.fail(str(error))
                else:
                    if self._shutdown.opening.cancelled_caught:
                        task_status.started()
                    else:
                        await self._live(task_status, publish_init=publish_init)
                finally:
                    self._settle()
                    self.transport.end(self.status, has_lived=self._has_lived)
                routes.cancel_scope.cancel()
        finally:
            try:
                if self._storage is not None:
                    self._storage_error = await self._storage.close(self.config.orchestrator.close_seconds)
                await self._announce_end()
            finally:
                self._finalise()
        if start_error is not None:
            raise start_error

    def let_complete(self) -> None:
        """Request the end as soon as no work is left."""
        self._asked_to_end.set()

    def request_stop(self, grace: float) -> None:
        """Take nothing more from outside; end in-flight messages within `grace` seconds."""
        self._close()
        self.transport.close_intake()
        self._shutdown.cancel(grace)

    def discard(self) -> None:
        """Delete the execution's own queues, if they end with it; `run` calls this itself."""
        self._channels.discard()

    # -- called by the façade --------------------------------------------------------------------------------------

    def drain(self, budget: float | None) -> None:
        """Take nothing more from outside, and end within a budget; see `PipelineOrchestrator.drain`.

        Raises:
            ValueError: The budget is negative or not a number.
        """
        self._shutdown.drain(budget)
        self._close()
        self.transport.wake_publishers()
        self.transport.close_intake()
        self._asked_to_end.set()

    async def wait_ended(self) -> ExecutionReport:
        """Wait for the end of the execution and return its report."""
        await self.access.wait_ended()
        if self.report is None:
            raise AssertionError("an execution ends with a report")  # pragma: no cover - _finalise sets both
        return self.report

    # -- from opening to finalising --------------------------------------------------------------------------------

    async def _live(self, task_status: trio.TaskStatus[None], *, publish_init: bool) -> None:
        self.transport.use()
        started = False
        self._has_lived = True
        try:
            async with trio.open_nursery() as workers:
                self.status = ExecutionStatus.RUNNING
                try:
                    self.loop.start(workers)
                    self._watchdog.start(workers)
                    with self._shutdown.work:
                        if publish_init:
                            await self.init.publish()
                        await self._begin_stages()
                        started = True
                        task_status.started()
                        await self._asked_to_end.wait()
                        self._watchdog.expect_end()
                        await self._complete()
                    if self._shutdown.is_spent and self._cause.error is None and self._completion.is_reached:
                        self.status = ExecutionStatus.COMPLETED  # even without any budget
                    if self.status is ExecutionStatus.COMPLETED:
                        if self.transport.states.discards:
                            for processor in self._processors:
                                processor.discard()
                    else:
                        if not started:
                            task_status.started()
                        await self._stop()
                    workers.cancel_scope.cancel()
                finally:
                    self.loop.workers.stop()  # the nursery takes no more
        finally:
            self._close()  # also when cancelled from outside: the report counts every accepted message
            self.transport.wake_publishers()
            self.loop.stop()
            self.observation.freeze()
            self.discard()  # before routes close, which may take long

    async def _begin_stages(self) -> None:
        try:
            await self._opening.begin_stages()
        except FaultError as fault:
            self._faults.transport_died("noting that stages were begun", fault.error)

    async def _complete(self) -> None:
        """Wait until no work is left; from then on nothing more is accepted."""
        try:
            left = await self._completion.reached()
        except LastWordsError as error:
            logger.debug("%s", self._redacted.trace(error))
            self._faults.note(str(error))
            await trio.lowlevel.checkpoint()  # raises: the completing scope is cancelled, by this or before
            raise
        self._close()  # no await since the loop was seen idle: completion is exact
        if left:
            self._cause.left = f"drained; {left} messages stay in the queue for the next execution of this id"
            self._shutdown.work.cancel()
        else:
            self.status = ExecutionStatus.COMPLETED

    async def _stop(self) -> None:
        """Let in-flight messages end within the grace; record those that are still held."""
        self._close()
        self.transport.wake_publishers()
        self.loop.progress.close_intake()
        with self._shutdown.grace:
            await self.loop.progress.wait_quiet()
        if self._shutdown.is_spent and self._cause.error is None:
            with self._shutdown.words:  # else one message that does not end takes along the results of all others
                try:
                    await self._completion.say_what_can_be_said()
                except LastWordsError as error:
                    logger.debug("%s", self._redacted.trace(error))
                    self._cause.note(str(error))
        self.status = self._cause.status

    def _settle(self) -> None:
        """Decide how the execution has ended; whatever fails from now on is noted, and changes nothing."""
        # Cancelled from outside, or on the way up.
        if self.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING):
            self.status = self._cause.status

    async def _announce_end(self) -> None:
        """Tell other systems how the execution ended."""
        self._close()
        unsent = await self._announcing.end(
            self.status,
            error=self._cause.error_of(self.status, self._shutdown.why),
            routes=self.observation.routes(),
        )
        if unsent is not None:
            self._cause.note(unsent)

    def _finalise(self) -> None:
        has_completed = self.status is ExecutionStatus.COMPLETED
        self._cause.note_lost(self.transport.unaccepted(), () if has_completed else self._completion.unsaid())
        self.report = ExecutionReport(
            execution_id=self.id,
            name=self._redacted(self.config.name),
            config_hash=self._config_hash,
            status=self.status,
            error=self._cause.error_of(self.status, self._shutdown.why),
            routes=self.observation.routes(),
            failures=tuple(self._failures.records),
            failures_omitted=self._failures.omitted,
            held=tuple(self.loop.settlement.given_back),
            close_errors=self._cause.noted(self._close_errors()),
            duration_seconds=self.observation.elapsed_seconds(),
            orphans=self._opening.orphans,
            blockers=self.observation.blockers(),
            limits=self.observation.limits(keys=True),
            lineage=self._lineage.counts(),
        )
        self.discard()
        self.access.end()
        self.transport.close()

    def _close_errors(self) -> Iterator[str]:
        for processor in self._processors:
            yield from processor.close_errors
        if self._storage_error is not None:
            yield self._storage_error
        if self._lineage.close_error is not None:
            yield self._lineage.close_error

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Take nothing more from outside."""
        self.access.close()
        self.transport.close_entrance()

    def _closed_error(self) -> ExecutionClosedError:
        reason = self._cause.closed_reason(self.status, is_draining=self._shutdown.is_draining)
        return ExecutionClosedError(self.id, self.status.value, reason, self._cause.error)

    def _close_intake(self) -> None:
        self.loop.progress.close_intake()

    def _is_ending(self) -> bool:
        stopping = self._cause.error is None and self._shutdown.work.cancel_called
        return stopping or self.status in (ExecutionStatus.COMPLETED, ExecutionStatus.CANCELLED)
