"""Protocol of durable queue providers for the states that stages keep across messages.

Kept separate from `queue` because it is optional: without it stages that keep state by `snapshot` are refused.
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
        state: Msgpack bytes; None for a stage that makes its effects durable itself, or has none yet.
    """

    route: str
    stage: str
    state: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """Answer of a stage to a message whose effect is in its state, stored until the delivery is acknowledged.

    Attributes:
        stage: Name of the stage.
        message_id: 16 bytes: the message that the stage processed.
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
        config: Digest of its configuration.
        paths: Absolute paths of its files (`StatefulAdapter.path_fields`).
    """

    adapter: str
    config: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Stage whose state a process cannot share, because it differs from the stage there.

    Attributes:
        route: Route id.
        stage: Name of the stage.
        adapter: Type of the adapter that keeps the state.
        is_living: True if its process runs; else only its state is left.
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
        states: Stage of the route to its new state, which replaces the owner's former one; None for a stage that makes
        its effects durable itself: only their existence is noted.
        answers: New answers.
        settled: Message ids of deliveries whose answers are not needed any more.
        covered: Unacknowledged deliveries whose effects are in the states.
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
    """Result of joining an execution.

    Attributes:
        owner: Number of the process at this provider; unique for ever.
        since: Distinguishes this run of the execution from the next one of the same id: the first owner, until
        everything is forgotten. Grows with time; nanoseconds since 1970 or more.
        unfinished: Number of others' states that no `finish` has covered: they hold effects, or their stage was begun.
        others: Number of other running processes of the execution.
        states: States that are now this process's: their owners have left or died.
        is_opening: True if the process that began the execution runs and has not opened its stages yet. Nothing was
        joined then: try again.
        kept: Route id and name of each stage with effects that no `finish` has covered, whether its owner runs or not.
        idle: Stages that were begun and have had no effect, in an execution without another running process: they have
        nothing to resume, but must still finish.
        clashes: Stages that this process cannot share. Nothing was joined then.
        changed: Those of `kept` whose owner has left or died, and was configured differently.
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
    """Result of deciding which process finishes for an execution.

    Attributes:
        handed_over: True if a running process has taken over this one's states.
        others: Processes that may be running, with the time of their last renewal; empty if this is the last one.
        states: States that are now this process's.
    """

    handed_over: bool
    others: Mapping[int, int]
    states: Sequence[StoredState]


class StateSubscription(Subscription, Protocol):
    """Subscription whose acknowledgements may carry states."""

    async def settle(
        self, acks: Sequence[Delivery], nacks: Sequence[Nack] = (), *, change: StateChange | None = None
    ) -> None:
        """See `Subscription.settle`; a change is stored in the same transaction.

        Raises:
            QueueError: Nothing was stored: an acknowledged or covered delivery is not this consumer's any more, or
            another process has taken over the states.
        """
        ...


@runtime_checkable
class StateProtocol(Protocol):
    """Store of the states of stages.

    Owners have leases, as deliveries have: one that does not renew for `lease_seconds` is taken for dead.
    """

    @property
    def lease_seconds(self) -> float:
        """Seconds after which an owner that does not renew is taken for dead."""
        ...

    async def join(
        self,
        execution: str,
        stages: Sequence[tuple[str, str]],
        *,
        opens: bool = False,
        shapes: Mapping[tuple[str, str], StageShape] = MappingProxyType({}),
    ) -> Joined:
        """Join an execution, and take over the states of owners that have left or died.

        A stage that an unfinished execution did not have until now must finish with the others: it is among the states.

        Args:
            execution: Prefix of the execution's queues.
            stages: Route id and name of each stage with state.
            shapes: Shapes of these stages. One that differs from a running process's, or whose adapter was of another
            type while its effects are left, is a clash.
            opens: True if the process opens its stages now and calls `opened` afterwards. If it is the first of the
            execution, others that join get `Joined.is_opening` until then, or until its lease expires.
        """
        ...

    async def opened(self, execution: str, owner: int) -> None:
        """Let others join, which may find leftovers of this process's stages once these are open.

        Raises:
            QueueError: Another process has taken over the states.
        """
        ...

    async def begin(self, execution: str, owner: int) -> None:
        """Note that the owner's stages must finish, whichever process is the last of the execution then.

        For providers without `ExecutionStarts`, whose `begin` does it in the step that publishes the init messages.
        """
        ...

    async def renew(self, execution: str, owner: int) -> None:
        """Renew the owner's lease.

        Raises:
            QueueError: Another process has taken over the states.
        """
        ...

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """Return the stored answers for deliveries of a route, by their message ids, whichever process stored them."""
        ...

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """Take over the states of ended processes; be the last if none runs, else hand over to one that renewed.

        Args:
            execution: Prefix of the execution's queues.
            owner: Number of the calling process, whose lease is renewed.
            seen: `Conclusion.others` of the first call; empty for that call. A process whose time has changed since is
            certainly running.
        """
        ...

    async def leave(self, execution: str, owner: int) -> None:
        """Leave the states to the next process that joins."""
        ...

    async def forget(self, execution: str, owner: int) -> bool:
        """Delete the owner's states, and all answers if it was the last; return False if others have left some."""
        ...


@runtime_checkable
class StateProvider(Protocol):
    """Queue provider (see `QueueProtocol`) that stores states of stages; its subscriptions are `StateSubscription`s."""

    @property
    def states(self) -> StateProtocol:
        """Store of the states of all executions."""
        ...
