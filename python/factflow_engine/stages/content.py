"""The bytes of a stored object, and the message read back from them.

A message is stored as the msgpack bytes that the queues carry: nothing is encoded for it, every value keeps its type
(bytes, timestamps, whole numbers of 64 bits, which JSON lacks or readers of JSON round), and a replay publishes the same
bytes, so that the ids that derive from them are the same. A `content_field` is stored as it is, so that other programs
can read the file; what else the message holds goes into the metadata, as the *envelope*, with its headers and its key.

Kept separate from the writer because replay reads what is written here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from factflow_engine.errors import StageStorageError
from factflow_engine.field_paths import MISSING, FieldPath, kind_of
from factflow_engine.frames import pack, unpack
from factflow_engine.stages.keys import extension_of
from factflow_protocols import FactflowError, PipelineContext

MESSAGE_TYPE: Final = "application/vnd.msgpack"

MAX_ENVELOPE_BYTES: Final = 16_384
"""Largest envelope: it is metadata, which object stores keep in headers or small files."""

ENVELOPE: Final = "envelope"
"""Name of the envelope in the metadata; absent if there is nothing in it."""

ENVELOPE_PROBLEM: Final = "envelope_left_out"
"""Name of the reason, in the provenance, why an object has no envelope although it needs one."""

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "csv": "text/csv",
        "gif": "image/gif",
        "gz": "application/gzip",
        "htm": "text/html",
        "html": "text/html",
        "jpeg": "image/jpeg",
        "jpg": "image/jpeg",
        "json": "application/json",
        "jsonl": "application/jsonl",
        "md": "text/markdown",
        "msgpack": MESSAGE_TYPE,
        "parquet": "application/vnd.apache.parquet",
        "pdf": "application/pdf",
        "png": "image/png",
        "svg": "image/svg+xml",
        "txt": "text/plain",
        "webp": "image/webp",
        "xhtml": "application/xhtml+xml",
        "xml": "application/xml",
        "yaml": "application/yaml",
        "zip": "application/zip",
    }
)
"""Media type by extension. A table of our own: the system's differs from machine to machine."""


class Content(NamedTuple):
    """Object of one message, before it is stored.

    Attributes:
        data: Bytes of the object.
        content_type: Its media type.
        envelope: Packed key, headers and rest of the message, in base64; None if the object is all there is.
        problem: Reason why there is no envelope although the object is not all there is; None otherwise.
    """

    data: bytes
    content_type: str
    envelope: str | None
    problem: str | None


class ContentRule:
    """Rule by which a stage's messages become objects.

    Attributes:
        extension: File extension of the objects, without its first dot; empty for none.
    """

    def __init__(
        self,
        *,
        content_field: str | None = None,
        extension: str | None = None,
        content_type: str | None = None,
        redacted: Callable[[str], str] | None = None,
    ) -> None:
        """Prepare.

        Args:
            content_field: Path of the field that is stored; None: the message.
            extension: File extension; None: `msgpack` for a message, else none.
            content_type: Media type; None: by the extension, else by the value.
            redacted: Removes secrets of the configuration from a text; None if it has none.
        """
        self._path = None if content_field is None else FieldPath(content_field)
        self.extension: Final = extension_of(extension, content_field)
        self._content_type = content_type or MEDIA_TYPES.get(self.extension.rpartition(".")[2].lower())
        self._redacted = redacted

    def content_of(self, context: PipelineContext) -> Content:
        """Return what is stored of a message.

        Raises:
            StageStorageError: Its content field is missing, or neither bytes nor text.
        """
        key, headers, path = context.key, dict(context.headers), self._path
        if path is None:
            envelope, problem = (None, None) if key is None and not headers else self._envelope(key, headers, None)
            return Content(context.payload, self._content_type or MESSAGE_TYPE, envelope, problem)
        message: Any = unpack(context.payload)  # of our own: the stage may need the context's
        value = path.get(message)
        if isinstance(value, str):
            data, content_type = value.encode(), self._content_type or "text/plain"
            if content_type.startswith("text/") and "charset" not in content_type:
                content_type += "; charset=utf-8"
        elif isinstance(value, bytes):
            data, content_type = value, self._content_type or "application/octet-stream"
        else:
            problem = "the message lacks it" if value is MISSING else f"expected bytes or a text, got {kind_of(value)}"
            raise StageStorageError(context.message_id, problem, field="content_field", source=path.text)
        path.set(message, None)
        rest = {"path": path.text, "text": isinstance(value, str), "message": message}
        envelope, problem = self._envelope(key, headers, rest)
        return Content(data, content_type, envelope, problem)

    def _envelope(
        self, key: str | None, headers: dict[str, Any], rest: dict[str, Any] | None
    ) -> tuple[str | None, str | None]:
        if self._redacted is not None and any(self._redacted(text) != text for text in _texts([key, headers, rest])):
            return None, "it holds a value of the environment"
        packed = pack([key, headers, rest])
        if len(packed) > MAX_ENVELOPE_BYTES:
            return None, f"it has {len(packed):,} bytes, and at most {MAX_ENVELOPE_BYTES:,} fit"
        return base64.b64encode(packed).decode(), None


class StoredContent(NamedTuple):
    """A message read back from its object.

    Attributes:
        payload: The message as msgpack bytes.
        headers: Its headers.
        key: Its key.
    """

    payload: bytes
    headers: dict[str, Any]
    key: str | None


def message_of(message_id: str, data: bytes, custom: Mapping[str, Any]) -> StoredContent:
    """Return the message that an object was written from, exactly as it was.

    Args:
        message_id: Id of the message, for errors.
        data: Bytes of the object.
        custom: Its custom metadata.

    Raises:
        StageStorageError: The metadata does not hold what the object lacks, or is damaged.
    """
    provenance = custom.get("provenance")
    if isinstance(provenance, Mapping) and provenance.get(ENVELOPE_PROBLEM):
        raise StageStorageError(
            message_id,
            f"the object is not the whole message, and the rest was not stored: {provenance[ENVELOPE_PROBLEM]}; "
            "store the message itself (no content_field), or less beside it",
        )
    envelope = custom.get(ENVELOPE)
    if envelope is None:
        return StoredContent(data, {}, None)
    try:
        unpacked: Any = unpack(base64.b64decode(str(envelope), validate=True))
        key, headers, rest = unpacked
        if not isinstance(key, (str, type(None))) or not isinstance(headers, dict) or not all(map(_is_text, headers)):
            raise ValueError("a key or the name of a header is no text")
        if rest is None:
            return StoredContent(data, dict(headers), key)
        message = rest["message"]
        FieldPath(rest["path"]).set(message, data.decode() if rest["text"] else data)
        return StoredContent(pack(message), dict(headers), key)
    except (binascii.Error, FactflowError, KeyError, TypeError, ValueError) as error:
        raise StageStorageError(message_id, f"its envelope is damaged: {error}") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(key)
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
