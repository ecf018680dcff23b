"""Decisions of `http_request` that need no network: URLs from messages, what a status means, bounded bodies.

Kept separate from the adapter so that each can be tested by itself.
"""

import re
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

from factflow_engine.adapters.builtin._fields import FieldPath
from factflow_protocols import FactflowError, Reject, RetryLater

SCHEMES: Final = ("http", "https")
ANY_HOST: Final = "*"
LONGEST_PLACEHOLDER: Final = 65_536

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
# Statuses of the 4xx family that may pass if the same request is sent again.
_TRANSIENT: Final = frozenset({408, 425, 429})
_BACK_OFF: Final = frozenset({429, 503})
# No date and no sensible number is longer.
_LONGEST_RETRY_AFTER: Final = 100


class HttpStatusError(FactflowError):
    """The server answered with a status that another attempt may not meet.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, where: str, status: int) -> None:
        self.status = status
        super().__init__(f"{where} answered {status}")


class UrlTemplate:
    """A URL with `{field}` placeholders that are filled, percent-encoded, from a message.

    A template that is nothing but one placeholder takes the field's text as the whole URL.

    Attributes:
        message_decides_host: True if a message has a say in which server is called.
    """

    __slots__ = ("_parts", "_whole", "message_decides_host")

    def __init__(self, template: str) -> None:
        pieces = _PLACEHOLDER.split(template)
        if any("{" in piece or "}" in piece for piece in pieces[::2]):
            raise ValueError(f"url {template!r} has a brace without its partner; write placeholders as {{field}}")
        # literal, field, literal, field, ..., literal
        self._parts = tuple(FieldPath(piece) if index % 2 else piece for index, piece in enumerate(pieces))
        self._whole = len(pieces) == 3 and not pieces[0] and not pieces[2]
        start = pieces[0]
        authority = re.match(r"https?://[^/?#]+[/?#]", start)
        self.message_decides_host = len(pieces) > 1 and authority is None
        if not self._whole and not re.match(r"https?://", start):
            raise ValueError(f"url {template!r} must begin with http:// or https://, or be one placeholder")

    def fill(self, message: Any) -> str:
        """The URL for this message.

        Raises:
            Reject: A field is missing or holds neither text nor number.
        """
        if self._whole:
            return _text(self._parts[1], message)
        return "".join(
            part if isinstance(part, str) else _segment(_text(part, message), part.text) for part in self._parts
        )


def check_origin(scheme: str, host: str, hosts: tuple[str, ...] | None) -> None:
    """That a server may be called.

    Args:
        scheme: Of the URL, as the client parsed it: a second parser could read another host from the same text.
        host: Of the URL, likewise.
        hosts: Hosts that may be called, in lower case; None if the configuration alone decided.

    Raises:
        Reject: It is no http or https URL, or its host is not allowed.
    """
    if scheme not in SCHEMES or not host:
        raise Reject(f"the URL must be http or https with a host, its scheme is {scheme!r}, its host {host!r}")
    if hosts is not None and ANY_HOST not in hosts and host.lower() not in hosts:
        raise Reject(f"host {host!r} is not in allowed_hosts")


def judge(where: str, status: int, headers: Mapping[str, str], *, max_delay_seconds: float) -> None:
    """Return if the status is an answer; say otherwise what becomes of the message.

    Raises:
        RetryLater: 429 or 503 with Retry-After.
        HttpStatusError: 408, 425, 429 or 5xx: another attempt may succeed.
        Reject: Any other status but 2xx.
    """
    if 200 <= status < 300:
        return
    if status in _BACK_OFF:
        delay = retry_after_seconds(headers)
        if delay is not None:
            raise RetryLater(min(delay, max_delay_seconds), f"{where} answered {status}")
    if status in _TRANSIENT or status >= 500:
        raise HttpStatusError(where, status)
    hint = "; it redirects: correct the url or set redirects: follow" if 300 <= status < 400 else ""
    raise Reject(f"{where} answered {status}{hint}")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The delay that a response asks for; None if it asks for none that can be read.

    A date is taken relative to the response's own Date, so that no clock of ours is in play.
    """
    value = headers.get("retry-after", "").strip()
    if len(value) > _LONGEST_RETRY_AFTER:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):  # no date, or one with a time zone and one without
        return None


class BoundedBody:
    """Collects a response's body, decompressing gzip, and never holds more than the bound."""

    __slots__ = ("_body", "_fed", "_inflate", "_limit", "_where")

    def __init__(self, where: str, encoding: str, limit: int) -> None:
        self._where = where
        self._limit = limit
        self._body = bytearray()
        self._fed = False
        self._inflate: Any = None
        if encoding == "gzip":
            self._inflate = zlib.decompressobj(wbits=31)
        elif encoding not in {"", "identity"}:
            raise Reject(f"{where} answered in content-encoding {encoding!r}, only gzip was asked for")

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they came over the wire.

        Raises:
            Reject: The body is longer than the bound, or not what its encoding says.
        """
        self._fed = self._fed or bool(chunk)
        try:
            # One byte more than there is room for tells an oversized body without inflating all of it.
            room = self._limit - len(self._body) + 1
            self._body += chunk[:room] if self._inflate is None else self._inflate.decompress(chunk, room)
        except zlib.error as error:
            raise Reject(f"{self._where} answered with a damaged gzip body: {error}") from error
        if len(self._body) > self._limit:
            raise Reject(f"{self._where} answered with more than max_response_bytes ({self._limit})")

    def finish(self) -> bytes:
        """The body.

        Raises:
            Reject: The gzip body ends early.
        """
        if self._inflate is not None and self._fed and not self._inflate.eof:
            raise Reject(f"{self._where} answered with a gzip body that ends early")
        return bytes(self._body)


def _text(part: FieldPath | str, message: Any) -> str:
    if isinstance(part, str):
        return part
    value = part.require(message)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Reject(f"field {part.text!r} must hold text or a number for the url, it holds a {type(value).__name__}")


def _segment(text: str, field: str) -> str:
    if len(text) > LONGEST_PLACEHOLDER:
        raise Reject(
            f"field {field!r} is too long for a url: {len(text)} characters, {LONGEST_PLACEHOLDER} may stand there"
        )
    if text in {".", ".."}:  # a client would resolve these away, and the path with them
        raise Reject(f"field {field!r} holds {text!r}, which would change the url's path")
    return quote(text, safe="")
