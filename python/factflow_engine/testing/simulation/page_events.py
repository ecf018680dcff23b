"""Events of a trace as a page draws them: which ones, in which lanes, from when to when, and of which kind.

Kept separate from `page`, which makes HTML of them, because everything here is numbers and can be tested as such.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from factflow_engine.testing.simulation.trace import Trace, TraceEvent
from factflow_protocols import LineageEntry, OutcomeEntry

FIRST_SHOWN: Final = 2_000
"""Events from the beginning that are shown of a trace that is too long."""
LAST_SHOWN: Final = 1_000
"""Events up to the end that are shown of it."""
MARKED_SHOWN: Final = 1_000
"""Most events between these that are shown: those that somebody looks for."""
MOST_SHOWN: Final = FIRST_SHOWN + LAST_SHOWN + MARKED_SHOWN
"""Most events that are shown."""
MOST_BANDS: Final = 1_000
"""Most spans of breakers and of processes that are shown."""

KINDS: Final = (
    "done", "retried", "failed", "skipped", "cancelled", "pending",
    "completed", "filtered", "dead", "published", "left", "fault", "crash", "breaker", "limit", "queue", "log", "run",
)  # fmt: skip
"""Kinds of what is drawn: visits first, then instants."""
VISITS: Final = 6
"""Number of kinds that are visits."""
MARKED: Final = frozenset({"retried", "failed", "cancelled", "dead", "fault", "crash", "breaker", "log"})
"""Kinds that somebody looks for."""

_OF_STATUS: Final = {"completed": "done", "failed": "failed", "skipped": "skipped", "cancelled": "cancelled"}
_OF_OUTCOME: Final = {"completed": "completed", "filtered": "filtered"}
_OF_MARK: Final = {
    "> published": "published",
    "> refused": "fault",
    "< left": "left",
    "! fault": "fault",
    "~ breaker": "breaker",
    "~ limit": "limit",
}
_OF_SIGN: Final = {"!": "crash", "*": "queue", "~": "log"}


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """A line of the timeline.

    Attributes:
        group: `processes`, a route's id, `queues` or `run`.
        name: Name of the process, stage or queue; empty for the route itself.
        is_queue: True for a queue, whatever a route is called.
    """

    group: str
    name: str
    is_queue: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """An event that is shown. Times are virtual nanoseconds; `wait_ns` is the time before `start_ns`."""

    event: TraceEvent
    kind: str
    lane: Lane
    start_ns: int
    wait_ns: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """A span of time of a lane: a breaker that is not closed, or a process that lives."""

    lane: Lane
    state: str
    process: int
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Picture:
    """Events of a trace that are shown, with their lanes and spans.

    Attributes:
        count: Number of the trace's events.
        drawn: The events that are shown, in order.
        bands: Spans behind them.
        lanes: All lanes that these use, in the order of the page.
        end_ns: Last time of the trace.
        gap_ns: Time in which not all events are shown, from and to; None if all are.
        left_out_bands: Number of spans beyond those.
    """

    count: int = 0
    drawn: list[Drawn] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    end_ns: int = 0
    gap_ns: tuple[int, int] | None = None
    left_out_bands: int = 0


def picture(trace: Trace, routes: Mapping[str, Sequence[str]]) -> Picture:
    """Return what is drawn of a trace.

    Args:
        trace: The trace.
        routes: Stages of each route, in the order of the configuration.
    """
    found = Picture(count=len(trace))
    spans = _Spans()
    between: list[Drawn] = []
    last: list[Drawn] = []
    last_from = FIRST_SHOWN if found.count <= MOST_SHOWN else found.count - LAST_SHOWN
    for place, (event, row) in enumerate(trace.entries()):
        found.end_ns = max(found.end_ns, event.at_ns)
        spans.note(event)
        drawn = _drawn(event, row, routes)
        if place < FIRST_SHOWN:
            found.drawn.append(drawn)
        elif place >= last_from:
            last.append(drawn)
        elif drawn.kind in MARKED and len(between) < MARKED_SHOWN:
            between.append(drawn)
    if len(found.drawn) + len(between) + len(last) < found.count:
        found.gap_ns = found.drawn[-1].event.at_ns, last[0].event.at_ns
    found.drawn += between + last
    bands = spans.ended(found.end_ns)
    found.bands, found.left_out_bands = bands[:MOST_BANDS], max(0, len(bands) - MOST_BANDS)
    found.lanes = _ordered({each.lane for each in found.drawn} | {band.lane for band in found.bands}, routes)
    return found


def _drawn(event: TraceEvent, row: LineageEntry | OutcomeEntry | None, routes: Mapping[str, Sequence[str]]) -> Drawn:
    lane = _lane(event, routes)
    if isinstance(row, LineageEntry):
        kind = _OF_STATUS.get(row.status, "pending")
        if kind == "done" and row.attempt > 1:
            kind = "retried"
        return Drawn(event, kind, lane, event.at_ns - row.duration_ns, row.waited_ns)
    if isinstance(row, OutcomeEntry):
        return Drawn(event, _OF_OUTCOME.get(row.outcome, "dead"), lane, event.at_ns)
    kind = _OF_MARK.get(event.event) or _OF_SIGN.get(event.event[:1], "run")
    return Drawn(event, kind, lane, event.at_ns)


def _lane(event: TraceEvent, routes: Mapping[str, Sequence[str]]) -> Lane:
    if event.route:
        is_queue = event.route not in routes or event.event[:1] == "*"
        return Lane("queues", event.route, is_queue=True) if is_queue else Lane(event.route, event.stage)
    return Lane("processes", f"process {event.process}", is_queue=True) if event.process >= 0 else _RUN


_RUN: Final = Lane("run", "the whole run", is_queue=True)


def _ordered(lanes: set[Lane], routes: Mapping[str, Sequence[str]]) -> list[Lane]:
    """Return lanes in the order of the page: the run, processes, routes as they are configured, queues."""
    places: dict[Lane, tuple[int, int]] = {}
    for number, (route, stages) in enumerate(routes.items()):
        for place, stage in enumerate(("", *stages)):
            places[Lane(route, stage)] = number, place
    groups = {"run": 0, "processes": 1, "queues": 3}

    def key(lane: Lane) -> tuple[int, tuple[int, int], int, str]:
        group = groups[lane.group] if lane.is_queue else 2
        return group, places.get(lane, (len(places), 0)), len(lane.name) if group == 1 else 0, lane.name

    return sorted(lanes, key=key)


_NOT_CLOSED: Final = ("open", "half_open")
"""States of breakers that are shown; of several breakers the first of these."""


class _Spans:
    """Spans of breakers and processes, while the trace is read."""

    def __init__(self) -> None:
        self._bands: list[Band] = []
        self._open: dict[tuple[Lane, int], tuple[str, int]] = {}
        self._breakers: dict[tuple[Lane, int], Counter[str]] = {}  # a stage with `key:` has several

    def note(self, event: TraceEvent) -> None:
        if event.event == "~ breaker":
            lane = Lane(event.route, event.stage)
            before, _, after = event.detail.partition(" -> ")
            states = self._breakers.setdefault((lane, event.process), Counter())
            states[before] -= 1
            states[after] += 1
            state = next((each for each in _NOT_CLOSED if states[each] > 0), "")
            if state != self._open.get((lane, event.process), ("", 0))[0]:
                self._change(lane, event, state)
        elif event.event in {"> started", "> ended", "! crashed", "! cancelled"} and event.process >= 0:
            lane = Lane("processes", f"process {event.process}", is_queue=True)
            self._change(lane, event, "alive" if event.event == "> started" else "")
            if event.event != "> started":
                for breaker, process in [each for each in self._open if each[1] == event.process]:
                    self._change(breaker, event._replace(process=process), "")  # a new process has new breakers
                    self._breakers.pop((breaker, process), None)

    def _change(self, lane: Lane, event: TraceEvent, state: str) -> None:
        before = self._open.pop((lane, event.process), None)
        if before is not None:
            self._bands.append(Band(lane, before[0], event.process, before[1], event.at_ns))
        if state:
            self._open[lane, event.process] = state, event.at_ns

    def ended(self, end_ns: int) -> list[Band]:
        """Return all spans; those that are open last until the end."""
        still: Iterable[Band] = (
            Band(lane, state, process, start_ns, end_ns) for (lane, process), (state, start_ns) in self._open.items()
        )
        return sorted([*self._bands, *still], key=lambda band: (band.start_ns, band.lane, band.process))
