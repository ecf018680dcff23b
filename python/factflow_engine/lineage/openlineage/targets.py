"""Targets of OpenLineage events: a file that lines are appended to, and an HTTP endpoint.

Kept separate from the announcer, which decides when to send and what to do about a failure. URLs come from
configurations and are untrusted: a user and a password in one are refused, since URLs are shown.
"""

import fcntl
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import trio

from factflow_engine.error_texts import describe
from factflow_engine.seams import Threads
from factflow_protocols import FactflowError

_LONGEST_ANSWER: Final = 2_048
_MEANING_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same event may be accepted."""

_LOCKED_SECONDS: Final = 1.0
"""Time for which a file is waited for that another process has locked."""

INSTALL: Final = "python -m pip install 'factflow-engine[http]'"


class TargetError(FactflowError):
    """Failure to send events.

    Attributes:
        sent: Number of events of the call that were sent before.
        is_final: True if the next event would never be accepted.
        retry_after: Seconds after which the endpoint asks to be tried again; None if it does not.
    """

    def __init__(
        self, problem: str, *, sent: int = 0, is_final: bool = False, retry_after: float | None = None
    ) -> None:
        self.sent = sent
        self.is_final = is_final
        self.retry_after = retry_after
        super().__init__(problem)


class Target(Protocol):
    """Taker of events."""

    async def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Send events in their order.

        Raises:
            TargetError: Not all were sent.

        Cancellation: some of them may have been sent.
        """
        ...


def check_url(url: str) -> str | None:
    """Return what is wrong with a target's URL, and what to write instead; None if nothing is."""
    forms = "write file://./events.jsonl, file:///var/log/events.jsonl or https://host/api/v1/lineage"
    try:
        parts = urlsplit(url)
        port_is_wrong = parts.port == 0
    except ValueError:
        return f"cannot be read; {forms}"
    if parts.scheme not in ("file", "http", "https") or "://" not in url:
        return f"names neither a file nor an endpoint; {forms}"
    if not url.isprintable() or " " in url:
        return "has a space or a control character; write %20 for a space"
    if "#" in url:
        return "has a '#'; write %23"
    if parts.scheme == "file":
        if parts.netloc not in ("", ".") or parts.query:
            return "is no local file; write file://./events.jsonl or file:///var/log/events.jsonl"
        name = unquote(parts.path)
        return "names no file; " + forms if name.endswith("/") or not name or "\0" in name else None
    if "@" in parts.netloc:
        return "has a user or a password in it, and URLs are shown; write api_key: ${NAME} for a token"
    return f"names no host; {forms}" if not parts.hostname or port_is_wrong else None


def open_target(url: str, *, directory: Path, api_key: str | None, timeout_seconds: float, threads: Threads) -> Target:
    """Return the target that a URL names; nothing is opened yet.

    Args:
        url: A URL that `check_url` finds nothing wrong with.
        directory: Folder that relative paths start from.
        api_key: Token for the endpoint, sent as `Authorization: Bearer`.
        timeout_seconds: Longest wait for one answer.
        threads: Runner of blocking code.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.path)
        return FileTarget(directory / path.lstrip("/") if parts.netloc == "." else Path(path), threads=threads)
    return HttpTarget(url, api_key=api_key, timeout_seconds=timeout_seconds, threads=threads)


class FileTarget:
    """A file of JSON lines, which several processes may append to.

    All lines of a call are appended or none: under a lock, to the end of the file, and what was written is taken back if
    the disk is full. A torn last line, as a power cut leaves it, is ended first.
    """

    def __init__(self, path: Path, *, threads: Threads) -> None:
        self._path = path
        self._threads = threads

    async def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """See `Target.send`. Cancellation: waits for the disk, but for no other process; all events were sent or none."""
        lines = b"".join(_json(event) + b"\n" for event in events)
        try:
            with trio.move_on_after(_LOCKED_SECONDS):
                while not await self._threads.run(lambda: self._append(lines)):  # noqa: ASYNC110 - its holder tells nobody
                    await trio.sleep(0.01)
                return
        except OSError as error:
            raise TargetError(f"file {str(self._path)!r}: {error.strerror or error}") from error
        raise TargetError(f"file {str(self._path)!r}: another process keeps it locked")

    def _append(self, lines: bytes) -> bool:
        """Append the lines; return False if another process has locked the file."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            end = os.fstat(descriptor).st_size
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                lines = b"\n" + lines
            try:
                written = 0
                while written < len(lines):
                    written += os.write(descriptor, lines[written:])
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            return True
        finally:
            os.close(descriptor)


class HttpTarget:
    """An endpoint that takes one event a request, as Marquez and its kin do at `/api/v1/lineage`."""

    def __init__(self, url: str, *, api_key: str | None, timeout_seconds: float, threads: Threads) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._token_is_sendable = api_key is None or (api_key.isascii() and api_key.isprintable())
        self._timeout_seconds = timeout_seconds
        self._threads = threads

    async def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """See `Target.send`. Redirects are not followed: they would carry the token elsewhere."""
        if not self._token_is_sendable:
            raise TargetError(
                "api_key has a character that no header can have; expected printable ASCII", is_final=True
            )
        try:
            httpx: Any = await self._threads.run(lambda: importlib.import_module("httpx"))
        except ImportError as error:
            raise TargetError(f"events are sent by httpx, which is not installed: {INSTALL}", is_final=True) from error
        sent = 0
        try:
            async with httpx.AsyncClient(timeout=self._timeout_seconds, follow_redirects=False) as client:
                for event in events:
                    await self._post(client, event)
                    sent += 1
        except TargetError as error:
            error.sent = sent
            raise
        except (httpx.HTTPError, OSError) as error:
            raise TargetError(f"{self._url}: {describe(error)}", sent=sent) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise TargetError(f"{self._url}: {describe(error)}", sent=sent, is_final=True) from error

    async def _post(self, client: Any, event: Mapping[str, Any]) -> None:
        async with client.stream("POST", self._url, content=_json(event), headers=self._headers) as response:
            if 200 <= response.status_code < 300:
                return
            said = await self._beginning(response)
            words = " ".join(said.decode("utf-8", "replace").split())[:200]
            raise TargetError(
                f"{self._url} answered {response.status_code}{f': {words}' if words else ''}",
                is_final=response.status_code not in _MEANING_LATER,
                retry_after=_seconds(response.headers.get("Retry-After")),
            )

    async def _beginning(self, response: Any) -> bytes:
        """Return the first bytes of an answer, and close the connection if there are more."""
        said = b""
        try:
            async for part in response.aiter_raw():
                if len(said) == _LONGEST_ANSWER:  # the client's generators end when they are exhausted
                    await response.aclose()
                said += part[: _LONGEST_ANSWER - len(said)]
        except Exception:
            if len(said) < _LONGEST_ANSWER:
                raise
        return said


def _json(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=True, separators=(",", ":")).encode()


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else None
