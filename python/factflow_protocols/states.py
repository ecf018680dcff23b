"""Protocol of durable queue providers by which stages keep state across messages.

Kept separate from `queue` because a provider need not: without it stages that keep state by `snapshot` are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from factflow_protocols.queue import Delivery, Nack, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """State that a process of an execution has stored for one stage.

    Attributes:
        route: Route id.
        stage: Name of the stage.
        state: Msgpack bytes; None for a stage that makes its effects durable by itself, or has none yet.
    """

    route: str
    stage: str
    state: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """Answer of a stage to a message whose effect is in its state, kept until the delivery is acknowledged.

    Attributes:
        stage: Name of the stage.
        message_id: 16 bytes: the message that the stage had.
        root: 16 bytes: the message that was delivered, the same one or an ancestor.
        answer: The engine's bytes, opaque to the provider.
    """

    stage: str
    message_id: bytes
    root: bytes
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StageShape:
    """Composition of a stage, on which processes that share its state must agree.

    Attributes:
        adapter: The adapter's type.
        config: A digest of its configuration.
        paths: Absolute paths of the files that it names (`StatefulAdapter.path_fields`).
    """

    adapter: str
    config: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A stage whose state a process cannot share, because it is made of something else there.

    Attributes:
        route: Route id.
        stage: Name of the stage.
        adapter: The type of the adapter that keeps the state.
        is_living: True if its process lives; else only its state is left.
    """

    route: str
    stage: str
    adapter: str
    is_living: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """Change that is stored in the transaction of an acknowledgement.

    Attributes:
        execution: Prefix of the execution's queues.
        owner: `Joined.owner`.
        route: Route id.
        states: By stage of the route, the new state, in the place of everything that the owner has for it; None for a
            stage that makes its effects durable by itself: that it has any is noted.
        answers: New ones.
        settled: Deliveries' message ids whose answers are not needed any more.
        covered: Deliveries that are not acknowledged, whose effects are in the states.
    """

    execution: str
    owner: int
    route: str
    states: Mapping[str, bytes | None]
    answers: Sequence[StoredAnswer] = ()
    settled: Sequence[bytes] = ()
    covered: Sequence[Delivery] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """State that a process finds when it joins an execution.

    Attributes:
        owner: The process's number in this provider; no other process has or had it.
        since: Tells this run of the execution from the next one of the same id: the owner that joined first, until
            everything is forgotten. Grows with time; nanoseconds since 1970 or more.
        unfinished: How many states of others `finish` has not spoken for: they hold effects, or their stage was begun.
        others: How many other processes take part and live.
        states: Those that are this process's now: their owners have left or died.
        is_opening: True if the process that began the execution lives and has not opened its stages yet. Nothing was
            joined then: ask again.
        kept: Route id and name of each stage with effects that `finish` has not spoken for, whether its owner lives or
            not.
        idle: Those that were begun and have had no effect, in an execution of which no other process lives: there is
            nothing of them to go on with, and still they are to finish.
        clashes: Stages that this process cannot share. Nothing was joined then.
        changed: Those of `kept` whose owner has left or died, and was configured otherwise.
    """

    owner: int
    since: int
    unfinished: int
    others: int
    states: Sequence[StoredState]
    is_opening: bool = False
    kept: frozenset[tuple[str, str]] = frozenset()
    idle: frozenset[tuple[str, str]] = frozenset()
    clashes: Sequence[Clash] = ()
    changed: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """True if a process is the one that speaks for an execution at its end.

    Attributes:
        handed_over: What it has is another's now, one that lives.
        others: Those that take part and may live, with the time of their last sign of life; empty if it is the last.
        states: Those that are this process's now.
    """

    handed_over: bool
    others: Mapping[int, int]
    states: Sequence[StoredState]


class StateSubscription(Subscription, Protocol):
    """A subscription whose acknowledgements may carry states."""

    async def settle(
        self, acks: Sequence[Delivery], nacks: Sequence[Nack] = (), *, change: StateChange | None = None
    ) -> None:
        """See `Subscription.settle`; with a change, that is stored in the same transaction.

        Raises:
            QueueError: Nothing was stored: a delivery acknowledged or covered is not this consumer's any more, or
                another process has taken the states over.
        """
        ...


@runtime_checkable
class StateProtocol(Protocol):
    """Where a provider keeps the states of stages.

    Owners have leases, as deliveries have: one that gives no sign of life for `lease_seconds` is taken for dead.
    """

    @property
    def lease_seconds(self) -> float:
        """Seconds for which an owner may be silent."""
        ...

    async def join(
        self,
        execution: str,
        stages: Sequence[tuple[str, str]],
        *,
        opens: bool = False,
        shapes: Mapping[tuple[str, str], StageShape] = MappingProxyType({}),
    ) -> Joined:
        """Take part in an execution, and take over the states of owners that have left or died.

        A stage that an unfinished execution did not have until now is to finish with the others: it is among the states.

        Args:
            execution: Prefix of the execution's queues.
            stages: Route id and name of each stage that keeps state.
            shapes: What they are made of. One that is made of something else in a process that lives, or whose adapter
                was of another type where effects are left of it, is a clash.
            opens: The process opens its stages now and says so by `opened`. If it is the first of the execution, others
                that join are told `Joined.is_opening` until then, or until its lease ends.
        """
        ...

    async def opened(self, execution: str, owner: int) -> None:
        """Let others join, who may find what this process's stages left when they were opened.

        Raises:
            QueueError: Another process has taken the states over.
        """
        ...

    async def begin(self, execution: str, owner: int) -> None:
        """Note that the owner's stages are to finish, whoever is the last of the execution then.

        For providers without `ExecutionStarts`, whose `begin` does it in the step that publishes the init messages.
        """
        ...

    async def renew(self, execution: str, owner: int) -> None:
        """Give a sign of life.

        Raises:
            QueueError: Another process has taken the states over.
        """
        ...

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """The answers that are stored for deliveries of a route, by their message ids, whoever stored them."""
        ...

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """Take over what others have left; if none lives be the last, else leave it to one that has given a sign of life.

        Args:
            execution: Prefix of the execution's queues.
            owner: Who asks; it gives a sign of life, too.
            seen: `Conclusion.others` of the first time that this was asked; empty then. One whose time has changed since
                lives for certain.
        """
        ...

    async def leave(self, execution: str, owner: int) -> None:
        """Leave the states to whoever takes part next."""
        ...

    async def forget(self, execution: str, owner: int) -> bool:
        """Forget the owner's states, and all answers if it was the last; nothing, and False, if another one has left some."""
        ...


@runtime_checkable
class StateProvider(Protocol):
    """A queue provider (see `QueueProtocol`) that keeps the states of stages; its subscriptions are `StateSubscription`s."""

    @property
    def states(self) -> StateProtocol:
        """The states that it keeps, of all executions."""
        ...
