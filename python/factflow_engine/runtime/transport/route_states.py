"""The states of the stages of one route, stored with the acknowledgements of the messages that they were made of.

Kept separate from `states`, which knows all stages of an execution and the other processes that carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

import trio

from factflow_engine.errors import describe
from factflow_engine.frames import pack
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.isolation import FaultError, apart
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import Delivery, FactflowError, StateChange, StateProtocol, StateSubscription, Subscription


class KeepingError(FactflowError):
    """Error of a stage that could not make durable what it keeps.

    Attributes:
        what: The stage, and what it was doing.
        error: What it raised.
    """

    def __init__(self, what: str, error: BaseException) -> None:
        self.what = what
        self.error = error
        super().__init__(f"{what} failed: {describe(error)}")


class Keeping(Protocol):
    """The states of a whole execution, as far as one of its routes knows them."""

    @property
    def store(self) -> StateProtocol | None:
        """The place where states are kept; None if the provider keeps none."""
        ...

    @property
    def execution(self) -> str:
        """Prefix of the execution's queues."""
        ...

    @property
    def owner(self) -> int:
        """This process's number at the provider."""
        ...

    @property
    def is_handed_over(self) -> bool:
        """True if another process speaks for all at the end."""
        ...

    async def rejoin(self) -> None:
        """Take part again after everything was forgotten."""
        ...


class KeptStates(Protocol):
    """The states that must be durable before the deliveries of a route are acknowledged.

    Attributes:
        holds: True if acknowledgements are held together, to be stored with states.
        seconds: For how long they are, at the most.
        flushing: The stage that is making its effects durable in this instant, and how it does so; None if none is.
    """

    @property
    def holds(self) -> bool: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def flushing(self) -> str | None: ...  # noqa: D102

    async def load(self, roots: Sequence[bytes]) -> None:
        """Learn of the answers that are stored for deliveries, before anything is made of them."""
        ...

    async def settle(
        self,
        subscription: Subscription,
        done: Mapping[bytes, Sequence[Delivery]],
        held: Mapping[bytes, Sequence[Delivery]],
    ) -> None:
        """Acknowledge deliveries, once what the stages keep of them is durable.

        Args:
            subscription: Where they came from.
            done: To acknowledge, by message id.
            held: The others that are not acknowledged.

        Raises:
            KeepingError: A stage could not.
            QueueError: The provider could not; or what is stored is another process's by now.

        Cancellation: they are acknowledged with the state, or neither.
        """
        ...


class NothingKept:
    """See `KeptStates` for the contract: no stage of the route keeps anything."""

    holds: bool = False
    seconds: float = 0.0
    flushing: str | None = None

    async def load(self, roots: Sequence[bytes]) -> None:
        """See `KeptStates.load`."""

    async def settle(
        self,
        subscription: Subscription,
        done: Mapping[bytes, Sequence[Delivery]],
        held: Mapping[bytes, Sequence[Delivery]],  # noqa: ARG002 - the protocol's signature
    ) -> None:
        """See `KeptStates.settle`."""
        await subscription.settle([delivery for copies in done.values() for delivery in copies])


class RouteStates:
    """The states of the stages of one route. See `KeptStates` for the contract."""

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
        subscription: Subscription,
        done: Mapping[bytes, Sequence[Delivery]],
        held: Mapping[bytes, Sequence[Delivery]],
    ) -> None:
        """See `KeptStates.settle`."""
        if self._whole.is_handed_over:
            return  # they go back, and are another process's
        for stage in self._flushed:
            await self._flush(stage)
        deliveries = [delivery for copies in done.values() for delivery in copies]
        whole = self._whole
        if whole.store is None:
            await subscription.settle(deliveries)
            return
        await whole.rejoin()
        if not self.holds and self._noted == whole.owner:
            await subscription.settle(deliveries)
        else:
            change = await self._change(done, held)
            await cast("StateSubscription", subscription).settle(deliveries, change=change)
            self._noted = whole.owner
            self._stored.update(answer.root for answer in change.answers)
        for root in done:
            self._stored.discard(root)
            self._roots.forget(root)
            for _, answers in self._snapshots:
                answers.forget(root)

    async def _flush(self, stage: Stage) -> None:
        assert stage.stateful is not None
        what = f"route {self._route!r}, stage {stage.info.stage!r}: flush()"
        bounds = trio.CancelScope(deadline=trio.current_time() + self._flush_seconds)
        self.flushing = what
        try:
            await apart(stage.stateful.flush, bounds)
        except FaultError as fault:
            raise KeepingError(what, fault.error) from fault
        finally:
            self.flushing = None
        if bounds.cancelled_caught:
            error = TimeoutError(f"it did not return within processor.flush_seconds: {self._flush_seconds:g}")
            raise KeepingError(what, error)

    async def _change(
        self, done: Mapping[bytes, Sequence[Delivery]], held: Mapping[bytes, Sequence[Delivery]]
    ) -> StateChange:
        try:
            for _, answers in self._snapshots:
                await answers.hold_up()
            # Nothing is awaited from here on: states, and what is remembered of them, are of one instant.
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
            covered=[delivery for root in covered for delivery in held.get(root, ())],
        )

    def _snapshot(self, stage: Stage) -> bytes:
        assert stage.stateful is not None
        try:
            return pack(stage.stateful.snapshot())
        except BaseException as error:  # whatever it is, it is the stage's, and no process's end
            raise KeepingError(f"route {self._route!r}, stage {stage.info.stage!r}: snapshot()", error) from error
