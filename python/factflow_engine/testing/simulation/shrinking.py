"""Smaller runs that fail in the same way: fewer faults, inputs, decisions and processes, a smaller configuration.

Each candidate is a whole run, so the result is no guess. Kept separate from campaigns because one failing run is made
smaller as well. The method for lists is Zeller's delta debugging: remove halves, quarters, and at last single elements, as
long as the rest fails.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.inputs import Input, in_order
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.plainer import plainer_faults, plainer_inputs
from factflow_engine.testing.simulation.report import SimulationReport
from factflow_engine.testing.simulation.settings import RunSettings

T = TypeVar("T")

Play = Callable[[RunSettings], SimulationReport]
"""Runs, and adds what a check of the user found broken."""

MOST_RUNS: Final = 2_000
"""Most runs that one failure is worth."""

_MOST_ALONE: Final = 3
"""Most inputs, of those that fail together, that are tried alone against each smaller configuration."""

_ENDLESS: Final = frozenset({"everything ends", "time passes"})
"""Names of what a run breaks that never ends: a smaller configuration may take no time where the given one took some."""

_IMPATIENT_SECONDS: Final = 60.0
"""Virtual seconds after the last input and fault that a candidate for a run that never ends is given first."""

_IMPATIENT_READINGS: Final = 10_000
"""Readings of the clock, at one instant or in all, that a candidate for a run that goes round is given first."""


@dataclass(slots=True)
class Shrinking:
    """Search for the smallest run that fails as a given one does.

    Attributes:
        play: Runs a candidate.
        names: Names of what was broken; a candidate fails in the same way if it breaks one of them.
        most_runs: Most runs.
        progress: Called after each run with the number of runs, or None.
        runs: Number of runs so far.
    """

    play: Play
    names: frozenset[str]
    most_runs: int = MOST_RUNS
    progress: Callable[[int], object] | None = None
    runs: int = 0
    _controls: Sequence[RunSettings] = ()
    _others: tuple[Input, ...] = ()
    _given: RunSettings | None = None

    def __post_init__(self) -> None:
        """Take all runs without an end for failures of one kind."""
        if self.names & _ENDLESS:
            self.names |= _ENDLESS

    def smallest(self, settings: RunSettings, report: SimulationReport) -> SimulationReport:
        """Return the report of the smallest run that was found; `report` is that of `settings`."""
        found = self._impatient(settings) or self._smallest(settings, report)
        smallest, report = found
        if smallest.is_smaller:
            return replace(report, config_text=json.dumps(written(smallest)) + "\n")
        return report

    def _impatient(self, settings: RunSettings) -> tuple[RunSettings, SimulationReport] | None:
        """Return a small run that never ends, from candidates that are given minutes to end, not hours.

        A run that goes round for hours, or at one instant, costs a thousand times what one that ends does.
        """
        if not self.names & _ENDLESS:
            return None
        changes: dict[str, Any] = {"most_readings": _IMPATIENT_READINGS}
        if settings.until is None:
            changes.update(patience=_IMPATIENT_SECONDS, most_work=_IMPATIENT_READINGS)
        quick = self._try(settings, **changes)
        found = None if quick is None else self._smallest(*quick)
        if found is not None:
            self.runs = 0  # else a search in vain would leave none for the other
            found = self._try(found[0], **{name: getattr(settings, name) for name in changes})
        return found

    def _smallest(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        self._given = settings
        best = self._inputs(*self._plan(settings, report))
        self._others = tuple(each for each in settings.inputs if each not in best[0].inputs)
        self._controls = tuple(self._controls_of(settings, best[0]))
        while True:
            before = _size(*best)
            for smaller in (
                self._plan, self._faults, self._inputs, self._processes, self._config, self._payloads, self._schedule,
            ):  # fmt: skip
                best = smaller(*best)
            if _size(*best) >= before or self.runs >= self.most_runs:
                return best

    def _controls_of(self, whole: RunSettings, failing: RunSettings) -> Iterator[RunSettings]:
        """Yield runs that do not fail, of which a smaller configuration must make nothing else.

        Else a configuration would be the smallest that treats every message wrongly, and say nothing. The inputs that
        were left out may fail themselves; each of several that fail together does not.
        """
        others = self._others
        candidates = [others or whole.inputs] if others or whole.faults else []
        if len(failing.inputs) > 1:
            candidates += [(each,) for each in failing.inputs[:_MOST_ALONE]]
        for inputs in candidates:
            control = replace(whole, inputs=inputs, faults=())
            self.runs += 1
            if self.play(control).ok:
                yield control

    def _holds(self, config: PipelineGlobalConfig) -> bool:
        """True if a configuration does not fail where it should not."""
        for each in self._controls:
            inputs = tuple(given for given in each.inputs if given.route in config.routes)
            if len(inputs) < len(each.inputs) and len(each.inputs) > 1:
                return False  # an input's route is gone
            if not inputs:
                continue
            self.runs += 1
            if not self.play(replace(each, config=config, inputs=inputs, models=_models_of(each, config))).ok:
                return False
        return True

    def _fails(self, settings: RunSettings) -> SimulationReport | None:
        """Return the report of a candidate, if it fails in the same way."""
        if self.runs >= self.most_runs:
            return None
        self.runs += 1
        if self.progress is not None:
            self.progress(self.runs)
        report = self.play(settings)
        return report if any(broken.name in self.names for broken in report.broken) else None

    def _try(self, settings: RunSettings, **changes: Any) -> tuple[RunSettings, SimulationReport] | None:
        try:
            candidate = replace(settings, **changes)
        except SimulationError:
            return None  # what is left does not fit together
        found = self._fails(candidate)
        return None if found is None else (candidate, found)

    def _list(
        self, settings: RunSettings, report: SimulationReport, name: str, elements: Sequence[Any]
    ) -> tuple[RunSettings, SimulationReport]:
        """Remove elements of one of the settings, as long as the rest fails."""
        best = settings, report
        size = len(elements)
        while size:
            start = 0
            while start < len(elements):
                rest = (*elements[:start], *elements[start + size :])
                changes: dict[str, Any] = {name: rest}
                found = self._try(best[0], **changes)
                if found is None:
                    start += size
                else:
                    best, elements = found, rest
            size //= 2
        return best

    def _plan(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        if tuple(report.fired) != settings.faults:
            settings, report = self._try(settings, faults=tuple(report.fired)) or (settings, report)
        return self._list(settings, report, "faults", settings.faults)

    def _inputs(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        return self._list(settings, report, "inputs", settings.inputs)

    def _processes(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        for number in range(1, settings.processes):
            found = self._try(settings, processes=number)
            if found is not None:
                return found
        return settings, report

    def _schedule(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        if settings.schedule == ():
            return settings, report
        decisions = range(1, report.decisions + 1) if settings.schedule is None else settings.schedule
        return self._list(settings, report, "schedule", tuple(decisions))

    def _payloads(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        if settings.inputs and (begin := settings.inputs[0].at):
            sooner = tuple(replace(each, at=each.at - begin) for each in settings.inputs)
            settings, report = self._try(settings, inputs=sooner) or (settings, report)
        whole = self._in_whole(settings)
        for place in range(len(settings.inputs)):
            for plainer in plainer_inputs(settings.inputs[place]):
                if _repeats(plainer, place, settings.inputs):
                    continue  # inputs that differed are to differ: two of one number would be another failure
                inputs = (*settings.inputs[:place], plainer, *settings.inputs[place + 1 :])
                found = self._try(settings, inputs=in_order(inputs))
                if found is None or found[1].trace.errors() - report.trace.errors():
                    continue  # another failure has other errors
                if whole is not None and self._try(whole, inputs=in_order(inputs)) is None:
                    continue  # it fails for what the configuration is without
                if self._is_its_own(settings, settings.inputs[place], plainer):
                    settings, report = found
                    break
        return settings, report

    def _in_whole(self, settings: RunSettings) -> RunSettings | None:
        """Return a run in the configuration that was given instead of a smaller one; None if it does not fail there."""
        if not settings.is_smaller or self._given is None:
            return None
        whole = replace(
            settings, config=self._given.config, models=self._given.models, is_smaller=self._given.is_smaller
        )
        return None if self._fails(whole) is None else whole

    def _is_its_own(self, settings: RunSettings, given: Input, plainer: Input) -> bool:
        """False if inputs that do not fail do without the field that a plainer form of an input is without.

        Then it is the lack of the field that fails: a message without a country is lost, too, but none is sent.
        """
        if not isinstance(given.payload, dict) or not isinstance(plainer.payload, dict):
            return True
        gone = given.payload.keys() - plainer.payload.keys()
        alike = [each for each in self._others if each.route == given.route and isinstance(each.payload, dict)]
        for other in [each for each in alike if gone <= each.payload.keys()][:_MOST_ALONE] if gone else ():
            rest = {name: value for name, value in other.payload.items() if name not in gone}
            if self._passes(settings, replace(other, payload=rest)):
                return True
            if self._passes(settings, other):
                return False
        return True

    def _passes(self, settings: RunSettings, alone: Input) -> bool:
        """True if an input does not fail alone, without faults."""
        self.runs += 1
        return self.play(replace(settings, inputs=(alone,), faults=())).ok

    def _faults(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        place = 0
        while place < len(settings.faults):
            for plainer in plainer_faults(settings.faults[place]):
                if plainer in settings.faults:
                    continue
                faults = (*settings.faults[:place], plainer, *settings.faults[place + 1 :])
                found = self._try(settings, faults=faults)
                if found is not None:
                    settings, report = found
                    break
            else:
                place += 1
        return settings, report

    def _config(self, settings: RunSettings, report: SimulationReport) -> tuple[RunSettings, SimulationReport]:
        again = True
        while again and self.runs < self.most_runs:
            again = False
            for mapping in _smaller_mappings(settings.config.to_mapping()):
                config = _loaded(settings, mapping)
                if config is None or _length(config) >= _length(settings.config):
                    continue  # the rest does not stand alone, or what was removed has come back as a default
                models = _models_of(settings, config)
                found = self._try(settings, config=config, models=models, is_smaller=True)
                if found is not None and self._holds(config):
                    (settings, report), again = found, True
                    break
        return settings, report


def _repeats(plainer: Input, place: int, inputs: Sequence[Input]) -> bool:
    """True if a plainer form of an input says what another input says, and the input itself does not."""
    given = inputs[place]
    return any(
        (other.route, other.key, other.payload) == (plainer.route, plainer.key, plainer.payload)
        and (other.route, other.payload) != (given.route, given.payload)
        for other in (*inputs[:place], *inputs[place + 1 :])
    )


def _size(settings: RunSettings, report: SimulationReport) -> tuple[int, ...]:
    decisions = report.decisions if settings.schedule is None else len(settings.schedule)
    return (
        len(settings.faults),
        len(settings.inputs),
        _length(settings.config),
        len(repr(settings.inputs)),
        len(repr(settings.faults)),
        decisions,
        settings.processes,
    )


def _models_of(settings: RunSettings, config: PipelineGlobalConfig) -> tuple[StageChange, ...]:
    """Return the models of the stages that are left."""
    left = {f"{route}/{stage.name}" for route, section in config.routes.items() for stage in section.adapters}
    return tuple(change for change in settings.models if change.stage in left)


def _length(config: PipelineGlobalConfig) -> int:
    return len(str(config.to_mapping()))


def _loaded(settings: RunSettings, mapping: Mapping[str, Any]) -> PipelineGlobalConfig | None:
    result = PipelineConfigLoader(settings.registry, operators=settings.operators).check_mapping(mapping)
    return result.config if result.is_valid else None


def written(settings: RunSettings) -> dict[str, Any]:
    """Return the configuration with what differs from defaults only."""
    mapping, wanted = settings.config.to_mapping(), settings.config.hash
    for path in list(_paths(mapping)):
        fewer = _removed(mapping, path)
        config = _loaded(settings, fewer)
        if config is not None and config.hash == wanted:
            mapping = fewer
    return mapping


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all keys of a mapping, outer ones first."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from _paths(inner, (*above, place))


def _removed(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a value without the key at a path; the value itself if there is no such place any more."""
    key, *inner = path
    if isinstance(value, Mapping):
        if key not in value:
            return value
        if not inner:
            return {other: each for other, each in value.items() if other != key}
        return {other: _removed(each, tuple(inner)) if other == key else each for other, each in value.items()}
    if not inner:
        return value
    return [_removed(each, tuple(inner)) if place == key else each for place, each in enumerate(value)]


def _smaller_mappings(mapping: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield configurations with one part less: a route, a stage, an outbound, a section, in this order."""
    routes: Mapping[str, Any] = mapping["routes"]
    for name in routes:
        if len(routes) > 1:
            yield {**mapping, "routes": {key: _without(route, name) for key, route in routes.items() if key != name}}
    for name, route in routes.items():
        for part in ("adapters", "outbound"):
            for place in range(len(route.get(part) or ())):
                fewer = [*route[part][:place], *route[part][place + 1 :]]
                yield {**mapping, "routes": {**routes, name: {**route, part: fewer}}}
        for key in route:
            if key not in {"adapters", "outbound", "inbound"}:
                rest = {other: value for other, value in route.items() if other != key}
                yield {**mapping, "routes": {**routes, name: rest}}
    for key in mapping:
        if key not in {"version", "routes"}:
            yield {other: value for other, value in mapping.items() if other != key}


def _without(route: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return a route without outbounds to a route that is gone."""
    kept = [outbound for outbound in route.get("outbound") or () if outbound.get("route") != target]
    return {**route, "outbound": kept}
