"""Message values in test files: YAML has no bytes, so values that it cannot say are written as maps with one marked key.

`{$bytes: aGVsbG8=}` is bytes in base64, `{$timestamp: [seconds, nanoseconds]}` a time, `{$ext: [code, base64]}` an
extension, and `{$map: {...}}` a map that would otherwise be taken for one of these. Kept separate because what is written,
read and compared must agree.
"""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from factflow_protocols import Ext, FactflowError, Timestamp

_BYTES: Final = "$bytes"
_TIMESTAMP: Final = "$timestamp"
_EXT: Final = "$ext"
_MAP: Final = "$map"
_MARKS: Final = frozenset({_BYTES, _TIMESTAMP, _EXT, _MAP})


class PayloadError(FactflowError, ValueError):
    """A marked value that cannot be read: the text says what was expected and what was given."""


def to_written(value: Any) -> Any:
    """Return a message value as plain data that YAML can say."""
    match value:
        case bytes():
            return {_BYTES: base64.b64encode(value).decode()}
        case Timestamp():
            return {_TIMESTAMP: [value.seconds, value.nanoseconds]}
        case Ext():
            return {_EXT: [value.code, base64.b64encode(value.data).decode()]}
        case Mapping():
            written = {key: to_written(item) for key, item in value.items()}
            return {_MAP: written} if len(written) == 1 and not _MARKS.isdisjoint(written) else written
        case list() | tuple():
            return [to_written(item) for item in value]
        case _:
            return value


def from_written(value: Any) -> Any:
    """Return the message value that plain data stands for.

    Raises:
        PayloadError: A marked value is malformed.
    """
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in _MARKS:
                return _marked(key, inner)
        return {key: from_written(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [from_written(item) for item in value]
    return value


def _marked(mark: str, inner: Any) -> Any:
    if mark == _MAP and isinstance(inner, Mapping):
        return {key: from_written(item) for key, item in inner.items()}
    if mark == _BYTES and isinstance(inner, str):
        return _decoded(mark, inner)
    if mark in {_TIMESTAMP, _EXT} and isinstance(inner, Sequence) and len(inner) == 2:
        first, second = inner
        if mark == _TIMESTAMP and type(first) is int and type(second) is int:
            return Timestamp(first, second)
        if mark == _EXT and type(first) is int and isinstance(second, str):
            return Ext(first, _decoded(mark, second))
    expected = {
        _MAP: "a map",
        _BYTES: "a text in base64",
        _TIMESTAMP: "[seconds, nanoseconds]",
        _EXT: "[code, a text in base64]",
    }[mark]
    raise PayloadError(
        f"{mark}: expected {expected}, got {inner!r}; a map with such a key is written {{$map: {{...}}}}"
    )


def _decoded(mark: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise PayloadError(f"{mark}: expected base64, got {text[:40]!r}: {error}") from None


def is_same(one: Any, other: Any) -> bool:
    """True if two message values are equal as conditions see it: numbers are one kind, booleans are none."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, (Timestamp, Ext)) or isinstance(other, (Timestamp, Ext)):
        return type(one) is type(other) and one == other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(item, other[key]) for key, item in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and bool(one == other)


def is_within(part: Any, whole: Any) -> bool:
    """True if a value contains another: each entry of its maps is contained, its lists are as long, all else is the same."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and is_within(item, whole[key]) for key, item in part.items())
    if isinstance(part, (list, tuple)) and isinstance(whole, (list, tuple)):
        return len(part) == len(whole) and all(map(is_within, part, whole))
    return is_same(part, whole)
