"""Objects that must be there by what was recorded: those of the messages that have passed the storing stages.

A message's row says that a stage has made something of it; the execution's snapshot says that the stage stores, and under
which extension. Both together are a reference, which `storages.verification` follows. Only messages that have ended well
count: of one that was interrupted or failed, the last object may rightly not be there.

Kept separate from the stores of executions and of lineage because neither knows the other.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from factflow_engine.config import ConfigurationError
from factflow_engine.config.snapshot import written_of
from factflow_engine.executions.derivation import STORING_TYPE
from factflow_engine.executions.errors import ExecutionStoreError
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.records import ExecutionFilter
from factflow_engine.stages.content import ContentRule
from factflow_engine.stages.keys import ROOT, object_key
from factflow_engine.storages.verification import Reference
from factflow_protocols import LineageEntry, LineageReader, LineageSelection, OutcomeEntry, StageStatus

_PAGE_EXECUTIONS: Final = 500
_PAGE_MESSAGES: Final = 500
_ENDED_WELL: Final = frozenset({"completed", "filtered"})


class StoringStage(NamedTuple):
    """A stage that stores.

    Attributes:
        name: Its name.
        what: `output` if its results are stored, `input` if the messages as they came to it.
        extension: File extension of the objects, without its first dot; empty for none.
    """

    name: str
    what: str
    extension: str


class RecordedObjects:
    """Source of references: what executions without an object store of their own have stored by their lineage.

    Of several records with one scope (runs of one id on a durable queue), those with different configurations are left
    out: which of them has stored an object is not recorded.

    Args:
        store: The executions.
        reader: Their lineage.
    """

    def __init__(self, store: ExecutionStore, reader: LineageReader) -> None:
        self._store = store
        self._reader = reader

    async def references(self, prefix: str) -> AsyncIterator[Reference]:
        """Yield a reference for each object that must be there, and whose key has the prefix.

        Raises:
            ExecutionStoreError: The store failed, or a snapshot in it is damaged.
            LineageError: The lineage cannot be read.

        Cancellation: nothing changes.
        """
        for scope, record_id in (await self._executions(prefix)).items():
            if record_id is None:
                continue
            for route, stages in (await self._stages(record_id)).items():
                async for message, row in self._ended(scope, route):
                    for stage in message.stored(stages):
                        key = object_key(scope, route, stage.name, row.message_id.hex(), stage.extension)
                        if key.startswith(prefix):
                            holder = f"execution {record_id}, route {route}, stage {stage.name}"
                            yield Reference(key=key, holder=holder)

    async def _executions(self, prefix: str) -> Mapping[str, str | None]:
        """Return the scopes whose keys may have the prefix, with a record of each; None if there are different ones."""
        found: dict[str, tuple[str, str] | None] = {}
        before: str | None = None
        while page := await self._store.executions(ExecutionFilter(before=before, limit=_PAGE_EXECUTIONS)):
            for execution in page:
                begins = f"{ROOT}/{execution.scope}/"
                if not (begins.startswith(prefix) or prefix.startswith(begins)):
                    continue
                known = found.setdefault(execution.scope, (execution.id, execution.config_hash))
                if known is not None and known[1] != execution.config_hash:
                    found[execution.scope] = None
            before = page[-1].id
        return {scope: None if known is None else known[0] for scope, known in found.items()}

    async def _stages(self, record_id: str) -> Mapping[str, Sequence[StoringStage]]:
        execution = await self._store.execution(record_id)
        try:
            return storing_stages(written_of(execution.snapshot))
        except (ConfigurationError, AttributeError, TypeError) as error:
            raise ExecutionStoreError(
                type(self._store).__name__, f"the snapshot of execution {record_id} is damaged: {error}"
            ) from error

    async def _ended(self, scope: str, route: str) -> AsyncIterator[tuple["_Message", OutcomeEntry]]:
        """Yield the messages that have ended well in a route."""
        chosen = LineageSelection(execution_id=scope, route=route, outcomes=_ENDED_WELL)
        after: OutcomeEntry | None = None
        while page := await self._reader.outcomes(chosen, after=after, limit=_PAGE_MESSAGES):
            ids = {row.message_id for row in page} | {row.parent_id for row in page if row.parent_id is not None}
            rows = await self._reader.messages(sorted(ids))
            visits: dict[bytes, list[LineageEntry]] = {}
            for visit in rows.visits:
                if (visit.execution_id, visit.route) == (scope, route):
                    visits.setdefault(visit.message_id, []).append(visit)
            for row in page:
                parent = visits.get(row.parent_id, []) if row.parent_id is not None else []
                yield _Message(row, visits.get(row.message_id, []), parent), row
            after = page[-1]


def storing_stages(written: Mapping[str, Any]) -> dict[str, list[StoringStage]]:
    """Return the stages that store into the store of the program, by route.

    Args:
        written: A configuration in written form, such as a snapshot's; one with an object store of its own has none.
    """
    if (written.get("storage") or {}).get("url"):
        return {}
    found: dict[str, list[StoringStage]] = {}
    for route, section in (written.get("routes") or {}).items():
        for stage in section.get("adapters") or ():
            stores = stage.get("store")
            if stage.get("type") == STORING_TYPE:
                stores = {**(stage.get("config") or {}), "what": "input"}
            if stores is True:
                stores = {}
            if isinstance(stores, Mapping):
                rule = ContentRule(
                    content_field=stores.get("content_field"), extension=_without_dot(stores.get("extension"))
                )
                name = str(stage.get("name") or stage.get("type"))
                found.setdefault(route, []).append(
                    StoringStage(name, str(stores.get("what", "output")), rule.extension)
                )
    return found


def _without_dot(extension: object) -> str | None:
    return None if extension is None else str(extension).removeprefix(".")


class _Message:
    """A message that has ended well in one route, by its rows and those of its parent there."""

    def __init__(self, row: OutcomeEntry, visits: Iterable[LineageEntry], parent: Iterable[LineageEntry]) -> None:
        self._row = row
        self._visits = _last_attempt(visits)
        self._parent = _last_attempt(parent)

    def stored(self, stages: Iterable[StoringStage]) -> Iterator[StoringStage]:
        """Yield the stages that have an object of the message."""
        called = {visit.stage for visit in self._visits}
        made = called if self._goes_on() else {visit.stage for visit in self._visits[:-1]}
        # A stage that emits stores each child under its own id, before the child's own way begins.
        made = made | {visit.stage for visit in self._parent[-1:]}
        for stage in stages:
            if stage.name in (called if stage.what == "input" else made):
                yield stage

    def _goes_on(self) -> bool:
        """True if the last stage has made a message of it, rather than none or others."""
        detail = self._row.detail or ""
        if self._row.outcome == "filtered":
            return '"unrouted"' in detail
        return '"outbounds"' in detail or not (self._row.emitted or detail)


def _last_attempt(visits: Iterable[LineageEntry]) -> list[LineageEntry]:
    """Return the calls of the last attempt that have succeeded, in order."""
    found = [visit for visit in visits if visit.status == StageStatus.COMPLETED]
    last = max((visit.attempt for visit in found), default=0)
    return sorted((visit for visit in found if visit.attempt == last), key=lambda visit: visit.position)
