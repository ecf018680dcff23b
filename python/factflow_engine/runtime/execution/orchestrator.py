"""One execution of one configuration: routes started together, messages carried, an end that is exact.

Kept separate from the loop, which knows messages, and the manager, which knows executions.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry, shared_patterns
from factflow_engine.config.graph import build_graph
from factflow_engine.errors import ExecutionClosedError, ExecutionStartError, describe, no_such_route
from factflow_engine.frames import Frame
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.cause import Cause
from factflow_engine.runtime.execution.completion import Completion, LastWordsError
from factflow_engine.runtime.execution.failure_log import FailureLog
from factflow_engine.runtime.execution.init_messages import Beginning, Resumption
from factflow_engine.runtime.execution.orphans import orphans_among, remedy
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.execution.route import ReactiveRouteProcessor
from factflow_engine.runtime.execution.shutdown import Phases
from factflow_engine.runtime.execution.unsupported import refuse_unsupported
from factflow_engine.runtime.execution.watchdog import Watchdog
from factflow_engine.runtime.hop.cycles import cycles_of
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import (
    ExecutionReport,
    ExecutionStatistics,
    ExecutionStatus,
    HeldMessage,
    OrphanedQueue,
    RouteStatistics,
)
from factflow_engine.runtime.stages.isolation import FaultError, contained, descends_from, is_cancelled
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.durable import Lines, Relay
from factflow_engine.runtime.transport.entrance import DurableEntrance, Entrance, MemoryEntrance, Roots
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.runtime.transport.shapes import shapes_of
from factflow_engine.runtime.transport.states import StageStates
from factflow_engine.runtime.transport.subscriptions import Readers, unless_ended, until_ended
from factflow_engine.seams import Seams
from factflow_protocols import Begun, ExecutionStarts, QueueError, QueueProtocol, StateProvider, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
    from factflow_engine.resilience import AdapterCircuitMetrics

logger = logging.getLogger("factflow_engine.runtime")


class PipelineOrchestrator:
    """One running execution. Made by `OrchestratorManager.start`.

    It runs until somebody asks for its end: `wait` and `drain` let it complete as soon as nothing is left to do,
    `cancel` does not. Until then messages may be published to its routes at any time.

    Naming: methods without `async` never block; `*_nowait` raises rather than wait.
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
        asked_ns: int | None = None,
        init: Sequence[InitMessageConfig] | None = None,
    ) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            config: What is run.
            execution_id: Whose queues they are.
            registry: Where stages find their adapters.
            operators: The condition operators that the configuration was loaded with, if not the built-in ones alone.
            provider: Where messages wait.
            seams: Time, randomness, ids and threads.
            asked_ns: When the start was asked for (see `ExecutionStarts`); None if no other execution has the id.
            init: The init messages, if not those of the configuration.
        """
        refuse_unsupported(config)
        self.id: Final = execution_id
        self.config: Final = config
        self._config_hash: Final = config.hash  # made of the whole configuration: once
        self._seams = seams
        self._started_ns = seams.clock.monotonic_ns()
        self._provider = provider
        self._may_go_on = asked_ns is not None  # whether another execution may have the same id
        self._scope = ExecutionScopedQueue(provider, execution_id)
        self._status = ExecutionStatus.STARTING
        self._goes_on = False  # with what another process of this id has begun, as far as stages were to know
        self._closed = False  # nothing more is taken from outside
        self._orphans: tuple[OrphanedQueue, ...] = ()
        self._has_lived = False  # its routes began: what it ends with is its own
        self._is_discarded = False  # its queues are gone, and with them what could be read
        self._redacted = Redaction(config)
        self._failures = FailureLog(config.orchestrator.max_recorded_failures, self._redacted)
        self._cause = Cause(self._redacted)
        self._last_routes: Mapping[str, RouteStatistics] = {}
        self._report: ExecutionReport | None = None
        self._asked_to_end = trio.Event()
        self._ended = trio.Event()
        self._readers = Readers()
        self._task: trio.lowlevel.Task | None = None  # that everything of the execution descends from, while it lives
        self._phases = Phases(
            drain_seconds=config.orchestrator.drain_seconds, finish_seconds=config.orchestrator.finish_seconds
        )
        # Either the channels that routes work on are all there is, or they lead to and from a provider elsewhere.
        self._memory: MemoryQueue | None = None
        self._relay: Relay | None = None
        channels: Lines
        if isinstance(provider, MemoryQueue):
            self._memory = channels = provider
        else:
            self._relay = channels = Relay(provider, on_death=self._relay_died)
        try:
            with shared_patterns():
                self._processors = {
                    route_id: ReactiveRouteProcessor(
                        route_id,
                        config,
                        execution_id=execution_id,
                        scope=self._scope,
                        channels=channels,
                        registry=registry,
                        operators=operators,
                        seams=seams,
                        redacted=self._redacted,
                        on_death=self._route_died,
                        durable=self._relay is not None,
                        stores_states=isinstance(provider, StateProvider),
                        may_close=None if self._relay is None else self._relay.wait_settled,
                    )
                    for route_id in config.routes
                }
        except BaseException as error:
            self.discard()  # what the routes before it have subscribed
            self._redacted.censor(error)
            raise
        graph = build_graph(config)
        queues = {route_id: route.inbound.queue for route_id, route in config.routes.items()}
        self._roots = Roots(seams)
        self._entrance: Entrance
        if self._relay is None:
            self._entrance = MemoryEntrance(
                self._roots,
                {route_id: channels.targets(self._scope.scope_queue(queue)) for route_id, queue in queues.items()},
                queues,
                self._refuse_if_closed,
            )
        else:
            self._entrance = DurableEntrance(
                self._roots,
                provider,
                {route_id: self._scope.scope_queue(queue) for route_id, queue in queues.items()},
                self._relay,
                self._refuse_if_closed,
            )
        self._states: StageStates | None = None
        if self._relay is not None:
            stages = [stage for processor in self._processors.values() for stage in processor.stages]
            self._states = StageStates(
                provider.states if isinstance(provider, StateProvider) else None,
                self._scope.prefix,
                stages,
                seconds=config.processor.snapshot_seconds,
                flush_seconds=config.processor.flush_seconds,
                shapes=shapes_of(config, stages),
            )
            self._relay.keep(self._states)
        self._beginning = Beginning(
            config.init_message if init is None else init,
            roots=self._roots,
            publish=self._entrance.publish_from_inside,  # also while it takes no more from outside
            provider=provider,
            owner=lambda: 0 if self._states is None else self._states.owner,
            resumption=None
            if asked_ns is None or self._relay is None
            else Resumption(
                scope=self._scope, provider=provider, queues=queues, reads=self._relay.reads, asked_ns=asked_ns
            ),
            left=None if self._relay is None else self._left,
            on_death=self._relay_died,
        )
        routes = {route_id: processor.state for route_id, processor in self._processors.items()}
        self._loop = Loop(
            list(routes.values()),
            seams=seams,
            quantum_ns=config.processor.quantum_microseconds * 1000,
            on_failure=self._record_failure,
            on_death=self._route_died,
            # A provider's queues in a cycle have no bound (see `Relay.attach`), and so wait for nobody.
            cycles=cycles_of(routes, graph.cycles if self._relay is None else ()),
            redacted=self._redacted,
            config_hash=self._config_hash,
        )
        if self._relay is not None:
            in_cycles = {route_id for members in graph.cycles for route_id in members}
            for route_id in graph.order:
                route = self._processors[route_id].state
                self._relay.attach(
                    route,
                    in_cycle=route_id in in_cycles,
                    take_in=partial(self._loop.take_in, route),
                    states=None if self._states is None else self._states.of_route(route_id, route.stages, route.roots),
                )
        self._watchdog = Watchdog(
            execution_id,
            [processor.state for processor in self._processors.values()],
            self._loop,
            self._relay,
            self._phases,
            seconds=config.processor.stall_seconds,
            redacted=self._redacted,
        )
        self._completion = Completion(
            [self._processors[route_id] for route_id in graph.order],
            loop=self._loop,
            relay=self._relay,
            entrance=self._entrance,
            roots=self._roots,
            phases=self._phases,
            states=self._states,
        )

    # -- publishing ------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def publish(
        self, route: str, payload: Any, *, headers: Mapping[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Give a route a message, waiting while its queue is full.

        Costs one checkpoint, some 5 microseconds in all, and lets the route take the message before it returns. An
        adapter should rather return what is to be published, to an outbound: while this waits for room, its message
        keeps its permit, and a route whose permits all wait for room in itself does not move.

        Args:
            route: Route id.
            payload: Any message value.
            headers: Carried along with the message and everything it leads to.
            key: What the message belongs to, such as an account. A route with `inbound.ordering: key` handles messages of
                one key one after the other, in the order in which they were published to it; without that setting a key
                says nothing about order. What the message leads to has its key.

        Returns:
            The message's id, 32 hexadecimal digits.

        Raises:
            ExecutionClosedError: The execution has ended, or is draining.
            CodecError: The payload is nothing that a message can carry.
            LookupError: There is no such route.

        Cancellation: the message was not published.
        """
        self._state(route)
        frame = self._roots.frame(payload, headers, key)
        await self._entrance.publish(route, frame)
        return frame.message_id.hex()

    @trio.lowlevel.enable_ki_protection
    def publish_nowait(
        self, route: str, payload: Any, *, headers: Mapping[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Give a route a message, or raise `QueueFullError`; otherwise as `publish`.

        Costs about 1.5 microseconds and no checkpoint: a task that only publishes so must let trio have its turn.
        """
        self._state(route)
        frame = self._roots.frame(payload, headers, key)
        self._entrance.publish_nowait(route, frame)
        return frame.message_id.hex()

    @trio.lowlevel.enable_ki_protection
    async def publish_batch(self, route: str, payloads: Sequence[Any]) -> tuple[str, ...]:
        """Give a route messages in their order, waiting for room where needed; otherwise as `publish`.

        All payloads are encoded before the first is published. A batch costs one checkpoint, and one more each time
        the queue was full; a message of it about 0.3 microseconds.

        Raises:
            ExecutionClosedError: See `publish`; if the execution is drained meanwhile, the first messages may have been
                published.

        Cancellation: the first messages of the batch may have been published; their ids are not returned.
        """
        self._state(route)
        return await self._entrance.publish_batch(route, payloads)

    def subscribe(
        self, queue: str, *, subscription: str = "embedding", prefetch: int = 64, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume one of the execution's queues from the embedding program; see `QueueProtocol.subscribe`.

        Messages that leave the pipeline through an outbound `{queue: ...}` are read this way. When the execution has
        ended, what is left is still handed out; then `receive` raises `QueueClosedError`.

        Raises:
            ExecutionClosedError: The execution has ended, by this call or when the context is entered.
        """
        self._refuse_if_ended()
        subscribing = self._scope.subscribe(queue, subscription, prefetch, capacity)
        if self._relay is not None:
            subscribing = until_ended(queue, subscribing, self._readers)
        return unless_ended(subscribing, self._refuse_if_ended)

    # -- ending ----------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def wait(self) -> ExecutionReport:
        """Let the execution complete once nothing is left to do, and return its report.

        Complete means: every queue that its routes read is empty, nothing is in flight, and the stateful stages have
        finished. Until that instant messages may still be published. A paused route that holds messages keeps the
        execution from completing.

        Raises:
            RuntimeError: A task of the execution calls, such as an adapter: it would wait for itself.

        Cancellation: the execution goes on and will still complete.
        """
        self._refuse_from_inside("wait")
        self.let_complete()
        return await self._ended_report()

    @trio.lowlevel.enable_ki_protection
    def let_complete(self) -> None:
        """Ask for what `wait` waits for, without waiting."""
        self._asked_to_end.set()

    @trio.lowlevel.enable_ki_protection
    async def drain(self, timeout: float | None = None) -> ExecutionReport:  # noqa: ASYNC109 - ends the drain, not the call
        """Take no more from outside, complete, and return the report; give up work after `timeout` seconds.

        Each phase has a budget. Nothing is taken from outside from the call on. What has begun or waits, retries
        included, has `timeout`, or `orchestrator.drain_seconds` if that is None. When it is done, each stateful stage
        has `orchestrator.finish_seconds` for its last words, and `orchestrator.close_seconds` to close. Last words that
        are being said at the call have their whole budget from then on.

        What has not ended when the budget for work is spent is cancelled, given back to its queue and named in the
        report's `held`, with who held it; the status is `cancelled`. In memory, where nothing goes on, stages are asked
        for last words all the same, within `orchestrator.finish_seconds`. With a durable queue, what waits there is left,
        too: it stays for the next execution of this id, and so do the last words of stages that keep a state. A stage that
        does not finish in time fails the execution; one that does not close in time is named in `close_errors`.

        From outside means through `publish`, whoever calls it, an adapter included; what goes from route to route goes
        on.

        Raises:
            ValueError: The timeout is negative or not a number.
            RuntimeError: A task of the execution calls, such as an adapter: it would wait for itself.

        Cancellation: the drain goes on.
        """
        self._refuse_from_inside("drain")
        self._phases.drain(timeout)
        self._closed = True
        self._entrance.wake_publishers()
        if self._relay is not None:
            self._relay.close_intake()
        self._asked_to_end.set()
        return await self._ended_report()

    @trio.lowlevel.enable_ki_protection
    async def cancel(self, grace: float = 0.0) -> ExecutionReport:
        """Take no more messages; cancel what is still in flight after `grace` seconds; return the report.

        A second call may shorten the first one's grace, not lengthen it; of a drain's budget and a grace the shorter
        one holds, whichever was called first.

        Raises:
            ValueError: The grace is negative or not a number.
            RuntimeError: A task of the execution calls, such as an adapter, with a grace: it would wait for itself for
                that long. Without one it is cancelled with the rest.

        Cancellation: the execution ends all the same.
        """
        # Here rather than in the task of the execution, where a wrong argument would end all that its manager runs.
        if not grace >= 0:
            raise ValueError(f"cancel() needs a grace of zero or more seconds, got {grace!r}")
        if grace > 0:
            self._refuse_from_inside("cancel", "cancel(0)")
        self.request_stop(grace)
        return await self._ended_report()

    # -- operating -------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    def pause(self, route: str | None = None, reason: str = "operator") -> None:
        """Take no more messages on a route, or on all of them, for a reason; what is in flight goes on.

        Reasons are a set: the route runs again when each of them was resumed.
        """
        for state in self._states_of(route):
            self._loop.pause(state, reason)

    @trio.lowlevel.enable_ki_protection
    def resume(self, route: str | None = None, reason: str = "operator") -> None:
        """Withdraw a reason for pausing; one that was never given does nothing."""
        for state in self._states_of(route):
            self._loop.resume(state, reason)

    @property
    def status(self) -> ExecutionStatus:
        """Where the execution is in its life."""
        return self._status

    @property
    def begun(self) -> Begun | None:
        """How it was started: with its init messages, or by going on; None if it was not, or without them."""
        return self._beginning.begun

    @property
    def report(self) -> ExecutionReport | None:
        """The report, once the execution has ended."""
        return self._report

    def statistics(self) -> ExecutionStatistics:
        """A snapshot of every route."""
        return ExecutionStatistics(
            execution_id=self.id,
            status=self._status,
            elapsed_seconds=self._elapsed(),
            routes=self._last_routes or self._route_statistics(),
            stalled=self._watchdog.stalled,
        )

    def held(self) -> tuple[HeldMessage, ...]:
        """The messages that have begun and not ended: route, stage, who holds them, and for how long."""
        return self._loop.held()

    def circuits(self) -> Mapping[str, AdapterCircuitMetrics]:
        """What the circuit breakers are and have counted, by `route/stage`; of stages that have any."""
        return {
            f"{processor.id}/{stage.info.stage}": stage.guard.metrics()
            for processor in self._processors.values()
            for stage in processor.stages
            if stage.guard is not None
        }

    # -- life, run by the manager ----------------------------------------------------------------------------------

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
                    with self._phases.opening:
                        if self._relay is not None:
                            await routes.start(self._relay.run)
                            await self._join()
                        for processor in self._processors.values():
                            await routes.start(processor.run)
                        if self._states is not None:
                            self._states.restore()
                            await self._states.opened()
                        if publish_init:
                            await self._beginning.look()
                        if self._may_go_on:
                            await self._name_orphans()
                except (ExecutionStartError, QueueError) as error:
                    start_error = error
                    self._redacted.censor(error)
                    self._status = ExecutionStatus.FAILED
                    self._cause.fail(str(error))
                else:
                    if self._phases.opening.cancelled_caught:
                        task_status.started()
                    else:
                        await self._live(task_status, publish_init=publish_init)
                finally:
                    if self._relay is not None:
                        self._relay.end(last=self._last_request())
                routes.cancel_scope.cancel()
        finally:
            self._finalise()
        if start_error is not None:
            raise start_error

    async def _join(self) -> None:
        """Find out what earlier processes of this id have left, before stages are opened."""
        if self._states is None or self._relay is None:
            return
        self._goes_on = await self._states.join(self._relay.depth)
        if self._goes_on:
            for processor in self._processors.values():
                processor.goes_on(self._states.kept, self._states.idle)

    @property
    def _has_begun(self) -> bool:
        """True unless the execution was begun before, here or by another process."""
        begun = self._beginning.begun
        return not self._goes_on if begun is None else begun.published or begun.is_first

    async def _begin_stages(self, states: StageStates) -> None:
        try:
            await states.begin(is_stored=self._beginning.is_stored)
        except FaultError as fault:
            self._relay_died("noting that stages were begun", fault.error)

    async def _left(self) -> int:
        """How much an earlier execution of this id has left to do: messages, and stages that have not finished."""
        left = 0 if self._states is None else self._states.unfinished
        return left if self._relay is None else left + await self._relay.depth()

    async def _name_orphans(self) -> None:
        """Tell of messages of this id that no route reads any more."""
        if self._relay is None or not isinstance(self._provider, ExecutionStarts):
            return
        try:
            holdings = await contained(self._provider.holdings(self._scope.prefix))
        except FaultError as fault:
            self._relay_died("asking which queues hold messages", fault.error)
            return
        self._orphans = orphans_among(
            holdings, prefix=self._scope.prefix, reads=self._relay.reads, named=self._relay.publishes_to
        )
        for orphan in self._orphans:
            logger.warning("%s", remedy(orphan, self._scope.prefix))

    def _last_request(self) -> tuple[str, Callable[[], Awaitable[None]]] | None:
        """What the provider is asked for in the end, and what that is called."""
        if self._may_go_on:  # the id may be another process's, too: its queues are left, though empty
            ending = partial(self._beginning.end, failed=self._status is ExecutionStatus.FAILED)
            return ("noting that it has ended", ending) if self._has_lived else None
        if self._status is ExecutionStatus.COMPLETED:
            return "forgetting its queues", partial(self._provider.forget_empty, self._scope.prefix)
        return None

    async def _live(self, task_status: trio.TaskStatus[None], *, publish_init: bool) -> None:
        if self._relay is not None:
            self._relay.use()
        started = False
        self._has_lived = True
        try:
            async with trio.open_nursery() as workers:
                self._status = ExecutionStatus.RUNNING
                try:
                    self._loop.start(workers)
                    self._watchdog.start(workers)
                    with self._phases.work:
                        if publish_init:
                            await self._beginning.publish()
                        if self._states is not None and self._has_begun:
                            await self._begin_stages(self._states)
                        started = True
                        task_status.started()
                        await self._asked_to_end.wait()
                        self._watchdog.expect_end()
                        await self._complete()
                    if self._phases.is_spent and self._cause.error is None and self._completion.is_reached:
                        self._status = ExecutionStatus.COMPLETED  # of no budget at all nothing was needed
                    if self._status is ExecutionStatus.COMPLETED:
                        if self._states is not None and self._states.is_forgotten:
                            for processor in self._processors.values():
                                processor.discard()
                    else:
                        if not started:
                            task_status.started()
                        await self._stop()
                    workers.cancel_scope.cancel()
                finally:
                    self._loop.wake_no_more()  # the nursery takes no more
        finally:
            self._closed = True  # also when it is cancelled from outside: nothing is accepted that no report knows
            self._entrance.wake_publishers()
            self._loop.stop()
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
        self._closed = True  # no await since the loop was seen idle: completion is exact
        if left:
            self._cause.left = f"drained; {left} messages stay in the queue for the next execution of this id"
            self._phases.work.cancel()
        else:
            self._status = ExecutionStatus.COMPLETED

    async def _stop(self) -> None:
        """Let what is in flight end for as long as the grace lasts; note what is still held."""
        self._closed = True
        self._entrance.wake_publishers()
        self._loop.close_intake()
        with self._phases.grace:
            await self._loop.wait_quiet()
        if self._relay is None and self._phases.is_spent and self._cause.error is None:
            with self._phases.words:  # else one message that does not end takes along what all others have led to
                try:
                    await self._completion.say_what_can_be_said()
                except LastWordsError as error:
                    logger.debug("%s", self._redacted.trace(error))
                    self._cause.note(str(error))
        self._status = self._cause.status

    def _finalise(self) -> None:
        self._closed = True
        if self._status in (
            ExecutionStatus.STARTING,
            ExecutionStatus.RUNNING,
        ):  # cancelled from outside, or on the way up
            self._status = self._cause.status
        if self._relay is not None:
            completed = self._status is ExecutionStatus.COMPLETED
            self._cause.note_lost(self._relay.unaccepted(), () if completed else self._completion.unsaid())
        self._report = ExecutionReport(
            execution_id=self.id,
            name=self._redacted(self.config.name),
            config_hash=self._config_hash,
            status=self._status,
            error=self._cause.error_of(self._status, self._phases.why),
            routes=self._last_routes or self._route_statistics(),
            failures=tuple(self._failures.records),
            failures_omitted=self._failures.omitted,
            held=self._loop.given_back,
            close_errors=self._cause.noted(
                text for processor in self._processors.values() for text in processor.close_errors
            ),
            duration_seconds=self._elapsed(),
            orphans=self._orphans,
        )
        self.discard()
        self._task = None
        self._ended.set()
        self._readers.end()

    # -- what the loop tells ---------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Forget the execution's own queues, as far as they die with it; called by `run` if that is called."""
        if self._memory is not None:
            self._is_discarded = True
            self._memory.discard(self._scope.prefix)

    def _record_failure(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes | None, error: Exception
    ) -> None:
        failed = self._failures.record(route, stage, frame, payload, error)
        most = self.config.orchestrator.max_failed_messages
        if most is not None and failed > most:
            self._fail(f"{failed} messages failed; orchestrator.max_failed_messages is {most}")

    def _route_died(self, route: RouteState | None, error: BaseException) -> None:
        where = "the engine" if route is None else f"route {route.id!r}"
        logger.error("%s died:\n%s", where, self._redacted.trace(error))
        self._fault(f"{where} died: {describe(error)}")

    def _fault(self, text: str) -> None:
        stopping = self._phases.work.cancel_called or is_cancelled()
        if self._status is ExecutionStatus.COMPLETED or (self._cause.error is None and stopping):
            self._cause.note(text)  # it ended, or was made to stop, before: this happened on the way
        else:
            self._fail(text)

    def _relay_died(self, what: str, error: BaseException) -> None:
        logger.error("%s failed:\n%s", what, self._redacted.trace(error))
        self._fault(f"{what} failed: {describe(error)}")
        self.request_stop(0.0)  # also of a grace: nothing that is done now can be acknowledged

    def _fail(self, text: str) -> None:
        self._cause.fail(text)
        self._loop.close_intake()  # at once: what was given back must not be tried again on the way out
        self.request_stop(0.0)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def request_stop(self, grace: float) -> None:
        """Ask for what `cancel` waits for, without waiting."""
        self._closed = True
        if self._relay is not None:
            self._relay.close_intake()
        self._phases.cancel(grace)

    async def _ended_report(self) -> ExecutionReport:
        await self._ended.wait()
        if self._report is None:
            raise AssertionError("an execution ends with a report")  # pragma: no cover - _finalise sets both
        return self._report

    def _state(self, route: str) -> RouteState:
        try:
            return self._processors[route].state
        except KeyError:
            raise no_such_route(route, self._processors) from None

    def _states_of(self, route: str | None) -> Sequence[RouteState]:
        return [processor.state for processor in self._processors.values()] if route is None else [self._state(route)]

    def _refuse_if_closed(self) -> None:
        if self._closed:
            status = "draining" if self._status is ExecutionStatus.RUNNING else self._status.value
            raise ExecutionClosedError(self.id, status)

    def _refuse_if_ended(self) -> None:
        if self._ended.is_set() or self._is_discarded:
            raise ExecutionClosedError(self.id, self._status.value)

    def _refuse_from_inside(self, call: str, instead: str = "let_complete()") -> None:
        if self._task is not None and descends_from(self._task):
            raise RuntimeError(
                f"{call}() was called by an adapter of execution {self.id!r}, which would wait for itself; call "
                f"{instead}, which does not, or {call}() from a task outside the execution"
            )

    def _route_statistics(self) -> Mapping[str, RouteStatistics]:
        routes = {route_id: processor.state.statistics() for route_id, processor in self._processors.items()}
        if self._relay is None:
            return routes
        outside = {route_id: self._relay.backlog(self._processors[route_id].state) for route_id in routes}
        return {id_: replace(route, waiting=route.waiting + outside[id_]) for id_, route in routes.items()}

    def _elapsed(self) -> float:
        return (self._seams.clock.monotonic_ns() - self._started_ns) / 1e9
