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
from factflow_engine.executions.errors import ExecutionStoreError
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.records import ExecutionFilter, ExecutionSummary
from factflow_engine.executions.written_stages import Place, WrittenStage, stages_of
from factflow_engine.stages.keys import execution_prefix, object_key
from factflow_engine.storages.content import closed
from factflow_engine.storages.verification import Reference
from factflow_protocols import LineageEntry, LineageReader, LineageSelection, OutcomeEntry, StageStatus

_PAGE_EXECUTIONS: Final = 500
_PAGE_MESSAGES: Final = 500
_ENDED_WELL: Final = frozenset({"completed", "filtered"})


class _Stored(NamedTuple):
    """Contents of a configuration that say what is stored.

    Attributes:
        url: URL of its own object store, as written; None if it has none.
        stages: The stages that store, by route.
    """

    url: object
    stages: Mapping[str, Sequence[WrittenStage]]


class RecordedObjects:
    """Objects that must be there by the lineage of the executions that have stored them.

    Of several records with one scope (runs of one id on a durable queue), those whose stages store differently are left
    out: which of them has stored an object is not recorded.

    Args:
        store: The executions.
        reader: Their lineage.
    """

    def __init__(self, store: ExecutionStore, reader: LineageReader) -> None:
        self._store = store
        self._reader = reader

    async def references(self, prefix: str) -> AsyncIterator[Reference]:
        """Yield a reference for each object whose key has the prefix, of executions without an object store of their own.

        Raises:
            ExecutionStoreError: The store failed, or a snapshot in it is damaged.
            LineageError: The lineage cannot be read.

        Cancellation: nothing changes.
        """
        for scope, records in (await self._executions(prefix)).items():
            stored = await self._stored(records)
            if stored is None or stored.url:
                continue
            record_id = next(iter(records.values()))
            for route, stages in stored.stages.items():
                async with closed(self._keys(scope, route, stages)) as keys:
                    async for key, stage in keys:
                        if key.startswith(prefix):
                            holder = f"execution {record_id}, route {route}, stage {stage.place.stage}"
                            yield Reference(key=key, holder=holder)

    async def of_stage(self, execution: ExecutionSummary, place: Place) -> AsyncIterator[str]:
        """Yield the keys of a stage's objects, in ascending order, whatever store they lie in.

        Raises:
            ExecutionStoreError: The store failed, or a snapshot in it is damaged.
            LineageError: The lineage cannot be read.

        Cancellation: nothing changes.
        """
        records = (await self._executions(execution_prefix(execution.scope))).get(execution.scope, {})
        stored = await self._stored(records)
        stages = () if stored is None else stored.stages.get(place.route, ())
        own = [stage for stage in stages if (stage.place.stage, stage.place.what) == (place.stage, place.what)]
        if own:
            async with closed(self._keys(execution.scope, place.route, own)) as keys:
                async for key, _ in keys:
                    yield key

    async def _executions(self, prefix: str) -> Mapping[str, Mapping[str, str]]:
        """Return the scopes whose keys may have the prefix, with a record of each configuration that ran in them."""
        found: dict[str, dict[str, str]] = {}
        before: str | None = None
        while page := await self._store.executions(ExecutionFilter(before=before, limit=_PAGE_EXECUTIONS)):
            for execution in page:
                begins = execution_prefix(execution.scope)
                if begins.startswith(prefix) or prefix.startswith(begins):
                    found.setdefault(execution.scope, {}).setdefault(execution.config_hash, execution.id)
            before = page[-1].id
        return found

    async def _stored(self, records: Mapping[str, str]) -> _Stored | None:
        """Return what all the records' configurations store; None if they store differently, or there is no record."""
        found = [await self._written(record_id) for record_id in records.values()]
        return found[0] if found and all(each == found[0] for each in found) else None

    async def _written(self, record_id: str) -> _Stored:
        execution = await self._store.execution(record_id)
        try:
            written = written_of(execution.snapshot)
            return _Stored((written.get("storage") or {}).get("url"), storing_stages(written))
        except (ConfigurationError, AttributeError, TypeError) as error:
            raise ExecutionStoreError(
                type(self._store).__name__, f"the snapshot of execution {record_id} is damaged: {error}"
            ) from error

    async def _keys(
        self, scope: str, route: str, stages: Sequence[WrittenStage]
    ) -> AsyncIterator[tuple[str, WrittenStage]]:
        """Yield the keys of the objects of some stages of a route, message by message, and the stage of each."""
        async with closed(self._ended(scope, route)) as ended:
            async for message, row in ended:
                for stage in message.stored(stages):
                    yield object_key(scope, route, stage.place.stage, row.message_id.hex(), stage.extension), stage

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


def storing_stages(written: Mapping[str, Any]) -> dict[str, list[WrittenStage]]:
    """Return the stages of a configuration in written form, such as a snapshot's, that store, by route."""
    found: dict[str, list[WrittenStage]] = {}
    for stage in stages_of(written):
        if stage.stores:
            found.setdefault(stage.place.route, []).append(stage)
    return found


class _Message:
    """A message that has ended well in one route, by its rows and those of its parent there."""

    def __init__(self, row: OutcomeEntry, visits: Iterable[LineageEntry], parent: Iterable[LineageEntry]) -> None:
        self._row = row
        self._visits = _last_attempt(visits)
        self._parent = _last_attempt(parent)

    def stored(self, stages: Iterable[WrittenStage]) -> Iterator[WrittenStage]:
        """Yield the stages that have an object of the message."""
        called = {visit.stage for visit in self._visits}
        made = called if self._goes_on() else {visit.stage for visit in self._visits[:-1]}
        # A stage that emits stores each child under its own id, before the child's own way begins.
        made = made | {visit.stage for visit in self._parent[-1:]}
        for stage in stages:
            if stage.place.stage in (called if stage.place.what == "input" else made):
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
