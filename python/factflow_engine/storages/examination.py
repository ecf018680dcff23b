"""Contract between `verify` and the stores that can say what killed writers left in them.

Kept separate from the protocol of storage because a store without leftovers, such as one in memory, needs nothing here.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from factflow_protocols import StorageCorruptError


class ProblemKind(StrEnum):
    """Kinds of problems in a store."""

    TORN = "torn"
    """Rest of a write that did not end. No object is affected."""
    ORPHANED = "orphaned"
    """Metadata without an object, or an object without metadata."""
    CORRUPT = "corrupt"
    """Object whose bytes or metadata are not what was written."""
    MISSING = "missing"
    """Object that a record points to, and that is not there."""
    UNREADABLE = "unreadable"
    """Object that the store could not be asked for."""
    FOREIGN = "foreign"
    """File or folder that is no part of the store."""


class UndescribedObjectError(StorageCorruptError):
    """Object without metadata: it was put there by another program, or its sidecar was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something in a store that is no object.

    Attributes:
        kind: Its kind.
        place: Where it lies, as the store names it: a path below its folder, or an object's name in a bucket.
        text: What is wrong, and what to do.
        age_seconds: Time since it was last changed; None if no writer can be at work on it, whatever its age.
        is_repairable: True if `remove_leftover` can put it in order.
    """

    kind: ProblemKind
    place: str
    text: str
    age_seconds: float | None
    is_repairable: bool


@runtime_checkable
class ExaminedStorage(Protocol):
    """Store that finds what killed writers left in it."""

    def leftovers(self, prefix: str = "") -> AsyncIterator[Leftover]:
        """Yield what is no object, where keys with this prefix lie, and nothing that may belong to other keys.

        Raises:
            StorageError: The store cannot be looked through.
        """
        ...

    async def remove_leftover(self, leftover: Leftover) -> bool:
        """Put a repairable leftover in order. Objects are never changed.

        Returns:
            False if it is in order by now, for example because a writer has ended its work.

        Raises:
            StorageError: The store refused.
        """
        ...
