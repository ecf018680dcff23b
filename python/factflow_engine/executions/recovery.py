"""Recovery: an execution that died goes on under its id, with the messages that it had.

On a queue that outlives the process, its messages lie there, and the queue's own resumption does the work. With queues in
memory they have died, and the execution begins again. Its init messages get the same ids, so all messages that derive from
them are the same, and stages take what they have stored rather than process a message twice (`runtime.stages.recalling`).
What is stored again has the same key and the same bytes. A replay publishes its objects again: a queue that knows the ids
accepts each once.

Kept separate from `replay`, whose executions are new ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.config.snapshot import written_of
from factflow_engine.executions.derivation import ReplayError
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.publishing import Publication, examined, feed_of
from factflow_engine.executions.recording import Executions, Manager, Origin, StartedExecution
from factflow_engine.executions.records import ExecutionSummary, StoredExecution
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.executions.replay import DURABLE, REPLAY, loaded_from, storage_of
from factflow_engine.executions.replay_objects import Found
from factflow_engine.executions.written_stages import Place
from factflow_engine.queues.naming import prefix_of
from factflow_engine.runtime.report import ExecutionStatus
from factflow_protocols import QueueProtocol, ResumableStarts, StorageProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """A recovery that was checked.

    Attributes:
        record: The execution that died last: the one that was named, or its latest recovery.
        config: Its configuration, with the environment of now.
        durable: True if its messages lie in a queue; False if it begins again, with what is stored.
        asked_ns: Time of the first start. A queue on which the execution has ended since then has nothing to begin.
        publication: Messages that are to be published again, if it is a replay; else None.
        note: What the record's metadata says of the replay.
    """

    record: StoredExecution
    config: PipelineGlobalConfig
    durable: bool
    asked_ns: int
    publication: Publication | None = None
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Idempotency key with which an execution is recovered once."""
        return f"recover {self.record.id}"

    @property
    def messages(self) -> int:
        """Number of stored messages that it publishes."""
        return 0 if self.publication is None else self.publication.found.objects


async def plan_recovery(
    store: ExecutionStore,
    named: str,
    *,
    loader: PipelineConfigLoader,
    queue: QueueProtocol | None = None,
    storage: StorageProtocol | str | None = None,
    recorded: RecordedObjects | None = None,
    progress: Callable[[Found], None] = lambda _: None,
) -> RecoveryPlan:
    """Check that an execution can be recovered. Starts nothing.

    Args:
        store: The store of executions.
        named: Id, tag or other name of the execution.
        loader: Loader with its adapters.
        queue: Queue of the manager that will run it; None for queues in memory. It is asked whether the execution can go
        on there, and stays closed.
        storage: Store of a replay's objects, if its parent's configuration names none; see `plan_replay`.
        recorded: See `plan_replay`.
        progress: Called after each object of a replay that was read.

    Raises:
        UnknownRecordError: There is no such execution.
        ReplayError: It lives, has completed, or cannot be recovered in this way or on this queue; or objects of a replay
        are missing or damaged.
        ConfigurationError: Its configuration cannot be run any more; the error holds the findings.
        ExecutionStoreError: The store of executions failed.
        QueueError: The queue cannot be read.
        StorageUrlError: The URL of a replay's objects cannot be used.
        StorageError: The store of a replay's objects cannot be read.
        LineageError: The record of them cannot be read.

    Cancellation: nothing changes.
    """
    record = await latest_recovery(store, await store.execution(named))
    _require_dead(record)
    attempts = await _attempts(store, record)
    asked_ns = attempts[0].started_ns
    note = record.metadata.get(REPLAY)
    note = note if isinstance(note, Mapping) else {}
    durable = queue is not None and queue.outlives_process
    await _require_queue(queue if durable else None, attempts, was_durable=note.get(DURABLE) if note else None)
    written = written_of(record.snapshot, f"snapshot of {record.id}")
    config = loaded_from(written, loader, name=f"snapshot of {record.id}", directory=Path(record.directory))
    if not note:
        return RecoveryPlan(record=record, config=config, durable=durable, asked_ns=asked_ns)
    place, entry = _replayed(record, note)
    source = await _source(store, record)
    kept = storage_of(source, written_of(source.snapshot, f"snapshot of {source.id}"), loader, storage)
    publication = await examined(kept, source, place, entry, progress, recorded)
    return RecoveryPlan(
        record=record, config=config, durable=durable, asked_ns=asked_ns, publication=publication, note=note
    )


@trio.lowlevel.enable_ki_protection
async def recover(
    executions: Executions,
    manager: Manager,
    plan: RecoveryPlan,
    *,
    tag: str = "",
    metadata: Mapping[str, Any] | None = None,
    allow_loss: bool = False,
    begun: Callable[[StartedExecution], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> StartedExecution:
    """Start the execution again under its id, and return it; the caller completes it.

    Of several recoveries of one record, in all processes, one starts an execution. Messages that the program itself had
    published to queues in memory are the program's to publish again.

    Args:
        executions: Executions that record it.
        manager: Manager that starts it, with the queue and the object store that the execution had.
        plan: Result of `plan_recovery`.
        tag: See `Executions.start`.
        metadata: See `Executions.start`; `replay` in it is overwritten.
        allow_loss: See `Executions.start`.
        begun: Called with the result before the first message of a replay is published.
        progress: Called with the number of messages of a replay that are published.

    Raises:
        FactflowError: See `Executions.start`.
        ReplayStoppedError: Not all messages of a replay could be published; the execution was cancelled.

    Cancellation: the execution is cancelled with it.
    """
    noted = {REPLAY: dict(plan.note)} if plan.note else {}
    return await executions.start(
        manager,
        plan.config,
        execution_id=plan.record.scope,
        idempotency_key=plan.key,
        tag=tag,
        metadata={**(metadata or {}), **noted},
        origin=Origin(
            config_id=plan.record.config_id,
            config_version=plan.record.config_version,
            parent=plan.record.id,
            replay_source="queue" if plan.durable else "storage",
        ),
        allow_loss=allow_loss,
        asked_ns=plan.asked_ns if plan.durable else None,
        recalls=not plan.durable,
        feed=feed_of(plan.publication, begun, progress),
    )


def _require_dead(record: ExecutionSummary) -> None:
    if record.status is ExecutionStatus.RUNNING:
        raise ReplayError(
            f"execution {record.id} is running, on {record.host}, process {record.pid}; a process that died is noticed some "
            "15 seconds later"
        )
    if record.status is ExecutionStatus.COMPLETED:
        raise ReplayError(
            f"execution {record.id} has completed; there is nothing to recover. Replay it, or run it again"
        )


async def _require_queue(
    queue: QueueProtocol | None, attempts: Sequence[StoredExecution], *, was_durable: bool | None
) -> None:
    """Refuse a queue on which an execution would begin anew although it had begun elsewhere.

    A process may have died between its record and its first message. Nothing is lost then by beginning anew, on the
    queue that the record names.

    Args:
        queue: The queue, if it outlives the process.
        attempts: The execution and its recoveries, the first one first.
        was_durable: What the note of a replay says; None if there is none.
    """
    first, last = attempts[0], attempts[-1]
    if was_durable is None:
        was_durable = last.queue is not None or first.scope != first.id
    if was_durable and queue is None:
        where = (
            f"execution {last.id} ran as {last.scope!r}; if that was on a queue, its messages lie there: name the queue "
            "with --queue URL. With queues in memory, only an id that the engine has made can be recovered: run it again"
        )
        known = f"the messages of execution {last.id} lie in its queue: name it with --queue {last.queue!r}"
        raise ReplayError(where if last.queue is None else known)
    if queue is None:
        return
    if not was_durable:
        raise ReplayError(
            f"execution {last.id} ran with queues in memory, and goes on from what it stored; leave out --queue"
        )
    if not isinstance(queue, ResumableStarts):
        return
    has_begun = any(one.statistics is not None or one.report is not None for one in attempts)
    is_another = last.queue is not None and _store_of(last.queue) != _store_of(queue.url)
    if not has_begun and not is_another:
        return
    if not await queue.can_resume(prefix_of(last.scope), asked_ns=first.started_ns):
        ran = "" if last.queue is None else f": it ran on {last.queue!r}"
        raise ReplayError(
            f"queue {queue.url!r} does not hold execution {last.scope!r}, which would begin anew there{ran}. Name the queue "
            "that has its messages with --queue; if they were dropped, run it again"
        )


def _store_of(url: str) -> str:
    """Return a URL without its options."""
    return url.partition("?")[0]


async def latest_recovery(store: ExecutionStore, record: StoredExecution) -> StoredExecution:
    """Return the latest recovery of an execution, or of its recovery, and so on; else the execution itself."""
    while record.recovered_by is not None:
        record = await store.execution(record.recovered_by)
    return record


async def _attempts(store: ExecutionStore, record: StoredExecution) -> Sequence[StoredExecution]:
    """Return the records of the execution's first start and of its recoveries, up to this one."""
    found = [record]
    while found[0].parent is not None:
        parent = await store.execution(found[0].parent)
        if parent.scope != record.scope:
            break
        found.insert(0, parent)
    return found


def _replayed(record: StoredExecution, note: Mapping[str, Any]) -> tuple[Place, str]:
    values = [note.get(name) for name in ("route", "stage", "what", "entry")]
    if not all(isinstance(value, str) for value in values):
        raise ReplayError(f"the record of execution {record.id} does not say what it replays; replay again")
    route, stage, what, entry = map(str, values)
    return Place(route=route, stage=stage, index=0, what=what), entry


async def _source(store: ExecutionStore, record: StoredExecution) -> StoredExecution:
    """Return the execution whose objects a replay, or a recovery of it, publishes."""
    found = record
    while found.parent is not None:
        found = await store.execution(found.parent)
        if found.scope != record.scope:
            return found
    raise ReplayError(f"the record of execution {record.id} does not say what it replays; replay again")
