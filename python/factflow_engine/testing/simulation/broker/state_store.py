"""One process's side of the states of stages at a simulated broker: each call is one step of `states`.

Kept separate from the connection, with which it shares only that calls take time, and die with the process.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from factflow_engine.testing.simulation.broker.calls import Caller
from factflow_engine.testing.simulation.broker.states import Owners, Place
from factflow_protocols import Conclusion, Joined, StageShape, StoredAnswer


class BrokerStates:
    """Store of states of stages, for one process; see `factflow_protocols.StateProtocol` for the contracts."""

    def __init__(self, caller: Caller, owners: Owners) -> None:
        self._caller = caller
        self._owners = owners

    @property
    def lease_seconds(self) -> float:
        """See `StateProtocol.lease_seconds`."""
        return self._owners.lease_ns / 1e9

    async def join(
        self,
        execution: str,
        stages: Sequence[Place],
        *,
        opens: bool = False,
        shapes: Mapping[Place, StageShape] = MappingProxyType({}),
    ) -> Joined:
        """See `StateProtocol.join`."""
        call = self._caller.call(None, execution)
        await call.requested()
        joined = self._owners.join(execution, stages, opens=opens, shapes=shapes)
        await call.answered()
        return joined

    async def opened(self, execution: str, owner: int) -> None:
        """See `StateProtocol.opened`."""
        call = self._caller.call(None, execution)
        await call.requested()
        self._owners.opened(execution, owner)
        await call.answered()

    async def begin(self, execution: str, owner: int) -> None:
        """See `StateProtocol.begin`."""
        call = self._caller.call(None, execution)
        await call.requested()
        self._owners.begin(execution, owner)
        await call.answered()

    async def renew(self, execution: str, owner: int) -> None:
        """See `StateProtocol.renew`."""
        call = self._caller.call(None, execution)
        await call.requested()
        self._owners.renew(execution, owner)
        await call.answered()

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """See `StateProtocol.answers`."""
        call = self._caller.call(None, execution)
        await call.requested()
        found = self._owners.answers(execution, route, roots)
        await call.answered()
        return found

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """See `StateProtocol.conclude`."""
        call = self._caller.call(None, execution)
        await call.requested()
        conclusion = self._owners.conclude(execution, owner, seen)
        await call.answered()
        return conclusion

    async def leave(self, execution: str, owner: int) -> None:
        """See `StateProtocol.leave`."""
        call = self._caller.call(None, execution)
        await call.requested()
        self._owners.leave(execution, owner)
        await call.answered()

    async def forget(self, execution: str, owner: int) -> bool:
        """See `StateProtocol.forget`."""
        call = self._caller.call(None, execution)
        await call.requested()
        forgotten = self._owners.forget(execution, owner)
        await call.answered()
        return forgotten
