"""Messages as JSON text: what JSON has no word for is written as conditions write it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from factflow_protocols import Ext, Reject, Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def json_text(message: Any) -> str:
    """The message on one line.

    Bytes become `{"$bin": base64}`, timestamps `{"$timestamp": RFC 3339}`, extensions `{"$ext": [code, base64]}`.

    Raises:
        Reject: It holds NaN or an infinity, which JSON cannot say.
    """
    try:
        return json.dumps(_plain(message), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise Reject(f"the message cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Timestamp):
        return {"$timestamp": _rfc3339(value)}
    if isinstance(value, Ext):
        return {"$ext": [value.code, base64.b64encode(value.data).decode()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bin": base64.b64encode(value).decode()}
    return value


def _rfc3339(value: Timestamp) -> str:
    try:
        whole = (_EPOCH + timedelta(seconds=value.seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError as error:
        raise ValueError(f"{value} is outside the years 1 to 9999") from error
    fraction = f".{value.nanoseconds:09d}".rstrip("0") if value.nanoseconds else ""
    return f"{whole.rjust(19, '0')}{fraction}Z"
