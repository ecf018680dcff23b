"""Handle of one execution for users: publish, consume, watch, operate, end.

Kept separate from `lifecycle`, which runs the execution: this module defines the contract, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

import trio

from factflow_engine.errors import UnknownRouteError
from factflow_engine.frames import Frame
from factflow_engine.runtime.execution.lifecycle import Lifecycle
from factflow_engine.runtime.execution.trio_only import require_trio
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics, ExecutionStatus, HeldMessage
from factflow_engine.runtime.transport.subscriptions import unless_ended
from factflow_protocols import Begun, Subscription

if TYPE_CHECKING:
    from factflow_engine.resilience import AdapterCircuitMetrics, LimitStatistics


class PipelineOrchestrator:
    """One running execution. Made by `OrchestratorManager.start`.

    It runs until its end is requested: `complete` and `drain` let it complete as soon as no work is left, `cancel` does
    not. Until then messages may be published to its routes at any time. A task that watches it awaits `wait_ended`.

    Naming: methods without `async` never block; `*_nowait` raises rather than wait.

    Example:
        execution = await manager.start(config)
        async with execution.subscribe("/queue/shouts") as shouts:
            await execution.publish("shout", {"text": "hello"}, key="account 7")
            [delivery] = await shouts.receive(1)
            await shouts.settle(acks=[delivery], nacks=[])
        report = await execution.drain(budget=5)
        assert report.status is ExecutionStatus.COMPLETED

    Attributes:
        id: Id that names its queues.
        config: The configuration snapshot that it runs.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.id: Final = lifecycle.id
        self.config: Final = lifecycle.config
        self._lifecycle = lifecycle
        self._access = lifecycle.access
        self._routes = lifecycle.routes
        self._frames = lifecycle.frames
        self._transport = lifecycle.transport
        self._offer = lifecycle.transport.offer
        self._loop = lifecycle.loop

    @trio.lowlevel.enable_ki_protection
    async def publish(
        self, route: str, payload: Any, *, headers: Mapping[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Publish a message to a route, waiting while its queue is full.

        Costs one checkpoint, some 5 microseconds in all, and lets the route take the message before it returns. An
        adapter should rather return the message for an outbound: while this call waits for room, the adapter's own
        message keeps its permit, and a route whose permits all wait for room in itself does not move.

        Args:
            route: Route id.
            payload: Any message value.
            headers: Headers of the message and of everything it leads to.
            key: What the message belongs to, such as an account. A route with `inbound.ordering: key` processes
            messages of one key one after the other, in publishing order; without that setting a key has no effect on
            order. Everything that the message leads to has its key.

        Returns:
            The message's id, 32 hexadecimal digits.

        Raises:
            ExecutionClosedError: The execution has ended, or is draining.
            CodecError: The payload cannot be carried by a message.
            UnknownRouteError: There is no such route.

        Cancellation: the message was not published.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        message_id = self._offer(route, payload, headers, key)
        if message_id is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()  # the route's turn; what was published stays so
            return message_id
        self._state(route)
        frame = self._frames.frame(payload, headers, key)
        await self._transport.publish(route, frame)
        return frame.message_id.hex()

    @trio.lowlevel.enable_ki_protection
    def publish_nowait(
        self, route: str, payload: Any, *, headers: Mapping[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Publish a message to a route, or raise `QueueFullError`; otherwise as `publish`.

        Costs about half a microsecond and no checkpoint: a task that publishes only this way must yield to trio itself.
        """
        message_id = self._offer(route, payload, headers, key)
        if message_id is not None:
            return message_id
        self._state(route)
        frame = self._frames.frame(payload, headers, key)
        self._transport.publish_nowait(route, frame)
        return frame.message_id.hex()

    @trio.lowlevel.enable_ki_protection
    async def publish_batch(
        self,
        route: str,
        payloads: Sequence[Any],
        *,
        headers: Mapping[str, Any] | None = None,
        keys: Sequence[str | None] | None = None,
    ) -> tuple[str, ...]:
        """Publish messages to a route in order, waiting for room where needed; otherwise as `publish`.

        All payloads are encoded before the first is published. A batch costs one checkpoint, and one more each time the
        queue was full; each message costs about 0.3 microseconds, or that of `publish_nowait` with headers or keys.

        Args:
            route: Route id.
            payloads: Any message values.
            headers: Headers of each message of the batch and of everything it leads to.
            keys: The key of each payload, or None for a payload without one; see `publish`.

        Returns:
            The messages' ids, in their order.

        Raises:
            CodecError: A payload cannot be carried by a message; nothing was published.
            ValueError: `keys` and `payloads` differ in length; nothing was published.
            UnknownRouteError: There is no such route.
            ExecutionClosedError: See `publish`; if the execution is drained meanwhile, the first messages may have been
            published.

        Cancellation: the first messages of the batch may have been published; their ids are not returned.
        """
        self._state(route)
        return await self._transport.publish_batch(route, payloads, headers, keys)

    async def publish_frames(self, route: str, frames: Sequence[Frame]) -> None:
        """Publish messages that have their ids already, in order, waiting for room; otherwise as `publish`.

        For messages of an earlier execution (`factflow_engine.executions.replay`): a queue that stores ids accepts each
        once.

        Raises:
            UnknownRouteError: There is no such route.
            ExecutionClosedError: See `publish`; the first messages may have been published.

        Cancellation: the first messages may have been published.
        """
        self._state(route)
        await self._transport.publish_frames(route, frames)

    def subscribe(
        self, queue: str, *, subscription: str = "embedding", prefetch: int = 64, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume one of the execution's queues from the embedding program; see `QueueProtocol.subscribe`.

        Messages that leave the pipeline through an outbound `{queue: ...}` are read this way. After the end of the
        execution, the remaining messages are still handed out; then `receive` raises `QueueClosedError`.

        Raises:
            ExecutionClosedError: The execution has ended, by this call or when the context is entered.
        """
        self._access.refuse_if_ended()
        subscribing = self._transport.subscribe(queue, subscription, prefetch, capacity)
        return unless_ended(subscribing, self._access.refuse_if_ended)

    @trio.lowlevel.enable_ki_protection
    async def complete(self) -> ExecutionReport:
        """Finish what was published, then end the execution and return its report.

        The execution ends as soon as every queue that its routes read is empty, nothing is in flight, and the stateful
        stages have finished. Until then messages may still be published. A paused route with messages keeps the
        execution from completing. To watch a service without ending it, await `wait_ended` instead.

        Raises:
            CallFromInsideError: A task of the execution calls, such as an adapter: it would wait for itself.

        Cancellation: the execution goes on and will still complete.
        """
        self._access.refuse_from_inside("complete")
        self.let_complete()
        return await self._lifecycle.wait_ended()

    @trio.lowlevel.enable_ki_protection
    def let_complete(self) -> None:
        """Request the end that `complete` waits for, without waiting."""
        require_trio("let_complete()")
        self._lifecycle.let_complete()

    async def wait_ended(self) -> ExecutionReport:
        """Wait until the execution has ended, for whatever reason, and return its report; change nothing.

        Raises:
            CallFromInsideError: A task of the execution calls, such as an adapter: it would wait for itself.

        Cancellation: the execution goes on, as it would have without the call.
        """
        self._access.refuse_from_inside("wait_ended", "read execution.report")
        return await self._lifecycle.wait_ended()

    @trio.lowlevel.enable_ki_protection
    async def drain(self, budget: float | None = None) -> ExecutionReport:
        """Take nothing more from outside, complete, and return the report; cancel work after `budget` seconds.

        Each phase has a budget. From the call on nothing is taken through `publish`; messages between routes still
        flow. Started and waiting messages, retries included, have `budget`, or `orchestrator.drain_seconds` if that is
        None. Then each stateful stage has `orchestrator.finish_seconds` to finish (one that is finishing already has
        all of it), and `orchestrator.close_seconds` to close.

        Messages that have not ended when the budget for work is spent are cancelled, given back to their queue and
        listed in the report's `held`, with what they waited for; the status is `cancelled`. In memory, where nothing
        can be resumed, stages still finish, within `orchestrator.finish_seconds`. With a durable queue, waiting
        messages stay there for the next execution of this id, which also lets stages with a stored state finish. A
        stage that does not finish in time fails the execution; `close_errors` names one that does not close in time.

        Raises:
            ValueError: The budget is negative or not a number.
            CallFromInsideError: A task of the execution calls, such as an adapter: it would wait for itself.

        Cancellation: the drain goes on.
        """
        self._access.refuse_from_inside("drain")
        self._lifecycle.drain(budget)
        return await self._lifecycle.wait_ended()

    @trio.lowlevel.enable_ki_protection
    async def cancel(self, grace: float = 0.0) -> ExecutionReport:
        """Take no more messages; cancel in-flight messages after `grace` seconds; return the report.

        A second call may shorten the first one's grace, not lengthen it; of a drain's budget and a grace the shorter
        one applies, whichever was called first.

        Raises:
            ValueError: The grace is negative or not a number.
            CallFromInsideError: A task of the execution calls with a grace, for which it would wait for itself.

        Cancellation: the execution ends all the same.
        """
        # Checked here: a wrong argument in the execution's task would end everything that its manager runs.
        if not grace >= 0:
            raise ValueError(f"cancel() needs a grace of zero or more seconds, got {grace!r}")
        require_trio("cancel()")
        if grace > 0:
            self._access.refuse_from_inside("cancel", "call cancel(0)")
        self._lifecycle.request_stop(grace)
        return await self._lifecycle.wait_ended()

    @trio.lowlevel.enable_ki_protection
    def pause(self, route: str | None = None, reason: str = "operator") -> None:
        """Pause a route, or all of them, for a reason: take no more messages; in-flight ones go on.

        Reasons are a set: the route runs again when each of them was resumed.
        """
        require_trio("pause()")
        for state in self._states_of(route):
            self._loop.pause(state, reason)

    @trio.lowlevel.enable_ki_protection
    def resume(self, route: str | None = None, reason: str = "operator") -> None:
        """Withdraw a reason for pausing; an unknown reason does nothing."""
        require_trio("resume()")
        for state in self._states_of(route):
            self._loop.resume(state, reason)

    @property
    def status(self) -> ExecutionStatus:
        """State of the execution."""
        return self._lifecycle.status

    @property
    def begun(self) -> Begun | None:
        """Result of the start: with init messages, or by resuming; None if there was none, or no init messages."""
        return self._lifecycle.init.begun

    @property
    def report(self) -> ExecutionReport | None:
        """The report, once the execution has ended."""
        return self._lifecycle.report

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        """Return a snapshot of all state, or after the end the last one: routes, messages, circuit breakers.

        Args:
            details: False leaves out `held` (at most 1,000 messages; `held()` lists all) and `circuits`, which cost
            microseconds each: for callers that ask several times a second.
        """
        return self._lifecycle.observation.statistics(self._lifecycle.status, details=details)

    def held(self) -> tuple[HeldMessage, ...]:
        """Return all messages that have begun and not ended: their place, what they wait for, and how long."""
        return self._loop.held()

    def circuits(self) -> Mapping[str, AdapterCircuitMetrics]:
        """Return `statistics().circuits`, without the cost of the rest."""
        return self._lifecycle.observation.circuits()

    def limits(self) -> Mapping[str, LimitStatistics]:
        """Return `statistics().limits`, without the cost of the rest."""
        return self._lifecycle.observation.limits(keys=True)

    def learnt_limits(self) -> Mapping[str, Any]:
        """Return what the limits with `warm_start` have learnt, by name, for `OrchestratorManager.start`; JSON can hold it."""
        return self._lifecycle.observation.learnt_limits()

    def _state(self, route: str) -> RouteState:
        try:
            return self._routes[route]
        except KeyError:
            raise UnknownRouteError(route, self._routes) from None

    def _states_of(self, route: str | None) -> Sequence[RouteState]:
        return list(self._routes.values()) if route is None else [self._state(route)]
