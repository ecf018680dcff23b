"""Decisions of `http_request` that need no network: URLs from messages, the meaning of statuses, bounded bodies.

Kept separate from the adapter so that each can be tested by itself.
"""

import os
import re
import socket
import ssl
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote

from factflow_engine.field_paths import FieldPath, kind_of
from factflow_protocols import FactflowError, Overloaded, Reject, RetryLater

SCHEMES: Final = ("http", "https")
ANY_HOST: Final = "*"
LONGEST_PLACEHOLDER: Final = 65_536

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
# Statuses of the 4xx family for which a later attempt may succeed.
_TRANSIENT: Final = frozenset({408, 425, 429})
_BACK_OFF: Final = frozenset({429, 503})
SMALLEST_WIRE_BYTES: Final = 65_536
"""Bytes of a gzip body that are accepted whatever the bound of its content."""
MOST_MEMBERS: Final = 100_000
_PIECE_BYTES: Final = 4096
MOST_COOKIES: Final = 300
LONGEST_COOKIE: Final = 4096
_MOST_CAUSES: Final = 100

# No date and no sensible number is longer.
_LONGEST_RETRY_AFTER: Final = 100


class HttpStatusError(FactflowError):
    """HTTP status for which another attempt may succeed.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, where: str, status: int) -> None:
        self.status = status
        FactflowError.__init__(self, f"{where} answered {status}")  # whatever else a subclass is


class HttpOverloadedError(HttpStatusError, Overloaded):
    """HTTP status by which a server says that it has too much to do, without a time to come back."""


class HttpRetryAfter(RetryLater, Overloaded):
    """HTTP status by which a server says that it has too much to do, and when to come back: a deferral."""

    def __init__(self, where: str, status: int, delay_seconds: float) -> None:
        self.delay_seconds = self.retry_after = delay_seconds
        self.reason = f"{where} answered {status}"
        FactflowError.__init__(self, f"retry in {delay_seconds} s: {self.reason}")


class HttpTimeoutError(Overloaded, TimeoutError):
    """Exchange that took longer than the configuration allows."""

    def __init__(self, where: str, seconds: float) -> None:
        TimeoutError.__init__(self, f"{where} took longer than timeout_seconds ({seconds:g})")


class UrlTemplate:
    """A URL with `{field}` placeholders that are filled, percent-encoded, from a message.

    A template that is nothing but one placeholder takes the field's text as the whole URL.

    Attributes:
        message_decides_host: True if a message can influence which server is called.
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
        """Return the URL for this message.

        Raises:
            Reject: A field is missing or holds neither text nor number.
        """
        if self._whole:
            return _text(self._parts[1], message)
        return "".join(
            part if isinstance(part, str) else _segment(_text(part, message), part.text) for part in self._parts
        )


def check_origin(scheme: str, host: str, hosts: tuple[str, ...] | None) -> None:
    """Check that a server may be called.

    Args:
        scheme: Scheme of the URL, as parsed by the client: a second parser could read another host from the same text.
        host: Host of the URL, likewise.
        hosts: Hosts that may be called, in lower case; None if the configuration alone decided the host.

    Raises:
        Reject: It is not an http or https URL, or its host is not allowed.
    """
    if scheme not in SCHEMES or not host:
        raise Reject(f"the URL must be http or https with a host, its scheme is {scheme!r}, its host {host!r}")
    if hosts is not None and ANY_HOST not in hosts and host.lower() not in hosts:
        raise Reject(f"host {host!r} is not in allowed_hosts")


def judge(where: str, status: int, headers: Mapping[str, str], *, max_delay_seconds: float) -> None:
    """Return if the status is an answer; otherwise raise what the engine should do with the message.

    Raises:
        HttpRetryAfter: 429 or 503 with Retry-After.
        HttpOverloadedError: 429 or 503 without: another attempt may succeed.
        HttpStatusError: 408, 425 or another 5xx: another attempt may succeed.
        Reject: Any other status except 2xx.
    """
    if 200 <= status < 300:
        return
    if status in _BACK_OFF:
        delay = retry_after_seconds(headers)
        if delay is not None:
            raise HttpRetryAfter(where, status, min(delay, max_delay_seconds))
        raise HttpOverloadedError(where, status)
    if status in _TRANSIENT or status >= 500:
        raise HttpStatusError(where, status)
    hint = "; it redirects: correct the url or set redirects: follow" if 300 <= status < 400 else ""
    raise Reject(f"{where} answered {status}{hint}")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the delay that a response asks for; None if there is none that can be read.

    A date is taken relative to the response's own Date, so that no local clock is needed.
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
    except (TypeError, ValueError):  # not a date, or one with a time zone and one without
        return None


class BoundedBody:
    """Buffer of a response's body that decompresses gzip of any number of members and never exceeds its bound."""

    __slots__ = ("_body", "_inflate", "_is_gzip", "_limit", "_members", "_received", "_where")

    def __init__(self, where: str, encoding: str, limit: int) -> None:
        self._where = where
        self._limit = limit
        self._body = bytearray()
        self._received = 0
        self._is_gzip = encoding == "gzip"
        self._members = 0
        self._inflate: Any = None  # the member that is being decompressed
        if not self._is_gzip and encoding not in {"", "identity"}:
            raise Reject(f"{where} answered in content-encoding {encoding!r}, only gzip was asked for")

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they arrive from the network.

        Raises:
            Reject: The body is longer than the bound, before or after decompression, or is not encoded as its header
            says.
        """
        self._received += len(chunk)
        # One byte more than the room left detects an oversized body without inflating all of it.
        before = len(self._body)
        room = self._limit - before + 1
        if self._is_gzip:
            for start in range(
                0, len(chunk), _PIECE_BYTES
            ):  # zlib copies the input that follows a member, for each member
                self._decompress(chunk[start : start + _PIECE_BYTES], room - (len(self._body) - before))
        else:
            self._body += chunk[:room]
        if len(self._body) > self._limit:
            raise Reject(f"{self._where} answered with more than max_response_bytes ({self._limit})")
        # Input that does not grow when it is decompressed: empty members, or empty blocks.
        if self._is_gzip and self._received > 2 * self._limit + SMALLEST_WIRE_BYTES:
            raise Reject(f"{self._where} answered with a gzip body far longer than its content")

    def finish(self) -> bytes:
        """Return the body.

        Raises:
            Reject: The gzip body ends early.
        """
        if self._inflate is not None:
            raise Reject(f"{self._where} answered with a gzip body that ends early")
        return bytes(self._body)

    def _decompress(self, piece: bytes, room: int) -> None:
        try:
            while piece and room > 0:
                if self._inflate is None:
                    piece = piece.lstrip(b"\0") if self._members else piece  # padding, which may follow a member
                    if not piece:
                        return
                    self._members += 1
                    if self._members > MOST_MEMBERS:
                        raise Reject(f"{self._where} answered with more than {MOST_MEMBERS} gzip members")
                    self._inflate = zlib.decompressobj(wbits=31)
                data = self._inflate.decompress(piece, room)
                self._body += data
                room -= len(data)
                piece = b""
                if self._inflate.eof:
                    piece, self._inflate = self._inflate.unused_data, None
        except zlib.error as error:
            raise Reject(f"{self._where} answered with a damaged gzip body: {error}") from error


class NoCookies(CookieJar):
    """A jar that keeps nothing."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Do nothing."""


class FewCookies(DefaultCookiePolicy):
    """A policy that keeps a jar small, whatever servers send: further cookies are ignored."""

    def __init__(self) -> None:
        super().__init__()
        self.jar = CookieJar(self)

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        """True if the jar may take this cookie."""
        size = len(cookie.name) + len(cookie.value or "")
        return size <= LONGEST_COOKIE and len(self.jar) < MOST_COOKIES and super().set_ok(cookie, request)


def _text(part: FieldPath | str, message: Any) -> str:
    if isinstance(part, str):
        return part
    value = part.require(message)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Reject(f"field {part.text!r} must hold text or a number for the url, it holds {kind_of(value)}")


def _segment(text: str, field: str) -> str:
    if len(text) > LONGEST_PLACEHOLDER:
        raise Reject(
            f"field {field!r} is too long for a url: {len(text)} characters, {LONGEST_PLACEHOLDER} may stand there"
        )
    if text in {".", ".."}:  # a client would resolve these away, and the path with them
        raise Reject(f"field {field!r} holds {text!r}, which would change the url's path")
    return quote(text, safe="")


def connection_problem(error: BaseException) -> str:
    """Return the system's reason for a broken exchange, such as `connection refused`, or else the error's type.

    The texts of the client's errors are not used: they may contain the whole URL or a header.
    """
    pending: list[BaseException | None] = [error]
    for _ in range(_MOST_CAUSES):
        one = pending.pop() if pending else None
        if one is None:
            continue
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {one.verify_message}"
        if isinstance(one, ssl.SSLError) and one.reason:
            return f"TLS failed: {one.reason}"
        if isinstance(one, socket.gaierror):
            return f"host not found: {one.strerror}"
        if isinstance(one, OSError) and one.errno is not None:
            return os.strerror(one.errno).lower()
        pending += [one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            pending += reversed(one.exceptions)
    return type(error).__name__
