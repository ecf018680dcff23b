"""Recorded latencies as a server to simulate: what `factflow run --record-latency FILE` wrote.

The model: of each stage's calls, those that began with about as many in flight are a level, and a simulated call takes as
long as one of its level, drawn at random; it is dropped if that one was, and lasts a tenth of an answered call at least:
callers who are refused wait before they ask again, and the simulated backlog does not. What the model cannot know: between two levels
it takes the lower one's; above the highest one latency grows in proportion, as if all beyond were a queue; calls are
independent of each other and of the time of day, so that a slow minute becomes slow calls here and there. So a recording
tells most where the real limit moved up and down a lot, and nothing about limits that were never tried.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from factflow_engine.limit_suite.suite import Task
from factflow_engine.native import LimitScenario
from factflow_protocols import FactflowError

MOST_LINES: Final = 2_000_000
LONGEST_LINE: Final = 4_096
_MOST_OF_LEVEL: Final = 512
LEAST_CALLS: Final = 20
"""Fewest calls of a level, and so of a stage."""
_GROWTH: Final = 1.25
"""Width of a level, as a factor of the calls in flight."""
_OTHER_SHARE: Final = 0.2
"""Difference in the share of dropped calls that parts levels of about as many calls: there the dependency refuses."""
_REFUSED: Final = 0.1
"""Least duration of a dropped call, in the mean one of those that were answered."""
_MOST_IN_FLIGHT: Final = 100_000
_SECONDS: Final = 60
_MOST_CALLS: Final = 1_000_000
_NS: Final = 1_000_000_000
_NUMBERS: Final = ("start_ns", "duration_ns", "in_flight")

Level = tuple[int, list[tuple[int, bool]]]


class RecordingError(FactflowError, ValueError):
    """Unusable recording; its text says where and what was expected."""


class RecordedTasks(NamedTuple):
    """Scenarios of a recording.

    Attributes:
        tasks: One for each stage with enough calls.
        left_out: Names of the other stages, each with its number of calls.
    """

    tasks: tuple[Task, ...]
    left_out: Mapping[str, int]


def recorded_tasks(path: Path) -> RecordedTasks:
    """Return a scenario for each stage of a recording: a backlog without end before a server with its latencies.

    A stage with fewer calls than make a level is left out. The target is twice the mean latency of answered calls at the level of the greatest power (throughput by latency).

    Raises:
        RecordingError: The file cannot be read, is none, or has too few calls.
    """
    calls: dict[str, list[tuple[int, int, bool]]] = {}
    for route, stage, in_flight, duration_ns, dropped in _lines(path):
        calls.setdefault(f"{route}/{stage}", []).append((in_flight, duration_ns, dropped))
    if not calls:
        raise RecordingError(f"{path}: no calls were recorded; expected one JSON object a line")
    few = {name: len(found) for name, found in calls.items() if len(found) < LEAST_CALLS}
    if len(few) == len(calls):
        raise RecordingError(f"{path}: expected {LEAST_CALLS} calls of a stage at least; {', '.join(few)} had fewer")
    tasks = tuple(_task(name, _paced(levels_of(found))) for name, found in calls.items() if name not in few)
    return RecordedTasks(tasks, few)


def levels_of(calls: Iterable[tuple[int, int, bool]]) -> list[Level]:
    """Return the levels of calls, given by in-flight count, duration and whether they were dropped.

    A level has calls whose counts are within a quarter of each other, twenty at least, and of which about the same share
    was dropped: a dependency that takes four refuses the fifth. Of a level with very many, evenly
    spaced ones by duration are kept.
    """
    levels: list[tuple[list[int], list[tuple[int, bool]]]] = []
    for in_flight, group in groupby(sorted(calls), key=lambda call: call[0]):
        those = [(duration_ns, dropped) for _, duration_ns, dropped in group]
        if not levels or _begins_another(in_flight, those, levels[-1]):
            levels.append(([], []))
        counts, found = levels[-1]
        counts.extend([in_flight] * len(those))
        found.extend(those)
    if len(levels) > 1 and len(levels[-1][1]) < LEAST_CALLS:
        counts, found = levels.pop()
        levels[-1][0].extend(counts)
        levels[-1][1].extend(found)
    return [(round(sum(counts) / len(counts)), _thinned(sorted(found))) for counts, found in levels]


def _begins_another(
    in_flight: int, those: Sequence[tuple[int, bool]], level: tuple[list[int], list[tuple[int, bool]]]
) -> bool:
    counts, found = level
    if len(found) < LEAST_CALLS:
        return False
    is_enough = len(those) >= LEAST_CALLS
    return in_flight > counts[0] * _GROWTH or (is_enough and abs(_dropped(those) - _dropped(found)) > _OTHER_SHARE)


def _dropped(found: Sequence[tuple[int, bool]]) -> float:
    return sum(dropped for _, dropped in found) / len(found)


def _paced(levels: list[Level]) -> list[Level]:
    """Return levels whose dropped calls take a tenth of the answered ones' mean duration at least."""
    answered = [duration_ns for _, found in levels for duration_ns, dropped in found if not dropped]
    least_ns = round(_REFUSED * sum(answered) / len(answered)) if answered else 0
    return [
        (
            count,
            sorted((max(duration_ns, least_ns) if dropped else duration_ns, dropped) for duration_ns, dropped in found),
        )
        for count, found in levels
    ]


def _thinned(found: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    if len(found) <= _MOST_OF_LEVEL:
        return found
    return [found[(2 * place + 1) * len(found) // (2 * _MOST_OF_LEVEL)] for place in range(_MOST_OF_LEVEL)]


def _task(name: str, levels: list[Level]) -> Task:
    description: dict[str, Any] = {
        "name": name,
        "seed": 1,
        "duration_ns": _SECONDS * _NS,
        "target_ns": 1,
        "timeout_ns": None,
        "joins": [0],
        "leaves": [],
        "load": None,
        "limits": None,
        "server": {"model": "recorded", "levels": levels},
    }
    best = LimitScenario.described(description).limits[0][1]
    at_best = next(found for in_flight, found in levels if max(1, in_flight) == best)
    answered = [duration_ns for duration_ns, dropped in at_best if not dropped] or [ns for ns, _ in at_best]
    mean_ns = sum(answered) / len(answered)
    longest_ns = round(min(_ns_a_call(level) for level in levels) * _MOST_CALLS)
    description["target_ns"] = max(1, round(2 * mean_ns))
    description["duration_ns"] = max(_NS, min(_SECONDS * _NS, longest_ns))
    return Task(label=name, scale=1.0, scenario=LimitScenario.described(description))


def _ns_a_call(level: Level) -> float:
    """Return the mean time from one call's end to the next one's at a level."""
    in_flight, found = level
    return sum(duration_ns for duration_ns, _ in found) / len(found) / max(1, in_flight)


def _lines(path: Path) -> Iterator[tuple[str, str, int, int, bool]]:
    try:
        with path.open("rb") as file:
            for number in range(1, MOST_LINES + 2):
                line = file.readline(LONGEST_LINE + 1)
                if not line:
                    return
                where = f"{path}:{number}"
                if number > MOST_LINES:
                    raise RecordingError(f"{where}: expected {MOST_LINES:,} lines at most; cut the file")
                if len(line) > LONGEST_LINE:
                    raise RecordingError(f"{where}: expected lines of {LONGEST_LINE:,} bytes at most")
                if line.strip():
                    yield _call(line, where)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error


def _call(line: bytes, where: str) -> tuple[str, str, int, int, bool]:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise RecordingError(f"{where}: expected a JSON object: {error}") from error
    if not isinstance(found, Mapping):
        raise RecordingError(f"{where}: expected a JSON object, got {type(found).__name__}")
    for name in _NUMBERS:
        number = found.get(name)
        least, most = (0 if name == "start_ns" else 1), (_MOST_IN_FLIGHT if name == "in_flight" else 2**63 - 1)
        if type(number) is not int or not least <= number <= most:
            raise RecordingError(f"{where}: {name}: expected a whole number from {least} to {most}, got {number!r:.60}")
    for name, kind in (("route", str), ("stage", str), ("dropped", bool)):
        if not isinstance(found.get(name), kind):
            raise RecordingError(f"{where}: {name}: expected a {kind.__name__}, got {found.get(name)!r:.60}")
    return found["route"], found["stage"], found["in_flight"], found["duration_ns"], found["dropped"]
