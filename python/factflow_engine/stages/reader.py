"""Reader of stage objects: the message that an object was written from, with its ids, or what is wrong with the object.

Kept separate from the writer because other programs' objects are read here, too: nothing is believed that the key and the
metadata do not say alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from factflow_engine.errors import StageStorageError
from factflow_engine.frames import validate
from factflow_engine.stages.content import MESSAGE_TYPE, StoredContent, message_of
from factflow_engine.stages.keys import StageKey
from factflow_protocols import FactflowError, StorageProtocol


class StoredMessage(NamedTuple):
    """A message that a stage has stored.

    Attributes:
        key: Parts of its object's key.
        content: The message.
        correlation_id: Id of its root, 32 hexadecimal digits.
        parent_id: Id of the message that it was emitted from; None for a root.
        size_bytes: Bytes of the object.
    """

    key: StageKey
    content: StoredContent
    correlation_id: str
    parent_id: str | None
    size_bytes: int


async def read_message(storage: StorageProtocol, key: StageKey, *, what: str) -> StoredMessage:
    """Read an object, and return the message that it was written from.

    Args:
        storage: The store.
        key: Parts of the key.
        what: `input` or `output`: which message of the stage is expected.

    Raises:
        StorageNotFoundError: There is no such object.
        StorageCorruptError: The object or its metadata is not what was written.
        StorageError: The store failed.
        StageStorageError: It is no object of this stage and message, or not the whole message.

    Cancellation: nothing changes.
    """
    data, metadata = await storage.read(str(key))
    provenance = checked_provenance(key, metadata.custom, what=what)
    content = message_of(key.message_id, data, metadata.custom)
    try:
        validate(content.payload)
    except FactflowError as error:
        hint = "" if metadata.content_type == MESSAGE_TYPE else f"; it is {metadata.content_type}, without its envelope"
        raise StageStorageError(key.message_id, f"object {str(key)!r} is no message: {error}{hint}") from error
    parent = provenance.get("parent_id")
    return StoredMessage(
        key,
        content,
        str(provenance.get("correlation_id") or key.message_id),
        None if parent is None else str(parent),
        metadata.size_bytes,
    )


def checked_provenance(key: StageKey, custom: Mapping[str, Any], *, what: str) -> Mapping[str, Any]:
    """Return the provenance of an object, once it agrees with the key.

    Raises:
        StageStorageError: It is missing, or says something else.
    """
    provenance = custom.get("provenance")
    if not isinstance(provenance, Mapping):
        raise StageStorageError(key.message_id, f"object {str(key)!r} has no provenance: no stage has stored it")
    expected = {
        "execution": key.execution_id,
        "route": key.route,
        "stage": key.stage,
        "message_id": key.message_id,
        "what": what,
    }
    for name, value in expected.items():
        if provenance.get(name) != value:
            raise StageStorageError(
                key.message_id,
                f"object {str(key)!r} says that its {name} is {str(provenance.get(name))[:80]!r}, expected {value!r}: it "
                "was moved, or its metadata was changed",
            )
    return provenance
