"""States of an execution's stages at a provider that outlives it: stored with acknowledgements, restored, handed over.

Several processes may run an execution of one id. Each stores the states of its own stages. At the end all but one hand
them over, and the last one lets the stages finish, once. States that a process leaves behind, by a drain or by dying,
are restored by the next one.

Kept separate from the transport, which decides when something is acknowledged; this module decides what must be durable
by then.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.errors import ExecutionStartError
from factflow_engine.frames import unpack
from factflow_engine.queues.naming import execution_id_of
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.route_states import KeepingError, KeptStates, NothingKept, RouteStates
from factflow_protocols import Clash, Joined, QueueError, StageShape, StateProtocol, StoredState

logger = logging.getLogger("factflow_engine.runtime")

POLL_SECONDS: Final = 0.25
"""Interval for noticing at the end that other processes have left, or have renewed their leases."""

BEAT_SECONDS: Final = 1.0
"""Longest interval between renewals of a process's lease; at most a third of the lease."""


def _refuse_clashes(clashes: Sequence[Clash]) -> None:
    for clash in clashes:
        raise ExecutionStartError(clash.route, clash.stage, ValueError(_problem_of(clash)))


def _problem_of(clash: Clash) -> str:
    if clash.is_living:
        return (
            "another process of this execution runs it with another configuration, as adapter type "
            f"{clash.adapter!r}, and the two would share what it keeps; start both with the same one (paths lead to the same "
            "files), or this one under another id. If that process was killed, wait for its lease to end"
        )
    return (
        f"the queue holds what an adapter of type {clash.adapter!r} has kept under this name; put that back to finish what "
        "was begun, or give this stage another name"
    )


class StageStates:
    """States of the stages of one execution, at a provider that outlives the process.

    Attributes:
        store: Store of the states; None if the provider has none.
        execution: Prefix of the execution's queues.
        owner: Number of this process at the provider.
        kept: Route id and name of each stage with unfinished effects of other processes.
        idle: Stages that others have begun, and that have had no effect: there is nothing to resume.
        unfinished: Number of unfinished states found of other processes; nothing new may begin then.
        is_last: True if this process lets the stages finish for all processes.
        is_handed_over: True if another process lets the stages finish.
        is_forgotten: True if all stages have finished, and no state is stored any more.
    """

    def __init__(
        self,
        store: StateProtocol | None,
        execution: str,
        stages: Iterable[Stage],
        *,
        seconds: float,
        flush_seconds: float,
        shapes: Mapping[tuple[str, str], StageShape] = MappingProxyType({}),
    ) -> None:
        """Prepare; `stages` are all of the execution's, and `shapes` those of stages with state."""
        self.execution: Final = execution
        self.owner: int = 0
        self.kept: frozenset[tuple[str, str]] = frozenset()
        self.idle: frozenset[tuple[str, str]] = frozenset()
        self.unfinished = 0
        self.is_handed_over = False
        self._shapes: Final = shapes
        # The step beside a stage that stores has its name, and no state.
        own = [stage for stage in stages if not stage.is_step]
        self._stages: Final = {(stage.info.route, stage.info.stage): stage for stage in own}
        self._kept: Final = [place for place, stage in self._stages.items() if stage.keeps]
        self._asked: Final = store
        self.store: Final = store if self._kept else None
        self.is_last = self.is_forgotten = self.store is None
        self._seconds = seconds
        self._flush_seconds = flush_seconds
        self._since = 0
        self._seen: Mapping[int, int] = {}
        self._found: Sequence[StoredState] = ()
        self._joining = trio.Lock()

    def of_route(self, route: str, stages: Sequence[Stage], roots: Roots | None) -> KeptStates:
        """Return the states of one route's stages."""
        if not any(stage.keeps for stage in stages):
            return NothingKept()
        return RouteStates(
            route,
            stages,
            roots or Roots(),
            whole=self,
            seconds=self._seconds,
            flush_seconds=self._flush_seconds,
        )

    # -- at the start ----------------------------------------------------------------------------------------------

    async def join(self, depth: Callable[[], Awaitable[int]]) -> bool:
        """Join before stages are opened; return True if the execution is resumed or shared, and a stage may ask.

        Waits while the process that began the execution opens its stages, since that process may remove leftovers.

        Args:
            depth: Returns the number of messages that are left of it.

        Raises:
            ExecutionStartError: A stage with a stored state is not in this configuration, or is another one there.
            QueueError: The provider failed.
        """
        goes_on = False
        try:
            if self._asked is not None:  # also without stages: a former stage may have a state
                joined = await contained(self._joined(self._asked, opens=self.store is not None))
                _refuse_clashes(joined.clashes)
                await self._refuse_missing(joined)
                for route, stage in sorted(joined.changed):
                    logger.warning(
                        "route %r, stage %r is configured otherwise than when it kept what the queue has of it; what it does "
                        "from now on is done as it is configured now",
                        route,
                        stage,
                    )
                if self.store is not None:
                    self.owner, self._since, self._found = joined.owner, joined.since, joined.states
                    self.unfinished, self.kept, self.idle = joined.unfinished, joined.kept, joined.idle
                    goes_on = bool(joined.unfinished or joined.others)
            for place in self._kept if self.store is not None else ():
                self._stages[place].touched = False  # until it has something to finish, or is known to be the first
            if not any(stage.is_stateful for stage in self._stages.values()):
                return False  # no stage asks
            return goes_on or bool(await contained(depth()))
        except FaultError as fault:
            raise self._unusable("asked what it keeps", fault) from fault

    async def _joined(self, store: StateProtocol, *, opens: bool) -> Joined:
        while True:
            joined = await store.join(self.execution, self._kept, opens=opens, shapes=self._shapes)
            if not joined.is_opening:
                return joined
            await trio.sleep(POLL_SECONDS)

    async def opened(self) -> None:
        """Let other processes join, now that the stages are open.

        Raises:
            QueueError: The provider failed, or another process has taken over meanwhile.
        """
        if self.store is None or not self._takes_part():
            return
        try:
            await contained(self.store.opened(self.execution, self.owner))
        except FaultError as fault:
            raise self._unusable("told that stages are open", fault) from fault

    def _unusable(self, what: str, fault: FaultError) -> QueueError:
        if isinstance(fault.error, QueueError):
            return fault.error
        return QueueError(self.execution, f"cannot be {what}: {describe(fault.error)}")

    async def _refuse_missing(self, joined: Joined) -> None:
        for route, stage in sorted(joined.kept.difference(self._kept)):
            assert self._asked is not None
            await contained(self._asked.leave(self.execution, joined.owner))
            problem = (
                "the queue says that it keeps what was made of messages which are acknowledged, and the configuration has "
                "no such stage that keeps anything; put it back, under the same names, to finish what was begun, or drop "
                f"what it keeps: `factflow queue forget URL --execution {execution_id_of(self.execution)} "
                f"--stage {route}/{stage}`"
            )
            raise ExecutionStartError(route, stage, LookupError(problem))

    @property
    def discards(self) -> bool:
        """True if stages may remove what they have stored, once the execution has completed."""
        return self.is_forgotten

    def restore(self) -> None:
        """Restore the stages' stored states, once they are open.

        Raises:
            ExecutionStartError: A stage cannot restore its state.
        """
        found, self._found = self._found, ()
        for each in found:
            try:
                self._restore(each)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # any error is the stage's, and must not end the process
                raise ExecutionStartError(each.route, each.stage, error) from error

    async def begin(self, *, is_stored: bool) -> None:
        """Note that this process has begun the execution: its stages finish even if they never get a message.

        A process that joins does not note stages that it has no work for, because it would overwrite the notes of
        others; except when they are left to it, by a process that ends or dies.

        Args:
            is_stored: True if the provider has noted it already.

        Raises:
            FaultError: The provider failed.
        """
        for place in self._kept:
            self._stages[place].touched = True
        if self.store is not None and not is_stored:
            await contained(self.store.begin(self.execution, self.owner))

    def _restore(self, found: StoredState) -> None:
        stage = self._stages.get((found.route, found.stage))
        if found.state is not None:
            if stage is None or stage.stateful is None or stage.answers is None:
                raise LookupError(
                    "the queue holds a state of it, and the configuration has no such stage that takes one; put it back to "
                    "finish what was begun, or drop what it keeps: `factflow queue forget URL --execution "
                    f"{execution_id_of(self.execution)} --stage {found.route}/{found.stage}`"
                )
            stage.stateful.restore(unpack(found.state))
        if stage is not None:
            stage.touched = True

    def _merge(self, found: Sequence[StoredState]) -> None:
        """Merge into the stages the states that other processes have left meanwhile."""
        for each in found:
            try:
                self._restore(each)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise KeepingError(f"route {each.route!r}, stage {each.stage!r}: restore()", error) from error

    def _takes_part(self) -> bool:
        return bool(self.owner) and not (self.is_forgotten or self.is_handed_over)

    # -- meanwhile -------------------------------------------------------------------------------------------------

    async def beat(self) -> None:
        """Renew this process's lease until cancelled.

        Raises:
            QueueError: No renewal succeeded for the duration of a lease.
        """
        if self.store is None:
            return
        lease = self.store.lease_seconds
        alive = trio.current_time()
        while True:
            await trio.sleep(min(BEAT_SECONDS, lease / 3))
            if not self._takes_part():
                alive = trio.current_time()
                continue
            asked = trio.current_time()
            try:
                await self.store.renew(self.execution, self.owner)
            except QueueError:
                if self._takes_part() and trio.current_time() - alive >= lease:
                    raise
            else:
                alive = asked

    async def rejoin(self) -> None:
        """Join again after everything was forgotten: there is a new state to store."""
        async with self._joining:
            if self.is_forgotten and self.store is not None:
                joined = await self._joined(self.store, opens=False)
                if joined.clashes:
                    clash = joined.clashes[0]
                    raise KeepingError(f"route {clash.route!r}, stage {clash.stage!r}", ValueError(_problem_of(clash)))
                self.owner, self._since = joined.owner, joined.since
                self.is_forgotten = self.is_last = False
                self._seen = {}
                self._merge(joined.states)

    # -- at the end ------------------------------------------------------------------------------------------------

    async def conclude(self) -> None:
        """Decide which process lets the stages finish; set `is_last` or `is_handed_over`, or wait a little for others.

        Raises:
            KeepingError: A state that another process has left cannot be restored.
            FaultError: The provider failed.
        """
        if self.store is None:
            return
        conclusion = await contained(self.store.conclude(self.execution, self.owner, self._seen))
        if conclusion.handed_over:
            self.is_handed_over = True
            return
        self._merge(conclusion.states)
        if conclusion.others:
            self._seen = self._seen or conclusion.others
            await trio.sleep(POLL_SECONDS)
        else:
            self.is_last = True

    async def forget(self) -> None:
        """Delete the stored states, since all stages have finished; clear `is_last` if another process has left one.

        Raises:
            FaultError: The provider failed.
        """
        if self.store is None or await contained(self.store.forget(self.execution, self.owner)):
            self.is_forgotten = True
        else:
            self.is_last = False
            self._seen = {}

    async def leave(self) -> None:
        """Leave the states to the next process of the execution."""
        if self.store is not None and self._takes_part():
            await contained(self.store.leave(self.execution, self.owner))

    def words_id(self, stage: Stage, payload: bytes) -> bytes | None:
        """Return the id of a message from a stage's `finish`, the same whenever an interrupted one is repeated.

        None if the stage has no state that another process could repeat it from.
        """
        if self.store is None or not stage.keeps:
            return None
        digest = hashlib.blake2b(digest_size=10)
        for part in (
            self.execution.encode(),
            self._since.to_bytes(16),
            stage.info.route.encode(),
            stage.info.stage.encode(),
        ):
            digest.update(len(part).to_bytes(4) + part)
        digest.update(payload)
        return (self._since // 1_000_000 % (1 << 48)).to_bytes(6) + digest.digest()
