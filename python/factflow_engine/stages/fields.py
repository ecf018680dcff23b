"""Declared metadata of stored objects: read from messages, checked with JSON Schema.

Kept separate from the writer because it knows messages and no store, and from the configuration's models because an
adapter's configuration declares metadata, too.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias

from factflow_engine.errors import StageStorageError
from factflow_engine.native import FieldPath
from factflow_protocols import Ext, Timestamp

FieldType: TypeAlias = Literal["any", "string", "integer", "number", "boolean", "list", "map"]
"""Type of a declared field."""

FIELD_TYPES: Final[Mapping[FieldType, str | None]] = MappingProxyType(
    {
        "any": None,
        "string": "string",
        "integer": "integer",
        "number": "number",
        "boolean": "boolean",
        "list": "array",
        "map": "object",
    }
)
"""Type of a field to the type in JSON Schema."""

RESERVED_NAMES: Final = frozenset({"provenance", "envelope"})
"""Names that the engine's own metadata has."""

_NS: Final = 1_000_000_000


class DeclaredField(Protocol):
    """Declaration of one field; see `StorageMetadataField`."""

    @property
    def name(self) -> str:
        """Name in the metadata."""
        ...

    @property
    def source(self) -> str | None:
        """Path of the message field; None: the name."""
        ...

    @property
    def type(self) -> FieldType:
        """Type that its values must have."""
        ...

    @property
    def required(self) -> bool:
        """True if a message without it cannot be stored."""
        ...

    @property
    def default(self) -> str | int | float | bool | None:
        """Value for messages without it; None: none."""
        ...

    @property
    def description(self) -> str:
        """Description for people."""
        ...


class DeclaredMetadata:
    """The declared fields of one stage's objects.

    Attributes:
        schema: JSON Schema (draft 2020-12) of the fields, which allows others.
    """

    def __init__(self, fields: Iterable[DeclaredField], *, redacted: Callable[[str], str] | None = None) -> None:
        """Prepare.

        Args:
            fields: The declarations; of two with one name the later counts.
            redacted: Removes secrets of the configuration from a text; None if it has none.
        """
        self._fields = tuple({field.name: field for field in fields}.values())
        self._paths = tuple(FieldPath(field.source or field.name) for field in self._fields)
        self._redacted = redacted
        self.schema: Final = schema_of(self._fields)
        # Imported late: only stages with declared fields need it.
        jsonschema = importlib.import_module("jsonschema") if self._fields else None
        self._validator: Any = None if jsonschema is None else jsonschema.Draft202012Validator(self.schema)

    def of(self, payload: bytes, message_id: str) -> dict[str, Any]:
        """Return the fields of a message, given as msgpack bytes; absent optional ones are left out.

        Raises:
            StageStorageError: A required field is missing, or a value is of another type or cannot be written as JSON.
        """
        values: dict[str, Any] = {}
        for field, path in zip(self._fields, self._paths, strict=True):
            source = field.source or field.name
            value: Any = path.value(payload)
            if value is None:
                value = field.default
            if value is None:
                if field.required:
                    raise StageStorageError(message_id, "the message lacks it", field=field.name, source=source)
                continue
            try:
                values[field.name] = self._json(value)
            except ValueError as error:
                raise StageStorageError(message_id, str(error), field=field.name, source=source) from None
        if self._validator is not None:
            for wrong in self._validator.iter_errors(values):
                field = next(each for each in self._fields if each.name == wrong.path[0])
                problem = f"expected {_named(field.type)}, got {_kind(values[field.name])}"
                raise StageStorageError(message_id, problem, field=field.name, source=field.source or field.name)
        return values

    def _json(self, value: Any) -> Any:
        """Return a message value as JSON has it.

        Raises:
            ValueError: JSON has no such value.
        """
        if isinstance(value, str):
            return value if self._redacted is None else self._redacted(value)
        if isinstance(value, Timestamp):
            return timestamp_text(value)
        if isinstance(value, (bytes, Ext)):
            raise ValueError(f"JSON cannot hold {_kind(value)}; name a field with text or numbers as its source")  # noqa: TRY004 - the value is at fault, not its type
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"JSON cannot hold {value}")
        if isinstance(value, list):
            return [self._json(each) for each in value]
        if isinstance(value, dict):
            return {self._json(key): self._json(each) for key, each in value.items()}
        return value


def schema_of(fields: Iterable[DeclaredField]) -> dict[str, Any]:
    """Return the JSON Schema of declared fields; other fields are allowed."""
    properties: dict[str, Any] = {}
    required = []
    for field in fields:
        kind = FIELD_TYPES[field.type]
        properties[field.name] = {} if kind is None else {"type": kind}
        if field.description:
            properties[field.name]["description"] = field.description
        if field.default is not None:
            properties[field.name]["default"] = field.default
        if field.required:
            required.append(field.name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
    }


def default_problem(kind: FieldType, default: object) -> str | None:
    """Return why a default is not of its field's type; None if it is."""
    fits = {
        "any": True,
        "string": isinstance(default, str),
        "integer": isinstance(default, int) and not isinstance(default, bool),
        "number": isinstance(default, (int, float)) and not isinstance(default, bool),
        "boolean": isinstance(default, bool),
    }.get(kind, False)
    return None if fits else f"the default is {_kind(default)}, and the field's type is {kind}"


def timestamp_text(time: Timestamp) -> str:
    """Return a time as RFC 3339 has it, in UTC, with nine digits; years that it cannot write as seconds."""
    try:
        whole = datetime.fromtimestamp(time.seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time.seconds}.{time.nanoseconds:09d}"
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time.nanoseconds:09d}Z"


def nanoseconds_text(time_ns: int) -> str:
    """Return nanoseconds since the epoch as `timestamp_text` does."""
    seconds, nanoseconds = divmod(time_ns, _NS)
    return timestamp_text(Timestamp(seconds, nanoseconds))


def _named(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _kind(value: object) -> str:
    names = {
        bool: "a boolean", int: "an integer", float: "a number", str: "a string", bytes: "bytes", list: "a list",
        dict: "a map", Timestamp: "a timestamp", Ext: "an extension value",
    }  # fmt: skip
    return names.get(type(value), f"a {type(value).__name__}")
