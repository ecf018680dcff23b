"""States of the stages of one route, stored with the acknowledgements of the messages that they were made of.

Kept separate from `states`, which has all stages of an execution, and the other processes that run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import trio

from factflow_engine.error_texts import describe
from factflow_engine.frames import pack
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.isolation import FaultError, in_own_task
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.flush import Flush
from factflow_protocols import Delivery, FactflowError, StateChange, StateProtocol


class KeepingError(FactflowError):
    """Failure of a stage to make its state durable.

    Attributes:
        what: The stage, and the failed operation.
        error: Error of the stage.
    """

    def __init__(self, what: str, error: BaseException) -> None:
        self.what = what
        self.error = error
        super().__init__(f"{what} failed: {describe(error)}")


class Keeping(Protocol):
    """Part of a whole execution's states that its routes use."""

    @property
    def store(self) -> StateProtocol | None:
        """Store of the states; None if the provider has none."""
        ...

    @property
    def execution(self) -> str:
        """Prefix of the execution's queues."""
        ...

    @property
    def owner(self) -> int:
        """Number of this process at the provider."""
        ...

    @property
    def is_handed_over(self) -> bool:
        """True if another process lets the stages finish."""
        ...

    async def rejoin(self) -> None:
        """Join again after everything was forgotten."""
        ...


class KeptStates(Protocol):
    """States that must be durable before the deliveries of a route are acknowledged.

    Attributes:
        keeps: True if there are any.
        holds: True if acknowledgements are collected, to be stored with states.
        seconds: Longest time for collecting them.
        flushing: Stage that is making its effects durable now, with the operation; None if there is none.
    """

    @property
    def keeps(self) -> bool: ...  # noqa: D102
    @property
    def holds(self) -> bool: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def flushing(self) -> str | None: ...  # noqa: D102

    async def load(self, roots: Sequence[bytes]) -> None:
        """Load the stored answers for deliveries, before these are processed."""
        ...

    async def settle(
        self,
        flush: Flush,
        done: Mapping[bytes, Delivery],
        copies: Sequence[Delivery],
        held: Callable[[bytes], Sequence[Delivery]],
    ) -> None:
        """Acknowledge deliveries, once what they led to was accepted and the stages' states are durable.

        Args:
            flush: Flush of the route.
            done: Deliveries to acknowledge, by message id.
            copies: Further deliveries of these messages, to acknowledge as well.
            held: Returns the other unacknowledged deliveries of a message.

        Raises:
            KeepingError: A stage could not make its state durable.
            QueueError: The provider failed; or the deliveries are another process's by now.

        Cancellation: they are acknowledged with the state, or neither is stored.
        """
        ...


class NothingKept:
    """See `KeptStates` for the contract: no stage of the route has a state."""

    keeps: bool = False
    holds: bool = False
    seconds: float = 0.0
    flushing: str | None = None

    async def load(self, roots: Sequence[bytes]) -> None:
        """See `KeptStates.load`."""

    async def settle(
        self,
        flush: Flush,
        done: Mapping[bytes, Delivery],
        copies: Sequence[Delivery],
        held: Callable[[bytes], Sequence[Delivery]],  # noqa: ARG002 - the protocol's signature
    ) -> None:
        """See `KeptStates.settle`."""
        await flush.publish_and_settle([*done.values(), *copies])


class RouteStates:
    """States of the stages of one route. See `KeptStates` for the contract."""

    def __init__(
        self,
        route: str,
        stages: Sequence[Stage],
        roots: Roots,
        *,
        whole: Keeping,
        seconds: float,
        flush_seconds: float,
    ) -> None:
        self.seconds: Final = seconds
        self.flushing: str | None = None
        self._route = route
        self._roots = roots
        self._whole = whole
        self._flush_seconds = flush_seconds
        self._snapshots: Final = [(stage, stage.answers) for stage in stages if stage.answers is not None]
        self._flushed: Final = [stage for stage in stages if stage.is_flushed]
        self.keeps: Final = True
        self.holds: Final = bool(self._snapshots)
        self._noted = 0  # the owner for which it is stored that the stages have effects
        self._stored: set[bytes] = set()  # deliveries with answers at the provider

    async def load(self, roots: Sequence[bytes]) -> None:
        """See `KeptStates.load`."""
        if self._whole.store is None or not self.holds:
            return
        by_stage = {answers.stage: answers for _, answers in self._snapshots}
        for answer in await self._whole.store.answers(self._whole.execution, self._route, roots):
            self._stored.add(answer.root)
            if answer.stage in by_stage:
                by_stage[answer.stage].load(answer)

    async def settle(
        self,
        flush: Flush,
        done: Mapping[bytes, Delivery],
        copies: Sequence[Delivery],
        held: Callable[[bytes], Sequence[Delivery]],
    ) -> None:
        """See `KeptStates.settle`."""
        await flush.publish()
        if self._whole.is_handed_over:
            return  # they are given back, and processed by another process
        for stage in self._flushed:
            await self._flush(stage)
        deliveries = [*done.values(), *copies]
        whole = self._whole
        if whole.store is None:
            await flush.settle(deliveries)
            return
        await whole.rejoin()
        if not whole.owner or (not self.holds and self._noted == whole.owner):
            await flush.settle(deliveries)  # also before this process has joined: what ends then has reached no stage
        else:
            change = await self._change(done, held)
            await flush.settle(deliveries, change)
            self._noted = whole.owner
            self._stored.update(answer.root for answer in change.answers)
        for root in done:
            self._stored.discard(root)
            self._roots.forget(root)
            for _, answers in self._snapshots:
                answers.forget(root)

    async def _flush(self, stage: Stage) -> None:
        stateful = stage.stateful
        assert stateful is not None
        what = f"route {self._route!r}, stage {stage.info.stage!r}: flush()"
        bounds = trio.CancelScope(deadline=trio.current_time() + self._flush_seconds)
        self.flushing = what
        try:
            await in_own_task(lambda: stage.watched(stateful.flush(), "flush"), bounds)
        except FaultError as fault:
            raise KeepingError(what, fault.error) from fault
        finally:
            self.flushing = None
        if bounds.cancelled_caught:
            error = TimeoutError(f"it did not return within processor.flush_seconds: {self._flush_seconds:g}")
            raise KeepingError(what, error)

    async def _change(self, done: Mapping[bytes, Delivery], held: Callable[[bytes], Sequence[Delivery]]) -> StateChange:
        try:
            for _, answers in self._snapshots:
                await answers.hold_up()
            # No await from here on: states, and the answers beside them, are of one instant.
            settled = frozenset(done)
            covered = {root for _, answers in self._snapshots for root in answers.roots} - settled
            fresh = [answer for _, answers in self._snapshots for answer in answers.take_fresh(settled)]
            states: dict[str, bytes | None] = {stage.info.stage: self._snapshot(stage) for stage, _ in self._snapshots}
        finally:
            for _, answers in self._snapshots:
                answers.go_on()
        return StateChange(
            execution=self._whole.execution,
            owner=self._whole.owner,
            route=self._route,
            states={stage.info.stage: None for stage in self._flushed} | states,
            answers=fresh,
            settled=[root for root in done if root in self._stored],
            covered=[delivery for root in covered for delivery in held(root)],
        )

    def _snapshot(self, stage: Stage) -> bytes:
        assert stage.stateful is not None
        try:
            return pack(stage.stateful.snapshot())
        except BaseException as error:  # any error is the stage's, and must not end the process
            raise KeepingError(f"route {self._route!r}, stage {stage.info.stage!r}: snapshot()", error) from error
