"""Trace of a simulated run: what happened, in order, one line each.

The engine's own rows of lineage, in the order in which the loop wrote them, and what the simulation notes itself: inputs,
faults, breakers, the queue. Rows stay packed until the trace is read, so that a campaign pays for the traces that it
shows. Kept separate from the report because the run writes it, and reports, pages and checks read it.
"""

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, overload

from factflow_engine.frames import unpack
from factflow_engine.seams import Clock
from factflow_protocols import LineageEntry, OutcomeEntry, QueueMessage

_DEEPEST: Final = 8
"""Most numbers of a label: one of a long chain would be as long as the chain."""

_VISIT: Final = len(LineageEntry._fields)

Drain = Callable[[], Sequence[tuple[int, Sequence[bytes]]]]


class TraceEvent(NamedTuple):
    """One line of a trace.

    Attributes:
        at_ns: Virtual nanoseconds from the beginning of the run.
        process: Number of the process; -1 for what is outside all of them.
        route: Id of the route, or name of the queue; empty if it concerns none.
        stage: Name of the stage; empty if it concerns none.
        message: Label of the message: `3` is the third root that appears, `3.1` the first that came of it, and
            `3.1.1.1.1.1.1.1.~4` the fourth that came of what is eight deep; empty if it concerns none.
        event: Name of the event.
        detail: More of it, for people.
    """

    at_ns: int
    process: int
    route: str
    stage: str
    message: str
    event: str
    detail: str

    def __str__(self) -> str:
        place = f"{self.route}/{self.stage}" if self.stage else self.route
        process = "" if self.process < 0 else f"p{self.process}"
        line = f"{self.at_ns / 1e9:12.6f} {process:2} {place:24} {self.message:9} {self.event:15} {self.detail}"
        return line.rstrip()


class _Note(NamedTuple):
    at_ns: int
    process: int
    route: str
    stage: str
    message_id: bytes | None
    parent_id: bytes | None
    event: str
    detail: str | bytes
    """For people; bytes are a packed value, whose `repr` it is, made only if the trace is read."""


class TraceLog:
    """Trace of a run while it goes on.

    Args:
        clock: The run's clock.

    Attributes:
        is_noting: False once the run has ended: what dead tasks do then is not of it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drains: list[tuple[int, Drain]] = []
        self._log: list[_Note | tuple[int, int, Sequence[bytes]]] = []
        self._hiding: list[Callable[[str], str]] = []
        self.is_noting = True

    def follow(self, process: int, drain: Drain) -> None:
        """Take the rows of an execution of this process from now on."""
        self._drains.append((process, drain))

    def hide(self, hidden: Callable[[str], str]) -> None:
        """Show what this makes of each detail: one without secrets, or without what differs from run to run."""
        self._hiding.append(hidden)

    def leave(self, process: int) -> None:
        """Take the last rows of a process that has died: what is done with it later is not of the run."""
        self.gather()
        self._drains = [each for each in self._drains if each[0] != process]

    def note(
        self,
        event: str,
        detail: str = "",
        *,
        process: int = -1,
        route: str = "",
        stage: str = "",
        message_id: bytes | None = None,
        parent_id: bytes | None = None,
    ) -> None:
        """Add an event of now, behind the rows that were written before it."""
        if self.is_noting:
            self.gather()
            for hidden in self._hiding:
                detail = hidden(detail)
            self._log.append(
                _Note(self._clock.monotonic_ns(), process, route, stage, message_id, parent_id, event, detail)
            )

    def note_messages(self, event: str, route: str, messages: Sequence[QueueMessage]) -> None:
        """Add an event of now for each of some messages, with its payload, behind the rows that were written before."""
        if not self.is_noting:
            return
        if self._hiding:
            for each in messages:
                detail = repr(unpack(each.payload))
                self.note(event, detail, route=route, message_id=each.message_id, parent_id=each.parent_id)
            return
        self.gather()
        at_ns = self._clock.monotonic_ns()
        self._log += [
            _Note(at_ns, -1, route, "", each.message_id, each.parent_id, event, each.payload) for each in messages
        ]

    def gather(self) -> None:
        """Take the rows that were written by now."""
        for process, drain in self._drains:
            for ahead_ns, parts in drain():
                self._log.append((process, ahead_ns, parts))

    def end(self) -> "Trace":
        """Take the last rows, and return the trace."""
        self.gather()
        self._drains.clear()
        self.is_noting = False
        return Trace(self._log)


@contextmanager
def logged(trace: TraceLog) -> Iterator[None]:
    """Put the engine's warnings and errors into the trace, their first lines, and nowhere else."""
    logger, handler = logging.getLogger("factflow_engine"), _Logging(trace)
    before = logger.propagate, logger.level, logger.manager.disable
    logger.propagate, logger.manager.disable = False, 0  # a trace does not depend on how the program logs
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate, _, logger.manager.disable = before
        logger.setLevel(before[1])


class _Logging(logging.Handler):
    def __init__(self, trace: TraceLog) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        text, _, _ = record.getMessage().partition("\n")
        self._trace.note("~ log", f"{record.levelname.lower()}: {text}")


class Trace(Sequence[TraceEvent]):
    """Events of a run, in order; its text has a line for each."""

    def __init__(self, log: Sequence[_Note | tuple[int, int, Sequence[bytes]]]) -> None:
        self._log = log
        self._events: list[TraceEvent] | None = None
        self._rows: tuple[list[list[Any]], list[list[Any]]] | None = None

    def rows(self) -> Iterator[tuple[int, LineageEntry | OutcomeEntry]]:
        """Yield the engine's rows with their processes, in order; times are virtual."""
        for each in self._log:
            if not isinstance(each, _Note):
                process, _, parts = each
                for part in parts:
                    for row in _rows_of(part):
                        yield process, LineageEntry._make(row) if len(row) == _VISIT else OutcomeEntry._make(row)

    def entries(self) -> Iterator[tuple[TraceEvent, LineageEntry | OutcomeEntry | None]]:
        """Yield each event with the engine's row that it tells of; None for what the simulation has noted itself."""
        rows = self.rows()
        for event, is_row in zip(self._all(), self._are_rows(), strict=True):
            yield event, next(rows)[1] if is_row else None

    def _are_rows(self) -> Iterator[bool]:
        for each in self._log:
            if isinstance(each, _Note):
                yield False
                continue
            for part in each[2]:
                yield from itertools.repeat(True, len(_rows_of(part)))

    def outcomes(self) -> Sequence[Sequence[Any]]:
        """Return the fields of each `OutcomeEntry`, in order, without the cost of the rest."""
        return self._unpacked()[1]

    def queued(self) -> frozenset[bytes]:
        """Return the ids of the messages that queues of the simulated broker have accepted."""
        notes = [each for each in self._log if isinstance(each, _Note) and each.event == "* accepted"]
        return frozenset(each.message_id for each in notes if each.message_id is not None)

    def last_times(self, first_stages: Collection[tuple[str, str]]) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """Return when each message came to the first stage of a route, and when it ended, each for the last time.

        Args:
            first_stages: The first stage of each route, with the route before it.
        """
        began: dict[bytes, int] = {}
        ended: dict[bytes, int] = {}
        for each in self._log:
            if isinstance(each, _Note):
                continue
            _, ahead_ns, parts = each
            for row in itertools.chain.from_iterable(map(_rows_of, parts)):
                if len(row) != _VISIT:
                    end = OutcomeEntry._make(row)
                    ended[end.message_id] = end.ended_ns - ahead_ns
                elif ((visit := LineageEntry._make(row)).route, visit.stage) in first_stages:
                    began[visit.message_id] = visit.started_ns - ahead_ns
        return began, ended

    def errors(self) -> frozenset[tuple[str, str]]:
        """Return class and place of each error of a stage or a message; the place is empty if it has none."""
        details = {row[-1] for rows in self._unpacked() for row in rows if row[-1] is not None}
        found = [json.loads(each) for each in details if '"type"' in each]
        return frozenset((str(each.get("type", "")), str(each.get("place") or "")) for each in found)

    def totals(self) -> tuple[int, int, list[tuple[str, bytes]]]:
        """Return the number of visits, that of visits which were not a first attempt, and route and message of each end."""
        visits, outcomes = self._unpacked()
        return len(visits), sum(visit[7] > 1 for visit in visits), [(row[1], row[2]) for row in outcomes]

    def _unpacked(self) -> tuple[list[list[Any]], list[list[Any]]]:
        if self._rows is None:
            visits: list[list[Any]] = []
            outcomes: list[list[Any]] = []
            for each in self._log:
                if not isinstance(each, _Note):
                    for part in each[2]:
                        for row in _rows_of(part):
                            (visits if len(row) == _VISIT else outcomes).append(row)
            self._rows = visits, outcomes
        return self._rows

    def digest(self) -> str:
        """Return the SHA-256 of the trace's text, in hexadecimal digits."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    @overload
    def __getitem__(self, place: int) -> TraceEvent: ...

    @overload
    def __getitem__(self, place: slice) -> list[TraceEvent]: ...

    def __getitem__(self, place: int | slice) -> TraceEvent | list[TraceEvent]:
        return self._all()[place]

    def __len__(self) -> int:
        return len(self._all())

    def __str__(self) -> str:
        return "\n".join(map(str, self._all()))

    def _all(self) -> list[TraceEvent]:
        if self._events is None:
            self._events = list(_Reading().events(self._log))
        return self._events


def _rows_of(part: bytes) -> list[list[Any]]:
    """Return the fields of rows, visits and ends, that the engine has packed together."""
    rows: Any = unpack(part)
    return rows  # type: ignore[no-any-return]  # the engine's own bytes


class _Reading:
    """Conversion of a log to events: labels for ids, texts for rows."""

    def __init__(self) -> None:
        self._labels: dict[bytes, str] = {}
        self._parents: dict[bytes, bytes] = {}
        self._children: dict[str, int] = {}

    def events(self, log: Sequence[_Note | tuple[int, int, Sequence[bytes]]]) -> Iterator[TraceEvent]:
        self._note_parents(log)
        for each in log:
            if isinstance(each, _Note):
                label = "" if each.message_id is None else self._label(each.message_id, each.parent_id)
                detail = repr(unpack(each.detail)) if isinstance(each.detail, bytes) else each.detail
                yield TraceEvent(each.at_ns, each.process, each.route, each.stage, label, each.event, detail)
                continue
            process, ahead_ns, parts = each
            for part in parts:
                for row in _rows_of(part):
                    if len(row) == _VISIT:
                        yield self._visit(process, ahead_ns, LineageEntry._make(row))
                    else:
                        yield self._outcome(process, ahead_ns, OutcomeEntry._make(row))

    def _note_parents(self, log: Sequence[_Note | tuple[int, int, Sequence[bytes]]]) -> None:
        """Note the parents of all messages: not each event that names a message knows its parent."""
        for each in log:
            if isinstance(each, _Note):
                if each.message_id is not None and each.parent_id is not None:
                    self._parents[each.message_id] = each.parent_id
                continue
            for part in each[2]:
                for row in _rows_of(part):
                    message_id, parent_id = row[4:6] if len(row) == _VISIT else row[2:4]
                    if parent_id is not None:
                        self._parents[message_id] = parent_id

    def _label(self, message_id: bytes, parent_id: bytes | None) -> str:
        label = self._labels.get(message_id)
        if label is None:
            # A loop, not a recursion: in a circle of routes each message is the child of the one before.
            unlabelled = [message_id]
            above = parent_id or self._parents.get(message_id)
            while above is not None and above not in self._labels:
                unlabelled.append(above)
                above = self._parents.get(above)
            label = "" if above is None else self._labels[above]
            for each in reversed(unlabelled):
                label = self._labels[each] = self._child_of(label)
        return label

    def _child_of(self, parent: str) -> str:
        """Return the next label below another; far below a root, all of a family are numbered together."""
        if parent.count(".") + 1 >= _DEEPEST:
            parent, _, _ = parent.partition(".~")
            prefix = f"{parent}.~"
        else:
            prefix = f"{parent}." if parent else ""
        number = self._children[prefix] = self._children.get(prefix, 0) + 1
        return f"{prefix}{number}"

    def _visit(self, process: int, ahead_ns: int, row: LineageEntry) -> TraceEvent:
        words = []
        if row.attempt > 1:
            words.append(f"attempt {row.attempt}")
        if row.duration_ns:
            words.append(f"took {_seconds(row.duration_ns)}")
        if row.waited_ns:
            words.append(f"waited {_seconds(row.waited_ns)}" + (f" for {row.waited_for}" if row.waited_for else ""))
        if row.detail:
            words.append(_worded(row.detail))
        if row.output_hash is not None and row.output_hash != row.input_hash:
            words.append(f"payload {row.output_hash.hex()[:8]}")
        at_ns = row.started_ns - ahead_ns + row.duration_ns
        label = self._label(row.message_id, row.parent_id)
        return TraceEvent(at_ns, process, row.route, row.stage, label, row.status, ", ".join(words))

    def _outcome(self, process: int, ahead_ns: int, row: OutcomeEntry) -> TraceEvent:
        words = []
        if row.attempts > 1:
            words.append(f"after {row.attempts} attempts")
        if row.detail:
            words.append(_worded(row.detail))
        elif row.emitted:
            words.append(f"emitted {row.emitted}")
        label = self._label(row.message_id, row.parent_id)
        return TraceEvent(row.ended_ns - ahead_ns, process, row.route, "", label, f"= {row.outcome}", ", ".join(words))


def _worded(detail: str) -> str:
    found: dict[str, Any] = json.loads(detail)
    if "outbounds" in found:
        return "to " + " and ".join(found["outbounds"])
    if "error" in found:
        place = f" ({found['place']})" if found.get("place") else ""
        return f"{found['type']}: {found['error']}{place}"
    if "reason" in found:
        return str(found["reason"])
    return detail


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.6f}".rstrip("0").rstrip(".") + " s"
