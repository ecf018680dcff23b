"""The provider's side of stages' states: each call is one transaction of the writer.

Kept separate from the transactions themselves: `joining`, `owners`, and `state_changes` for acknowledgements.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from factflow_engine.queues.sqlite.joining import Place, join
from factflow_engine.queues.sqlite.owners import begin_stages, conclude, forget, leave, note_opened, renew
from factflow_engine.queues.sqlite.statements import where_in
from factflow_engine.queues.sqlite.store import Call, Look, Store
from factflow_engine.queues.sqlite.writer import Writer
from factflow_protocols import Conclusion, Joined, StageShape, StoredAnswer


class SqliteStates:
    """See `factflow_protocols.StateProtocol` for the contract."""

    def __init__(self, writer: Writer, *, lease_seconds: float) -> None:
        self._writer = writer
        self._lease_seconds = lease_seconds

    @property
    def lease_seconds(self) -> float:
        """See `StateProtocol.lease_seconds`."""
        return self._lease_seconds

    async def join(
        self,
        execution: str,
        stages: Sequence[tuple[str, str]],
        *,
        opens: bool = False,
        shapes: Mapping[Place, StageShape] = MappingProxyType({}),
    ) -> Joined:
        """See `StateProtocol.join`."""
        joining = partial(join, execution=execution, stages=stages, opens=opens, shapes=shapes)
        return await self._writer.submit(Call(joining, execution))

    async def opened(self, execution: str, owner: int) -> None:
        """See `StateProtocol.opened`."""
        await self._writer.submit(Call(lambda store: note_opened(store, execution, owner), execution))

    async def begin(self, execution: str, owner: int) -> None:
        """See `StateProtocol.begin`."""
        await self._writer.submit(Call(lambda store: begin_stages(store, execution, owner), execution))

    async def renew(self, execution: str, owner: int) -> None:
        """See `StateProtocol.renew`."""
        await self._writer.submit(Call(lambda store: renew(store, execution, owner), execution))

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """See `StateProtocol.answers`."""
        return await self._writer.submit(Look(lambda store: _answers(store, execution, route, roots), execution))

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """See `StateProtocol.conclude`."""
        return await self._writer.submit(Call(lambda store: conclude(store, execution, owner, seen), execution))

    async def leave(self, execution: str, owner: int) -> None:
        """See `StateProtocol.leave`."""
        await self._writer.submit(Call(lambda store: leave(store, execution, owner), execution))

    async def forget(self, execution: str, owner: int) -> bool:
        """See `StateProtocol.forget`."""
        return await self._writer.submit(Call(lambda store: forget(store, execution, owner), execution))


def _answers(store: Store, execution: str, route: str, roots: Sequence[bytes]) -> list[StoredAnswer]:
    found = []
    for condition, values in where_in("root", roots):
        rows = store.connection.execute(
            "SELECT stage, message_id, root, answer FROM stage_answer "  # noqa: S608 - placeholders
            f"WHERE execution = ? AND route = ? AND {condition}",
            (execution, route, *values),
        ).fetchall()
        found += [
            StoredAnswer(stage=stage, message_id=message_id, root=root, answer=answer)
            for stage, message_id, root, answer in rows
        ]
    return found
