"""Verification of a whole store: every object is read, leftovers are looked for, and references are followed.

Kept separate from the stores because it uses nothing of theirs but what every store has, and `ExaminedStorage`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from factflow_engine.error_texts import sole_cause
from factflow_engine.storages.content import closed
from factflow_engine.storages.examination import ExaminedStorage, Leftover, ProblemKind, UndescribedObjectError
from factflow_protocols import StorageCorruptError, StorageError, StorageNotFoundError, StorageProtocol

GRACE_SECONDS: Final = 3600.0
"""Age below which a leftover may belong to a writer at work, and is left alone."""

_READERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProblem:
    """A problem in a store.

    Attributes:
        kind: Its kind.
        key: Key of the object; of a leftover, its place.
        text: What is wrong.
        is_repairable: True if `repair` can put it in order.
        is_repaired: True if it has done so.
    """

    kind: ProblemKind
    key: str
    text: str
    is_repairable: bool = False
    is_repaired: bool = False


@dataclass(slots=True, kw_only=True)
class Verified:
    """Counts of a verification so far.

    Attributes:
        objects: Objects that were read.
        size_bytes: Their bytes.
        problems: Problems that are left.
        repaired: Problems that were put in order.
        unfinished: Leftovers that are too young to be judged: a writer may be at work on them.
        references: References that were followed.
    """

    objects: int = 0
    size_bytes: int = 0
    problems: int = 0
    repaired: int = 0
    unfinished: int = 0
    references: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A record that points to an object.

    Attributes:
        key: Key of the object.
        holder: The record, in words: `execution 0192..., route parse, stage markdown`.
    """

    key: str
    holder: str


class ReferenceSource(Protocol):
    """Records that point to objects: an execution store, or lineage."""

    def references(self, prefix: str) -> AsyncIterator[Reference]:
        """Yield the references to keys with a prefix."""
        ...


async def verify(
    storage: StorageProtocol,
    *,
    prefix: str = "",
    repair: bool = False,
    grace_seconds: float = GRACE_SECONDS,
    sources: Sequence[ReferenceSource] = (),
    found: Callable[[StorageProblem], None],
    progress: Callable[[Verified], None] = lambda _: None,
) -> Verified:
    """Read every object, and say what is torn, orphaned, corrupt or missing. Writers may be at work meanwhile.

    Args:
        storage: The store.
        prefix: Beginning of the keys to look at.
        repair: True to remove leftovers and to complete half-replaced sidecars. No object is ever changed.
        grace_seconds: Age below which a leftover is only counted, because a writer may be at work on it.
        sources: Records whose references are followed.
        found: Called with each problem, in no particular order.
        progress: Called with the counts after each object.

    Raises:
        StorageKeyError: No key begins with the prefix.
        StorageError: The store cannot be listed.

    Cancellation: between two objects, or two parts of one; a repair that has begun is ended.
    """
    counts = Verified()

    def note(problem: StorageProblem) -> None:
        if problem.is_repaired:
            counts.repaired += 1
        else:
            counts.problems += 1
        found(problem)

    await _read_all(storage, prefix, counts, note, progress)
    if isinstance(storage, ExaminedStorage):
        async with closed(storage.leftovers(prefix)) as leftovers:
            async for leftover in leftovers:
                if leftover.age_seconds is not None and leftover.age_seconds < grace_seconds:
                    counts.unfinished += 1
                elif repair and leftover.is_repairable:
                    await _repair(storage, leftover, note)
                else:
                    note(_problem(leftover))
    await follow(storage, sources, counts, prefix=prefix, found=found, progress=progress)
    return counts


async def follow(
    storage: StorageProtocol,
    sources: Sequence[ReferenceSource],
    counts: Verified,
    *,
    prefix: str = "",
    found: Callable[[StorageProblem], None],
    progress: Callable[[Verified], None] = lambda _: None,
) -> None:
    """Say which objects are missing although records point to them; a part of `verify`, which describes the arguments.

    Args:
        storage: The store.
        sources: Records whose references are followed.
        counts: Counts to add to.
        prefix: Beginning of the keys to look at.
        found: Called with each problem.
        progress: Called with the counts after each reference.

    Raises:
        StorageError: The store failed.

    What a source raises is raised as it is. Cancellation: between two references.
    """
    for source in sources:
        async with closed(source.references(prefix)) as references:
            async for reference in references:
                counts.references += 1
                if not await storage.exists(reference.key):
                    text = f"does not exist, and {reference.holder} points to it"
                    counts.problems += 1
                    found(StorageProblem(kind=ProblemKind.MISSING, key=reference.key, text=text))
                progress(counts)


async def _read_all(
    storage: StorageProtocol,
    prefix: str,
    counts: Verified,
    note: Callable[[StorageProblem], None],
    progress: Callable[[Verified], None],
) -> None:
    send, receive = trio.open_memory_channel[str](_READERS)

    async def read(keys: trio.MemoryReceiveChannel[str]) -> None:
        async with keys:
            async for key in keys:
                problem = await _read(storage, key, counts)
                if problem is not None:
                    note(problem)
                progress(counts)

    try:
        async with trio.open_nursery() as nursery:
            async with receive:
                for _ in range(_READERS):
                    nursery.start_soon(read, receive.clone())
            async with send, closed(storage.list(prefix)) as keys:
                async for key in keys:
                    await send.send(key)
    except ExceptionGroup as group:
        error = sole_cause(group)
        if isinstance(error, StorageError):
            raise error from group
        raise


async def _read(storage: StorageProtocol, key: str, counts: Verified) -> StorageProblem | None:
    try:
        async with storage.stream(key) as parts:
            async for part in parts:
                counts.size_bytes += len(part)
    except StorageNotFoundError:
        return None  # deleted since it was listed
    except UndescribedObjectError as error:
        return StorageProblem(kind=ProblemKind.ORPHANED, key=key, text=_text(error))
    except StorageCorruptError as error:
        return StorageProblem(kind=ProblemKind.CORRUPT, key=key, text=_text(error))
    except StorageError as error:
        return StorageProblem(kind=ProblemKind.UNREADABLE, key=key, text=_text(error))
    counts.objects += 1
    return None


async def _repair(storage: ExaminedStorage, leftover: Leftover, note: Callable[[StorageProblem], None]) -> None:
    try:
        if await storage.remove_leftover(leftover):
            note(_problem(leftover, is_repaired=True))
    except StorageError as error:
        note(StorageProblem(kind=leftover.kind, key=leftover.place, text=f"cannot be repaired: {_text(error)}"))


def _problem(leftover: Leftover, *, is_repaired: bool = False) -> StorageProblem:
    return StorageProblem(
        kind=leftover.kind,
        key=leftover.place,
        text=leftover.text,
        is_repairable=leftover.is_repairable,
        is_repaired=is_repaired,
    )


def _text(error: StorageError) -> str:
    return str(error).removeprefix(f"object {error.key!r}: ")
