"""Objects that a replay publishes: found by their keys, read once to be checked, and once more to be published.

Nothing is published before all of them were read, so that a missing or damaged one is known in time. Memory holds a few
messages at a time, however many there are: keys are listed in the order of message ids, which is that of time.

Kept separate from `replay`, which decides what is done with the messages.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from factflow_engine.errors import StageStorageError
from factflow_engine.executions.derivation import ReplayError
from factflow_engine.executions.written_stages import Place
from factflow_engine.stages.keys import StageKey, parse_key, stage_prefix
from factflow_engine.stages.reader import StoredMessage, read_message
from factflow_engine.storages.content import closed
from factflow_engine.storages.examination import ExaminedStorage, ProblemKind
from factflow_engine.storages.keys import SIDECAR_ENDING
from factflow_protocols import StorageCorruptError, StorageError, StorageNotFoundError, StorageProtocol

MOST_READERS: Final = 8
"""Most messages that are read at a time, and so are in memory."""

MOST_NAMED: Final = 5
"""Most problems that an error names, and most keys that a plan does."""


@dataclass(slots=True, kw_only=True)
class Found:
    """Objects of a stage, as far as they were read.

    Attributes:
        objects: Number of objects.
        size_bytes: Their bytes.
        first_keys: Keys of the first ones.
    """

    objects: int = 0
    size_bytes: int = 0
    first_keys: list[str] = field(default_factory=list)


class StageObjects:
    """Objects that one stage of an execution has stored.

    Args:
        storage: The store.
        scope: Id that the execution's objects have.
        place: The stage.
    """

    def __init__(self, storage: StorageProtocol, scope: str, place: Place) -> None:
        self._storage = storage
        self._place = place
        self.prefix: Final = stage_prefix(scope, place.route, place.stage)

    async def examine(
        self, progress: Callable[[Found], None] = lambda _: None, *, expected: AsyncIterator[str] | None = None
    ) -> Found:
        """Read every object, and count them.

        Args:
            progress: Called after each object.
            expected: Keys of objects that must be there, in ascending order; None if no record says that.

        Raises:
            ReplayError: Objects are missing, damaged, or not those of the stage; all were read, the first are named.
            StorageError: The store cannot be read.

        Cancellation: nothing changes.
        """
        found, problems, more = Found(), list[str](), 0
        async with closed(self.messages()) as messages:
            async for message in messages:
                if isinstance(message, StoredMessage):
                    found.objects += 1
                    found.size_bytes += message.size_bytes
                    if len(found.first_keys) < MOST_NAMED:
                        found.first_keys.append(str(message.key))
                    progress(found)
                elif len(problems) < MOST_NAMED:
                    problems.append(message)
                else:
                    more += 1
        async with closed(self._missing(expected)) as missing:
            async for problem in missing:
                if len(problems) < MOST_NAMED:
                    problems.append(problem)
                else:
                    more += 1
        if problems:
            lines = "".join(f"\n  - {problem}" for problem in problems)
            rest = f"\n  - and {more:,} more" if more else ""
            raise ReplayError(
                f"nothing was published: of what is stored below {self.prefix!r}, this cannot be replayed; "
                f"`factflow storage verify` says more:{lines}{rest}"
            )
        if not found.objects:
            raise ReplayError(f"nothing is stored below {self.prefix!r}; there is nothing to replay")
        return found

    async def messages(self) -> AsyncIterator[StoredMessage | str]:
        """Yield each message in the order of the ids, or what is wrong with it.

        Raises:
            StorageError: The store cannot be read.

        Cancellation: nothing changes.
        """
        batch: list[StageKey] = []
        last: StageKey | None = None
        async with closed(self._storage.list(self.prefix)) as keys:
            async for text in keys:
                key = parse_key(text)
                if key is None:
                    yield f"{text}: its name is no message's id"
                    continue
                if last is not None and last.message_id == key.message_id:
                    yield f"{text}: is a second object of its message, beside {last}"
                    continue
                last = key
                batch.append(key)
                if len(batch) == MOST_READERS:
                    for message in await self._read(batch):
                        yield message
                    batch = []
        for message in await self._read(batch):
            yield message

    async def _read(self, keys: Sequence[StageKey]) -> Sequence[StoredMessage | str]:
        read: dict[int, StoredMessage | str | StorageError] = {}

        async def one(number: int, key: StageKey) -> None:
            try:
                read[number] = await read_message(self._storage, key, what=self._place.what)
            except (StorageCorruptError, StorageNotFoundError) as error:
                read[number] = str(error)
            except StorageError as error:
                read[number] = error
            except StageStorageError as error:
                read[number] = error.problem if str(key) in error.problem else f"{key}: {error.problem}"

        async with trio.open_nursery() as nursery:
            for number, key in enumerate(keys):
                nursery.start_soon(one, number, key)
        found: list[StoredMessage | str] = []
        for number in range(len(keys)):
            message = read[number]
            if isinstance(message, StorageError):
                raise message
            found.append(message)
        return found

    async def _missing(self, expected: AsyncIterator[str] | None) -> AsyncIterator[str]:
        """Yield the objects that are not there: those that are expected, and those of which the metadata is left."""
        gone: set[str] = set()
        if expected is not None:
            keys = self._storage.list(self.prefix)
            async with closed(expected) as wanted, closed(keys):
                there: str | None = ""
                async for key in wanted:
                    while there is not None and there < key:
                        there = await anext(keys, None)
                    if there != key:
                        gone.add(key)
                        yield f"{key}: does not exist, although the stage has stored it by the lineage"
        if not isinstance(self._storage, ExaminedStorage):
            return
        async with closed(self._storage.leftovers(self.prefix)) as leftovers:
            async for leftover in leftovers:
                if leftover.kind is ProblemKind.ORPHANED and leftover.place.removesuffix(SIDECAR_ENDING) not in gone:
                    yield f"{leftover.place}: {leftover.text}: the object was removed"
