"""Messages as JSON text; values that JSON lacks are written as in conditions."""

import base64
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from factflow_engine.frames import pack
from factflow_protocols import Ext, Reject, Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INFINITIES: Final = (pack(math.inf), pack(-math.inf))


def json_text(message: Any) -> str:
    """Return the message as JSON, on one line.

    Bytes become `{"$bin": base64}`, timestamps `{"$timestamp": RFC 3339}`, extensions `{"$ext": [code, base64]}`.

    Raises:
        Reject: The message holds NaN or an infinity, which JSON lacks.
    """
    try:
        return json.dumps(_plain(message), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise Reject(f"the message cannot be written as JSON: {error}") from error


def json_message(text: str) -> Any:
    """Return the message in a JSON text; stricter than Python's own parser.

    Raises:
        ValueError: It is not JSON, a map has a key twice, or a message cannot carry the value.
        RecursionError: It is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError:
        raise
    except ValueError:
        json.loads(text, parse_int=_convertible)  # Python's text on long integers says nothing of use here
        raise
    packed = pack(value)
    if any(infinity in packed for infinity in _INFINITIES):  # or the same bytes in a text: look closer
        json.loads(text, parse_float=_finite)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Timestamp):
        return {"$timestamp": rfc3339(value)}
    if isinstance(value, Ext):
        return {"$ext": [value.code, base64.b64encode(value.data).decode()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bin": base64.b64encode(value).decode()}
    return value


def rfc3339(value: Timestamp) -> str:
    """Return the time in UTC, formatted by RFC 3339.

    Raises:
        ValueError: It is outside the years 1 to 9999.
    """
    try:
        whole = (_EPOCH + timedelta(seconds=value.seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError as error:
        raise ValueError(f"{value} is outside the years 1 to 9999") from error
    fraction = f".{value.nanoseconds:09d}".rstrip("0") if value.nanoseconds else ""
    return f"{whole.rjust(19, '0')}{fraction}Z"


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text:.40} is too large for a float, whose range ends at 1.8e308")
    return value


def _convertible(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(
            f"an integer of {len(text.lstrip('-')):,} digits does not fit into 64 bits; write it as a text"
        ) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name!r:.200} comes twice")
            seen.add(name)
    return value
