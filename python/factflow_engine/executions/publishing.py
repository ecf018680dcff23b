"""Publishing of stored messages to a route of a running execution: what a replay and its recovery have in common.

Kept separate from `replay_objects`, which only reads them, and from `replay` and `recovery`, which decide what is started.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from factflow_engine.error_texts import is_group, leaves
from factflow_engine.errors import ExecutionClosedError
from factflow_engine.executions.derivation import ReplayError, in_brief
from factflow_engine.executions.recording import Feed, StartedExecution
from factflow_engine.executions.records import ExecutionSummary
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.executions.replay_objects import Found, StageObjects
from factflow_engine.executions.written_stages import Place
from factflow_engine.frames import Frame, label_of
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.stages.reader import StoredMessage
from factflow_engine.storages.content import closed
from factflow_engine.storages.providers import open_storage
from factflow_protocols import FactflowError, StorageProtocol

_LABEL: Final = label_of("replay")
_BATCH: Final = 64
_BATCH_BYTES: Final = 1 << 20


class ReplayStoppedError(FactflowError):
    """Replay that ended before its last message was published; whoever started it must act.

    Attributes:
        execution_id: Id of the execution that was started.
        published: Messages that were published.
        objects: Messages that should have been.
        was_closed: True if somebody had ended the execution.
    """

    def __init__(self, execution_id: str, published: int, objects: int, error: BaseException) -> None:
        self.execution_id = execution_id
        self.published = published
        self.objects = objects
        self.was_closed = isinstance(error, ExecutionClosedError)
        counted = f"{published:,} of {objects:,} messages were published"
        happened = (
            f"{counted} when execution {execution_id} was ended"
            if self.was_closed
            else f"{counted} when this happened: {in_brief(error)}; execution {execution_id} was cancelled"
        )
        super().__init__(f"{happened}. Recover it, which publishes the others, or replay again")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """The object store of an earlier execution.

    Attributes:
        storage: The store, which whoever opened it closes; or its URL.
        directory: Folder that relative paths in the URL start from; None for the working directory.
        redaction: Redaction of values that the URL has from the environment; None if it has none.
    """

    storage: StorageProtocol | str
    directory: Path | None = None
    redaction: Redaction | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[StorageProtocol]:
        """Open the store, and close it at the end of the block; errors of the block show no value of the environment.

        Raises:
            StorageUrlError: The URL cannot be used.
        """
        with self._redacted():
            if not isinstance(self.storage, str):
                yield self.storage
                return
            storage = open_storage(self.storage, directory=self.directory)
            try:
                yield storage
            finally:
                with trio.CancelScope(shield=True):
                    await storage.close()

    @contextmanager
    def _redacted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self.redaction is not None:
                for one in leaves(error) if is_group(error) else (error,):
                    self.redaction.censor(one)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Messages that are to be published, all of which were read once.

    Attributes:
        store: The store that they lie in.
        scope: Id that the objects of their execution have.
        place: Stage that has stored them.
        entry: Route that gets them.
        found: The objects.
    """

    store: ObjectStore
    scope: str
    place: Place
    entry: str
    found: Found

    async def publish(self, execution: PipelineOrchestrator, progress: Callable[[int], None] = lambda _: None) -> None:
        """Publish the messages to a running execution, in the order of their ids.

        Args:
            execution: The execution.
            progress: Called with the number of messages that are published, after each of their batches.

        Raises:
            ReplayStoppedError: It could not publish all. If somebody had ended the execution, it has ended by now, and is
            not `completed`; else it still runs.

        Cancellation: some messages may have been published.
        """
        published = 0
        try:
            async with self.store.opened() as storage, closed(self._batches(storage)) as batches:
                async for batch in batches:
                    await execution.publish_frames(self.entry, batch)
                    published += len(batch)
                    progress(published)
            if published < self.found.objects:
                raise ReplayError("the other objects were removed meanwhile")
        except ExecutionClosedError as error:
            # Whoever has ended it has said how long that may take, and it must not complete.
            await execution.cancel(math.inf)
            raise ReplayStoppedError(execution.id, published, self.found.objects, error) from error
        except Exception as error:
            raise ReplayStoppedError(execution.id, published, self.found.objects, error) from error

    async def _batches(self, storage: StorageProtocol) -> AsyncIterator[list[Frame]]:
        batch: list[Frame] = []
        size_bytes = 0
        async with closed(StageObjects(storage, self.scope, self.place).messages()) as messages:
            async for message in messages:
                if not isinstance(message, StoredMessage):
                    raise ReplayError(f"{message}; it was whole a moment ago")
                batch.append(replayed_frame(message))
                size_bytes += message.size_bytes
                if len(batch) >= _BATCH or size_bytes >= _BATCH_BYTES:
                    yield batch
                    batch, size_bytes = [], 0
        if batch:
            yield batch


async def examined(
    store: ObjectStore,
    source: ExecutionSummary,
    place: Place,
    entry: str,
    progress: Callable[[Found], None],
    recorded: RecordedObjects | None,
) -> Publication:
    """Read every object of a stage, and return what is to be published of them.

    Args:
        store: The store that they lie in.
        source: The execution that has stored them.
        place: The stage.
        entry: Route that is to get the messages.
        progress: Called after each object.
        recorded: Record of the objects that must be there; None to miss only those of which something is left.

    Raises:
        ReplayError: Objects are missing, damaged, or not those of the stage.
        StorageUrlError: The store's URL cannot be used.
        StorageError: The store cannot be read.
        ExecutionStoreError: The record cannot be read.
        LineageError: The record cannot be read.

    Cancellation: nothing changes.
    """
    async with store.opened() as storage:
        expected = None if recorded is None else recorded.of_stage(source, place)
        found = await StageObjects(storage, source.scope, place).examine(progress, expected=expected)
    return Publication(store=store, scope=source.scope, place=place, entry=entry, found=found)


def feed_of(
    publication: Publication | None,
    begun: Callable[[StartedExecution], None],
    progress: Callable[[int], None],
) -> Feed:
    """Return what `Executions.start` calls to publish stored messages; None publishes nothing."""

    async def feed(started: StartedExecution) -> None:
        begun(started)
        if publication is not None and started.execution is not None:
            await publication.publish(started.execution, progress)

    return feed


def replayed_frame(message: StoredMessage) -> Frame:
    """Return the message that a replay publishes for a stored one: its child, with the same bytes, headers and key."""
    stored = Frame.create(
        message.content.payload,
        message_id=bytes.fromhex(message.key.message_id),
        correlation_id=bytes.fromhex(message.correlation_id),
        key=message.content.key,
        headers=message.content.headers,
    )
    return stored.child(_LABEL, 0)
