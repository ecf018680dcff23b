"""Judges of the soak's runs: what must leave, ids that are derived, order of each key, determinism.

The built-in guarantees are in the report; these need a model of the pipeline, or another run. Kept separate from the
tuples, which know no result.
"""

import gc
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.report import SimulationReport
from factflow_engine.testing.simulation.run import play
from factflow_engine.testing.simulation.settings import RunSettings
from testing.soak_pipelines import frozen
from testing.soak_tuples import Drawn

TWICE_EVERY = 100
"""Every so many runs one is played again, with the same arguments, and with what happened in place of its plan."""

Left = Mapping[str, Counter[Any]]


def judged(tuple_: Drawn, settings: RunSettings) -> SimulationReport:
    """Run the settings, which are the tuple's or smaller, and add what these judges find broken."""
    is_played_twice = tuple_.number % TWICE_EVERY == 0
    try:
        report = play(replace(settings, hashes=is_played_twice))
    except Exception as error:
        return _escaped(settings, error)
    found = list(_verdicts(tuple_, settings, report))
    if is_played_twice:
        found += _differences(settings, report)
    return report.with_broken(found) if found else report


def _escaped(settings: RunSettings, error: Exception) -> SimulationReport:
    """Return the report of a run that an error has ended: an empty one that says so."""
    empty = play(replace(settings, inputs=(), faults=(), models=(), until=0.0))
    found = replace(empty, inputs=settings.inputs, faults=settings.faults, until=settings.until)
    return found.with_broken([Broken(name=f"no error escapes: {type(error).__name__}", text=repr(error))])


def _verdicts(tuple_: Drawn, settings: RunSettings, report: SimulationReport) -> Iterator[Broken]:
    if not report.ended:
        return
    pipeline = tuple_.subject.pipeline
    if pipeline is not None and settings.is_smaller:
        return  # the model is that of the whole pipeline
    if pipeline is not None:
        if not all(isinstance(each.payload, dict) and {"n", "kind"} <= each.payload.keys() for each in settings.inputs):
            return  # made smaller than the model knows
        want = pipeline.left([each.payload for each in settings.inputs])
        if pipeline.has_states:
            yield from _all_members(want, report)
        else:
            yield from _as_wanted(want, left(report), "the model of its routing")
        if pipeline.ordered is not None and tuple_.keeps_order:
            yield from _in_order(settings, report, pipeline.ordered)
    elif tuple_.subject.is_plain and settings.faults:
        # Of messages in memory, each life publishes the inputs anew.
        once = not (settings.queue == "memory://" and report.counts.cancellations)
        want = _undisturbed(replace(settings, faults=()))
        yield from _as_wanted(want, left(report), "a run without faults", once=once)


def left(report: SimulationReport) -> Left:
    """Return the payloads that left, by queue; what left twice under one id counts once."""
    return {
        queue: Counter(dict.fromkeys(((each.message_id, frozen(each.payload)) for each in outputs), 1))
        for queue, outputs in report.outputs.items()
    }


def _as_wanted(want: Left, got: Mapping[str, Counter[Any]], by: str, *, once: bool = True) -> Iterator[Broken]:
    for queue in want.keys() | got.keys():
        found = Counter(payload for _, payload in got.get(queue, ()))
        wanted = want.get(queue, Counter())
        missing, more = wanted - found, found - wanted
        if not once:
            more = Counter({payload: count for payload, count in more.items() if payload not in wanted})
        if missing:
            yield Broken(name="all leaves that must", text=f"{queue} lacks {dict(missing)}, by {by}")
        if more:
            yield Broken(name="nothing leaves that must not", text=f"{queue} has {dict(more)} besides, by {by}")


@lru_cache(maxsize=4)
def _left_undisturbed(key: tuple[Any, ...]) -> Left:
    settings: RunSettings = key[-1].settings
    report = play(replace(settings, queue="memory://", processes=1, schedule=()))
    return {queue: Counter(payload for _, payload in found) for queue, found in left(report).items()}


class _Once:
    """Settings in a key of a cache, equal to all others."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once)

    def __hash__(self) -> int:
        return 0


def _undisturbed(settings: RunSettings) -> Left:
    """Return what leaves of one run in memory, without faults and with a schedule that nothing shuffles."""
    return _left_undisturbed((settings.config.hash, repr(settings.inputs), _Once(settings)))


def _all_members(want: Left, report: SimulationReport) -> Iterator[Broken]:
    """Every number is in a batch: what a stage had kept of an acknowledged message has outlived each process."""
    wanted = set(want["/queue/out"])
    members = {frozen(n) for payload in report.payloads("/queue/out") for n in payload["seen"]}
    if members != wanted:
        yield Broken(
            name="states are kept", text=f"batches lack {wanted - members}, and have {members - wanted} besides"
        )


def _in_order(settings: RunSettings, report: SimulationReport, stage: str) -> Iterator[Broken]:
    published = defaultdict(list)
    for each in settings.inputs:
        published[each.key].append(each.payload["n"])
    keys = {each.payload["n"]: each.key for each in settings.inputs}
    handled: dict[str | None, dict[int, None]] = defaultdict(dict)
    for call in report.calls[stage]:
        if call.error is None:
            handled[keys[call.message["n"]]].setdefault(call.message["n"])
    for key, numbers in published.items():
        if list(handled[key]) != numbers:
            yield Broken(name="order of each key", text=f"{key}: expected {numbers}, got {list(handled[key])}")


def _differences(settings: RunSettings, report: SimulationReport) -> Iterator[Broken]:
    text = str(report.trace)
    for name, other in (
        ("a run is a function of its arguments", settings),
        ("what happened happens again", replace(settings, faults=tuple(report.fired))),
    ):
        gc.collect()
        again = str(play(replace(other, hashes=True)).trace)
        if again != text:
            lines = zip(text.splitlines(), again.splitlines(), strict=False)
            first = next((pair for pair in lines if pair[0] != pair[1]), ("the end", "of one"))
            yield Broken(name=name, text=f"{first[0]!r} and {first[1]!r}")
