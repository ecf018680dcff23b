"""Recorder of one execution's lineage: takes rows from the native log in batches and gives them to a sink, out of band.

Kept separate from the loop, which only appends to the log. The rules, each with a test in tests/lineage/test_recorder.py:

- Nothing that a sink does reaches a message: a slow one lets the log fill up, and what does not fit is counted as lost;
  a failing one is asked again, with growing delays; rows that it refuses `MOST_ATTEMPTS` times are counted as lost.
- The time between a row and its write is bounded by `INTERVAL_SECONDS` and the sink's own time.
- At the end of the execution the rest is written, whatever cancels the execution, within a budget; the rest of that is
  counted as lost. So the sink's own reaction to a cancellation is all that may keep an execution beyond its budget.
- The first failure and the first loss of an execution are logged; the report has the numbers.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable

import trio

from factflow_engine.error_texts import bounded, describe
from factflow_engine.frames import pack, unpack
from factflow_engine.lineage.counts import LineageCounts
from factflow_engine.native import LineageLog, LineageRoute
from factflow_engine.seams import Clock
from factflow_protocols import LineageEntry, LineageSink, OutcomeEntry

logger = logging.getLogger("factflow_engine.lineage")

INTERVAL_SECONDS: Final = 0.1
"""Time for which rows are collected before they are written."""

IDLE_SECONDS: Final = 1.0
"""Time after which a recorder without rows looks for messages in flight, which are recorded as pending."""

BATCH_ROWS: Final = 16_384
"""Number of rows that is enough for one write."""

PART_ROWS: Final = 128
"""Rows that are packed before other tasks get their turn: some 25 microseconds."""

PART_BYTES: Final = 256 << 10
"""Bytes of payloads, for hashes and reasons, after which they get it, too: some 150 microseconds, and one row more."""

MOST_ATTEMPTS: Final = 8
"""Attempts to write a batch before its rows are given up."""

MOST_DELAY_SECONDS: Final = 5.0
"""Longest delay before a failed write is repeated."""

MOST_ERROR: Final = 500
"""Most characters of a failure that are kept."""

DIED: Final = (Exception, SystemExit, GeneratorExit)
"""Exceptions of a sink that count as a failed write."""

Routes = Sequence[tuple[str, Sequence[tuple[str, Any]], Sequence[str]]]
"""Routes as `LineageLog` takes them."""


@runtime_checkable
class PackedLineageSink(Protocol):
    """A sink that takes rows as the log packs them, without an object of Python's for each."""

    async def write_packed(self, parts: Sequence[bytes]) -> None:
        """Store all rows, or none of them; as `LineageSink.write` otherwise.

        Args:
            parts: Each a msgpack list of two lists: the fields of entries, and those of outcomes.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    """Extent of the recording, and its bounds.

    Attributes:
        sample_rate: Share of root messages whose families are recorded, 0 to 1.
        hash_payloads: True to record hashes of payloads.
        record_values: True to record what a message had where a condition did not hold.
        buffer_bytes: Most bytes of rows that wait for the sink.
        finish_seconds: Time for the last rows at the end.
        secrets: Texts that are never recorded, each with what is recorded instead.
    """

    sample_rate: float = 1.0
    hash_payloads: bool = False
    record_values: bool = True
    buffer_bytes: int = 64 << 20
    finish_seconds: float = 5.0
    secrets: Sequence[tuple[str, str]] = ()


class LineageRecorder:
    """Recorder of one execution: `async with recorder: ...` writes what the block's loop appends.

    Args:
        sink: The store, which its owner closes; None if rows are only drained.
        execution_id: The execution.
        routes: The execution's routes.
        settings: What is recorded.
        clock: Clock of the execution.
        redacted: Removes secrets from a text.
        note_pending: Appends a row for each visit that is in flight, before rows are taken.
        turn: Held while the sink writes: several recorders may share one.
        is_drained: True if `drain` is called; all rows are kept for it.
    """

    def __init__(
        self,
        sink: LineageSink | None,
        execution_id: str,
        routes: Routes,
        settings: RecorderSettings,
        *,
        clock: Clock,
        redacted: Callable[[str], str],
        note_pending: Callable[[], None],
        turn: trio.Lock,
        is_drained: bool = False,
    ) -> None:
        self._sink = sink
        given: object = sink
        self._packed = given if isinstance(given, PackedLineageSink) else None
        self._execution_id = execution_id
        self._clock = clock
        self._redacted = redacted
        self._note_pending = note_pending
        self._turn = turn
        self._finish_seconds = settings.finish_seconds
        self._log = LineageLog(
            execution_id,
            routes,
            now=clock.monotonic_ns,
            sample_rate=settings.sample_rate,
            hashes=settings.hash_payloads,
            shows_values=settings.record_values,
            secrets=list(settings.secrets),
            most_bytes=settings.buffer_bytes,
            tell=self._hurry,
        )
        self._some = trio.Event()  # there are rows, or the execution ends
        self._urgent = trio.Event()  # the log is half full, or the execution ends
        self._is_ending = False
        self._drained: list[tuple[int, list[bytes]]] | None = [] if is_drained else None
        self._ahead: list[tuple[list[bytes], int]] = []  # drained, and to be written
        self._scope = trio.CancelScope(shield=True)  # of the writer: only its budget ends it
        self._nursery_manager: Any = None
        self._written = 0
        self._given_up = 0
        self._errors = 0
        self._last_error: str | None = None
        self._has_logged_loss = False

    def route(self, place: int, stages: Sequence[tuple[int, bool]]) -> LineageRoute:
        """Return the log as a route appends to it.

        Args:
            place: Place of the route in `routes`.
            stages: For each stage that the loop runs its place among the configured ones, and True if it is a step beside
            that one, of which only failures are recorded.
        """
        return LineageRoute(self._log, place, list(stages))

    def counts(self) -> LineageCounts:
        """Return the numbers of rows so far."""
        log = self._log
        return LineageCounts(
            recorded=log.recorded + log.lost,
            written=self._written,
            lost=log.lost + self._given_up,
            errors=self._errors,
            last_error=self._last_error,
        )

    def drain(self) -> list[tuple[int, list[bytes]]]:
        """Return all rows since the last call, for one who follows a simulated run; the sink gets them as ever.

        Each list of packed rows comes with the nanoseconds that its times are ahead of the loop's. A packed list has rows in
        the order in which they were appended (`LineageBatch.pack_in_order`).
        """
        assert self._drained is not None, "made with is_drained"
        if len(self._log):  # seldom: it is called before each event of the simulation itself
            self._follow(self._drained)
        drained, self._drained = self._drained, []
        return drained

    def _follow(self, drained: list[tuple[int, list[bytes]]]) -> None:
        """Take all rows in their order, for `drain` and for the sink."""
        offset_ns = 0 if self._sink is None else self._offset_ns()
        while (batch := self._log.take(BATCH_ROWS, offset_ns)) is not None:
            parts = []
            while (part := batch.pack_in_order(PART_ROWS, PART_BYTES)) is not None:
                parts.append(part)
            drained.append((offset_ns, parts))
            if self._sink is not None:
                self._ahead.append(([_as_packed(part) for part in parts], len(batch)))

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        if self._sink is None:
            return self
        self._nursery_manager = trio.open_nursery()
        nursery = await self._nursery_manager.__aenter__()
        nursery.start_soon(self._run)
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left, within the budget.

        Cancellation: does not cut the budget short.
        """
        if self._sink is None:
            return
        self._is_ending = True
        self._scope.deadline = trio.current_time() + self._finish_seconds
        self._some.set()
        self._urgent.set()
        # The body's own exception is not given to the nursery, which would wrap it: it propagates unchanged.
        await self._nursery_manager.__aexit__(None, None, None)

    # -- the writer --------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _run(self) -> None:
        with self._scope:
            while not (self._is_ending and not len(self._log) and not self._ahead):
                await self._wait()
                self._note_pending()
                await self._write_all()
        lost = 0
        while (batch := self._log.take(BATCH_ROWS, 0)) is not None:
            lost += len(batch)
        lost += sum(rows for _, rows in self._ahead)
        self._give_up(lost)
        self._note_loss()

    async def _wait(self) -> None:
        """Wait until rows are due: some were collected for a while, many are there, or the execution ends."""
        if not len(self._log) and not self._ahead:
            with trio.move_on_after(IDLE_SECONDS):
                await self._some.wait()
        with trio.move_on_after(INTERVAL_SECONDS):
            await self._urgent.wait()
        if not self._is_ending:
            self._some, self._urgent = trio.Event(), trio.Event()

    async def _write_all(self) -> None:
        """Write the rows that are there now, and those that come meanwhile as long as they fill batches."""
        while True:
            if self._drained is not None:
                self._follow(self._drained)
                if not self._ahead:
                    return
                parts, rows = self._ahead.pop(0)
            else:
                batch = self._log.take(BATCH_ROWS, self._offset_ns())
                if batch is None:
                    return
                parts, rows = [], len(batch)
                while (part := batch.pack(PART_ROWS, PART_BYTES)) is not None:
                    parts.append(part)
                    await trio.lowlevel.checkpoint()
            stored = False
            try:
                stored = await self._write(parts, rows)
            finally:
                if not stored:
                    self._give_up(rows)
            self._note_loss()
            if len(self._log) < BATCH_ROWS and not self._is_ending:
                return

    def _offset_ns(self) -> int:
        """Return what wall time is ahead of the loop's time."""
        return self._clock.wall_ns() - self._clock.monotonic_ns()

    async def _write(self, parts: Sequence[bytes], rows: int) -> bool:
        """Write a batch; return False if the sink has refused it as often as it may."""
        for attempt in range(MOST_ATTEMPTS):
            try:
                async with self._turn:
                    await self._store(parts)
            except DIED as error:
                self._note_error(error)
            else:
                self._written += rows
                return True
            if attempt + 1 < MOST_ATTEMPTS:
                await trio.sleep(min(INTERVAL_SECONDS * 2**attempt, MOST_DELAY_SECONDS))
        return False

    async def _store(self, parts: Sequence[bytes]) -> None:
        if self._packed is not None:
            await self._packed.write_packed(parts)
            return
        assert self._sink is not None, "there is no writer without a sink"
        await self._sink.write(*await rows_of(parts))

    # -- what went wrong ---------------------------------------------------------------------------------------------

    def _hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - the log calls it so
        self._some.set()
        if is_urgent:
            self._urgent.set()

    def _give_up(self, rows: int) -> None:
        self._given_up += rows

    def _note_error(self, error: BaseException) -> None:
        self._errors += 1
        self._last_error = bounded(self._redacted(describe(error)), MOST_ERROR)
        if self._errors == 1:
            logger.warning(
                "execution %s: lineage could not be written, and will be tried again: %s",
                self._execution_id,
                self._last_error,
            )

    def _note_loss(self) -> None:
        counts = self.counts()
        if counts.lost and not self._has_logged_loss:
            self._has_logged_loss = True
            logger.warning(
                "execution %s: lineage rows are lost, %d so far; the store is too slow, or refuses them",
                self._execution_id,
                counts.lost,
            )


def _as_packed(part: bytes) -> bytes:
    """Return a part with rows in order as `LineageBatch.pack` makes it."""
    rows: Any = unpack(part)
    visits = [row for row in rows if len(row) == len(LineageEntry._fields)]
    return pack([visits, [row for row in rows if len(row) == len(OutcomeEntry._fields)]])


async def rows_of(parts: Sequence[bytes]) -> tuple[list[LineageEntry], list[OutcomeEntry]]:
    """Return the rows of parts that `LineageBatch.pack` has made; other tasks get their turn after each part.

    Raises:
        ValueError: One is no such part.
    """
    entries: list[LineageEntry] = []
    outcomes: list[OutcomeEntry] = []
    for part in parts:
        value: Any = unpack(part)
        try:
            visits, ends = value
            entries += map(LineageEntry._make, visits)
            outcomes += map(OutcomeEntry._make, ends)
        except TypeError as error:
            raise ValueError(f"expected packed lineage rows, got {type(value).__name__}: {error}") from error
        await trio.lowlevel.checkpoint()
    return entries, outcomes
