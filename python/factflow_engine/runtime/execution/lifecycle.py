"""One execution's life, from the opening of its routes to its report; what its manager runs.

Every end goes through here: completion, a drain, a cancellation, a fault. One rule says which of them the report tells of.

Kept separate from `orchestrator`, the object that users hold, because only the manager may do what is done here; and from
`assembly`, which makes the parts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.errors import CallFromInsideError, ExecutionClosedError, ExecutionStartError, describe
from factflow_engine.frames import Frame
from factflow_engine.queues.naming import prefix_of
from factflow_engine.runtime.execution.assembly import assemble
from factflow_engine.runtime.execution.cause import Cause
from factflow_engine.runtime.execution.completion import LastWordsError
from factflow_engine.runtime.execution.failure_log import FailureLog
from factflow_engine.runtime.execution.orphans import orphans_among, remedy
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.execution.shutdown import Shutdown
from factflow_engine.runtime.execution.trio_only import require_trio
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import (
    ExecutionReport,
    ExecutionStatistics,
    ExecutionStatus,
    OrphanedQueue,
    RouteStatistics,
)
from factflow_engine.runtime.stages.isolation import FaultError, descends_from, is_cancelled
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.seams import Seams
from factflow_protocols import Begun, QueueError, QueueProtocol

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
    from factflow_engine.resilience import AdapterCircuitMetrics

logger = logging.getLogger("factflow_engine.runtime")


MOST_HELD: Final = 1_000
"""Messages that `statistics()` names, at the most: it is asked often, and as many may wait as a configuration lets."""


class Lifecycle:
    """The life of one execution, run once by its manager.

    Attributes:
        id: The execution's id.
        config: What is run.
        routes: By id, in the order of the configuration.
        loop: Carries their messages.
        frames: Makes the frames of what is published.
        transport: Leads to the routes and from them.
        status: Where the execution is in its life.
        report: What it was, once it has ended.
    """

    def __init__(
        self,
        config: PipelineGlobalConfig,
        *,
        execution_id: str,
        registry: ValidatingAdapterRegistry,
        operators: OperatorRegistry | None,
        provider: QueueProtocol,
        seams: Seams,
        allow_loss: bool = False,
        asked_ns: int | None = None,
        init: Sequence[InitMessageConfig] | None = None,
    ) -> None:
        """Prepare; nothing is subscribed outside the process yet.

        Args:
            config: What is run.
            execution_id: Whose queues they are.
            registry: Where stages find their adapters.
            operators: The condition operators that the configuration was loaded with, if not the built-in ones alone.
            provider: Where messages wait.
            seams: Time, randomness, ids and threads.
            allow_loss: True if stages may keep what does not outlive the process, though messages do.
            asked_ns: When the start was asked for (see `ExecutionStarts`); None if no other execution has the id.
            init: The init messages, if not those of the configuration.

        Raises:
            StateLossError: A stage would lose what it keeps.
            UnsupportedFeatureError: The configuration needs something that this version cannot do.
            ExecutionStartError: An adapter could not be made.
        """
        self.id: Final = execution_id
        self.config: Final = config
        self._config_hash: Final = config.hash  # made of the whole configuration: once
        self._seams = seams
        self._started_ns = seams.clock.monotonic_ns()
        self.status = ExecutionStatus.STARTING
        self.report: ExecutionReport | None = None
        self._goes_on = False  # with what another process of this id has begun, as far as stages were to know
        self._closed = False  # nothing more is taken from outside
        self._orphans: tuple[OrphanedQueue, ...] = ()
        self._has_lived = False  # its routes began: what it ends with is its own
        self._redacted = Redaction(config)
        self._failures = FailureLog(config.orchestrator.max_recorded_failures, self._redacted)
        self._cause = Cause(self._redacted)
        self._last_routes: Mapping[str, RouteStatistics] = {}
        self._asked_to_end = trio.Event()
        self._ended = trio.Event()
        self._task: trio.lowlevel.Task | None = None  # that everything of the execution descends from, while it lives
        self._shutdown = Shutdown(
            drain_seconds=config.orchestrator.drain_seconds, finish_seconds=config.orchestrator.finish_seconds
        )
        parts = assemble(
            config,
            execution_id=execution_id,
            registry=registry,
            operators=operators,
            provider=provider,
            seams=seams,
            allow_loss=allow_loss,
            asked_ns=asked_ns,
            init=init,
            config_hash=self._config_hash,
            redacted=self._redacted,
            shutdown=self._shutdown,
            owner=self,
        )
        self._channels = parts.channels
        self.routes: Final = parts.routes
        self.loop: Final = parts.loop
        self.frames: Final = parts.frames
        self.transport: Final = parts.transport
        self._processors = parts.processors
        self._init = parts.init
        self._watchdog = parts.watchdog
        self._completion = parts.completion

    # -- what the manager calls ------------------------------------------------------------------------------------

    async def run(
        self, *, publish_init: bool = True, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Live from the first subscription to the report; the manager's task for this execution.

        Reports started when every route is subscribed and open and the init messages are published.

        Raises:
            ExecutionStartError: A route could not be started; nothing was processed.
            QueueError: A route could not be subscribed; nothing was processed.

        Cancellation: the execution ends `cancelled`; what was in flight is given back.
        """
        start_error: ExecutionStartError | QueueError | None = None
        self._task = trio.lowlevel.current_task()
        try:
            async with trio.open_nursery() as routes:
                try:
                    with self._shutdown.opening:
                        await self._open(routes, publish_init=publish_init)
                except (ExecutionStartError, QueueError) as error:
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
                    self.transport.end(self.status, has_lived=self._has_lived)
                routes.cancel_scope.cancel()
        finally:
            self._finalise()
        if start_error is not None:
            raise start_error

    def let_complete(self) -> None:
        """Ask for the end as soon as nothing is left to do."""
        self._asked_to_end.set()

    def request_stop(self, grace: float) -> None:
        """Take nothing more from outside; ask for what is in flight to end within `grace` seconds."""
        self._close()
        self.transport.close_intake()
        self._shutdown.cancel(grace)

    def discard(self) -> None:
        """Forget the execution's own queues, as far as they die with it; called by `run` if that is called."""
        self._channels.discard()

    # -- what the façade calls besides -----------------------------------------------------------------------------

    def drain(self, budget: float | None) -> None:
        """Take nothing more from outside, and ask for the end within a budget; see `PipelineOrchestrator.drain`.

        Raises:
            ValueError: The budget is negative or not a number.
        """
        self._shutdown.drain(budget)
        self._close()
        self.transport.wake_publishers()
        self.transport.close_intake()
        self._asked_to_end.set()

    async def wait_ended(self) -> ExecutionReport:
        """Return the report, once the execution has ended."""
        await self._ended.wait()
        if self.report is None:
            raise AssertionError("an execution ends with a report")  # pragma: no cover - _finalise sets both
        return self.report

    def refuse_if_closed(self) -> None:
        """Raise if nothing more is taken from outside.

        Raises:
            ExecutionClosedError: It is draining, or has ended.
        """
        if self._closed:
            raise self._closed_error()

    def refuse_if_ended(self) -> None:
        """Raise if nothing can be consumed any more.

        Raises:
            ExecutionClosedError: It has ended.
        """
        if self._ended.is_set() or self._channels.is_discarded:
            raise self._closed_error()

    def refuse_from_inside(self, call: str, instead: str = "call let_complete()") -> None:
        """Raise if a task of the execution calls what waits for its end.

        Raises:
            CallFromInsideError: One does; it names what to call instead.
            NotInTrioError: This thread does not run trio.
        """
        require_trio(f"{call}()")
        if self._task is not None and descends_from(self._task):
            raise CallFromInsideError(self.id, call, instead)

    @property
    def begun(self) -> Begun | None:
        """The way the execution was started; None if it was not, or without its init messages."""
        return self._init.begun

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        """Return a snapshot of everything that has state; without `details`, of what is counted anyway."""
        return ExecutionStatistics(
            execution_id=self.id,
            status=self.status,
            elapsed_seconds=self._elapsed(),
            routes=self._last_routes or self._route_statistics(),
            stalled=self._watchdog.stalled,
            held=self.loop.held(MOST_HELD) if details else (),
            waits=self.loop.waits(),
            circuits=self.circuits() if details else {},
        )

    def circuits(self) -> Mapping[str, AdapterCircuitMetrics]:
        """Return what the circuit breakers are and have counted, by `route/stage`; of stages that have any."""
        return {
            f"{route.id}/{stage.info.stage}": stage.guard.metrics()
            for route in self.routes.values()
            for stage in route.stages
            if stage.guard is not None
        }

    # -- from opening to finalising --------------------------------------------------------------------------------

    async def _open(self, routes: trio.Nursery, *, publish_init: bool) -> None:
        """Subscribe, open the stages, and find out what an earlier execution of this id has left."""
        states = self.transport.states
        await self.transport.open(routes)
        self._goes_on = await self.transport.join()
        for processor in self._processors:
            if self._goes_on:
                processor.goes_on(states.kept, states.idle)
        for processor in self._processors:
            if processor.has_stages_to_open:
                await routes.start(processor.run)
        states.restore()
        await states.opened()
        if publish_init:
            await self._init.look()
        await self._name_orphans()

    @property
    def _has_begun(self) -> bool:
        """True unless the execution was begun before, here or by another process."""
        begun = self.begun
        return not self._goes_on if begun is None else begun.published or begun.is_first

    async def _begin_stages(self) -> None:
        try:
            await self.transport.states.begin(is_stored=self.transport.start.is_stored)
        except FaultError as fault:
            self.transport_died("noting that stages were begun", fault.error)

    async def _name_orphans(self) -> None:
        """Tell of messages of this id that no route reads any more."""
        transport, prefix = self.transport, prefix_of(self.id)
        holdings = await transport.holdings()
        self._orphans = orphans_among(holdings, prefix=prefix, reads=transport.reads, named=transport.publishes_to)
        for orphan in self._orphans:
            logger.warning("%s", remedy(orphan, prefix))

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
                            await self._init.publish()
                        if self._has_begun:
                            await self._begin_stages()
                        started = True
                        task_status.started()
                        await self._asked_to_end.wait()
                        self._watchdog.expect_end()
                        await self._complete()
                    if self._shutdown.is_spent and self._cause.error is None and self._completion.is_reached:
                        self.status = ExecutionStatus.COMPLETED  # of no budget at all nothing was needed
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
            self._close()  # also when it is cancelled from outside: nothing is accepted that no report knows
            self.transport.wake_publishers()
            self.loop.stop()
            self._last_routes = self._route_statistics()
            self.discard()  # before routes close, which may take long

    async def _complete(self) -> None:
        """Return when nothing is left to do; from then on nothing more is accepted."""
        try:
            left = await self._completion.reached()
        except LastWordsError as error:
            logger.debug("%s", self._redacted.trace(error))
            self._fault(str(error))
            await trio.lowlevel.checkpoint()  # raises: the completing scope is cancelled, by this or before
            raise
        self._close()  # no await since the loop was seen idle: completion is exact
        if left:
            self._cause.left = f"drained; {left} messages stay in the queue for the next execution of this id"
            self._shutdown.work.cancel()
        else:
            self.status = ExecutionStatus.COMPLETED

    async def _stop(self) -> None:
        """Let what is in flight end for as long as the grace lasts; note what is still held."""
        self._close()
        self.transport.wake_publishers()
        self.loop.progress.close_intake()
        with self._shutdown.grace:
            await self.loop.progress.wait_quiet()
        if self._shutdown.is_spent and self._cause.error is None:
            with self._shutdown.words:  # else one message that does not end takes along what all others have led to
                try:
                    await self._completion.say_what_can_be_said()
                except LastWordsError as error:
                    logger.debug("%s", self._redacted.trace(error))
                    self._cause.note(str(error))
        self.status = self._cause.status

    def _finalise(self) -> None:
        self._close()
        if self.status in (
            ExecutionStatus.STARTING,
            ExecutionStatus.RUNNING,
        ):  # cancelled from outside, or on the way up
            self.status = self._cause.status
        has_completed = self.status is ExecutionStatus.COMPLETED
        self._cause.note_lost(self.transport.unaccepted(), () if has_completed else self._completion.unsaid())
        self.report = ExecutionReport(
            execution_id=self.id,
            name=self._redacted(self.config.name),
            config_hash=self._config_hash,
            status=self.status,
            error=self._cause.error_of(self.status, self._shutdown.why),
            routes=self._last_routes or self._route_statistics(),
            failures=tuple(self._failures.records),
            failures_omitted=self._failures.omitted,
            held=tuple(self.loop.settlement.given_back),
            close_errors=self._cause.noted(text for processor in self._processors for text in processor.close_errors),
            duration_seconds=self._elapsed(),
            orphans=self._orphans,
        )
        self.discard()
        self._task = None
        self._ended.set()
        self.transport.close()

    # -- what the loop, the routes and the transport tell ------------------------------------------------------------

    def transport_died(self, what: str, error: BaseException) -> None:
        """Fail the execution: the provider could not do something; nothing that is done now can be acknowledged."""
        logger.error("%s failed:\n%s", what, self._redacted.trace(error))
        self._fault(f"{what} failed: {describe(error)}")
        self.request_stop(0.0)  # also of a grace

    def message_failed(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes | None, error: Exception
    ) -> None:
        """Note that a message failed; fail the execution if more have than it allows."""
        failed = self._failures.record(route, stage, frame, payload, error)
        most = self.config.orchestrator.max_failed_messages
        if most is not None and failed > most:
            self._fail(f"{failed} messages failed; orchestrator.max_failed_messages is {most}")

    def route_died(self, route: RouteState | None, error: BaseException) -> None:
        """Fail the execution: a task of a route has died, or, without one, of the engine."""
        where = "the engine" if route is None else f"route {route.id!r}"
        logger.error("%s died:\n%s", where, self._redacted.trace(error))
        self._fault(f"{where} died: {describe(error)}")

    def _fault(self, text: str) -> None:
        stopping = self._shutdown.work.cancel_called or is_cancelled()
        if self.status is ExecutionStatus.COMPLETED or (self._cause.error is None and stopping):
            self._cause.note(text)  # it ended, or was made to stop, before: this happened on the way
        else:
            self._fail(text)

    def _fail(self, text: str) -> None:
        self._cause.fail(text)
        self.loop.progress.close_intake()  # at once: what was given back must not be tried again on the way out
        self.request_stop(0.0)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Take nothing more from outside."""
        self._closed = True
        self.transport.close_entrance()

    def _closed_error(self) -> ExecutionClosedError:
        reason = self._cause.closed_reason(self.status, is_draining=self._shutdown.is_draining)
        return ExecutionClosedError(self.id, self.status.value, reason, self._cause.error)

    def _route_statistics(self) -> Mapping[str, RouteStatistics]:
        routes = {}
        for route_id, route in self.routes.items():
            statistics, outside = route.statistics(), self.transport.backlog(route_id)
            routes[route_id] = replace(statistics, waiting=statistics.waiting + outside) if outside else statistics
        return routes

    def _elapsed(self) -> float:
        return (self._seams.clock.monotonic_ns() - self._started_ns) / 1e9
