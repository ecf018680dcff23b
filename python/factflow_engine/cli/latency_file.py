"""The file of `factflow run --record-latency`: a line of JSON for each call of an adapter.

Kept separate from the run because it writes beside it: calls are kept in a bounded list, and a task of its own hands them
to a thread. A file that cannot be written, or is too slow, costs lines and not messages; the end of the run says so.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TextIO

import trio

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.text import plural
from factflow_engine.seams import Threads, TrioThreads

_MOST_KEPT: Final = 100_000
_SECONDS: Final = 0.25

Call = tuple[str, str, int, int, int, bool]


class LatencyFile:
    """Taker of calls (`CallRecords`), and their writer.

    Attributes:
        lost: Number of calls that were not written.
        problem: Why the file could not be written; None if it could.
    """

    def __init__(self, path: Path, *, threads: Threads | None = None) -> None:
        """Open the file, and empty it; `threads` run what writes, by default one of their own.

        Raises:
            InvalidInputError: It cannot be written.
        """
        self._path = path
        self._threads = threads or TrioThreads(1)
        self._kept: list[Call] = []
        self._batch: list[Call] = []  # taken from there, for the thread
        self.lost = 0
        self.problem: str | None = None
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"--record-latency {path}: {error.strerror or error}") from error

    def ended(self, route: str, stage: str, start_ns: int, duration_ns: int, in_flight: int, dropped: bool) -> None:  # noqa: FBT001 - as the protocol has it
        """See `CallRecords`; does not block."""
        if self.problem is None and len(self._kept) < _MOST_KEPT:
            self._kept.append((route, stage, start_ns, duration_ns, in_flight, dropped))
        else:
            self.lost += 1

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write in this block what is recorded meanwhile, and all of it at its end, whatever that was."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_on)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._write()  # what a cancellation kept from being handed to a thread
            self._batch, self._kept = self._kept, []
            self._write()
            self._close()

    async def _write_on(self) -> None:
        while True:
            await trio.sleep(_SECONDS)
            self._batch, self._kept = self._kept, []
            await self._threads.run(self._write)  # a cancellation waits for it: nobody else writes meanwhile

    def _write(self) -> None:
        """Write the batch, once."""
        calls, self._batch = self._batch, []
        if self.problem is None:
            try:
                self._file.write("".join(map(_line, calls)))
                self._file.flush()
            except OSError as error:
                self._fail(error)
            else:
                return
        self.lost += len(calls)

    def _close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.problem is None:
            self.problem = error.strerror or os.strerror(error.errno or 0)

    @property
    def notice(self) -> str | None:
        """Problem in a line; None if every call was written."""
        if not self.lost and self.problem is None:
            return None
        why = "they came faster than they could be written" if self.problem is None else self.problem
        return f"--record-latency {self._path}: {plural(self.lost, 'call')} not recorded: {why}"


def _line(call: Call) -> str:
    route, stage, start_ns, duration_ns, in_flight, dropped = call
    entry = {
        "start_ns": start_ns,
        "duration_ns": duration_ns,
        "in_flight": in_flight,
        "dropped": dropped,
        "route": route,
        "stage": stage,
    }
    return json.dumps(entry) + "\n"
