"""Coverage of a pipeline by its tests: routes, outbounds, conditions of stages, and each comparison, true and false.

Tests are run once more, with probes: a stage in front of each stage that has a condition, and behind the last stage of each
route whose outbounds have some. So what the tests say is said by the pipeline as it is. A comparison that another one makes
irrelevant is asked all the same. Kept separate from running, which needs no probes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from factflow_engine.conditions import Condition, compile_condition
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.completion import complete
from factflow_engine.config.nodes import MappingNode, dotted, locate
from factflow_engine.config.nodes import Path as TreePath
from factflow_engine.config.report import Report
from factflow_engine.config.yaml import parse
from factflow_engine.error_texts import sole_cause
from factflow_engine.testing.config_tests.observed import observed
from factflow_engine.testing.config_tests.running import chosen, play
from factflow_engine.testing.config_tests.stubs import Probe
from factflow_engine.testing.config_tests.suites import Suite
from factflow_protocols import FactflowError

_SEVERAL: Final = ("all_of", "any_of")

KINDS: Final = ("routes", "outbounds", "stage conditions", "comparisons")
"""Kinds of goals, in the order of the table."""


@dataclass(slots=True)
class Goal:
    """Something that tests should reach.

    Attributes:
        kind: One of `KINDS`.
        path: Place in the pipeline, as `routes.orders.outbound[0].condition`.
        line: Line of the pipeline's file; 0 if it is unknown.
        what: Description: `reached`, `taken`, `not taken`, `true`, `false`.
        text: The comparison or the target, for people.
        hits: Number of messages that reached it.
    """

    kind: str
    path: str
    line: int
    what: str
    text: str
    hits: int = 0


class Coverage:
    """Coverage of one pipeline.

    Args:
        config: The pipeline.
        file: Name of its file.

    Attributes:
        file: Name of the pipeline's file.
        goals: All goals, in the order of the pipeline.
    """

    def __init__(self, config: PipelineGlobalConfig, file: str) -> None:
        self.file: Final = file
        self.goals: Final[list[Goal]] = []
        self._places = _Places(config)
        self._probes: dict[tuple[str, int], list[Probe]] = {}
        self._reached: dict[str, Goal] = {}
        for route_id, route in config.routes.items():
            self._reached[route_id] = self._goal("routes", ("routes", route_id), "reached", route_id)
            for place, stage in enumerate(route.adapters):
                if stage.condition is not None:
                    path: TreePath = ("routes", route_id, "adapters", place, "condition")
                    probe = self._conditional(
                        "stage conditions", path, stage.condition.mapping, f"{route_id}/{stage.name}"
                    )
                    self._probes.setdefault((route_id, place), []).append(probe)
            if route.outbound:
                outbound = self._outbounds(route_id, config)
                self._probes.setdefault((route_id, len(route.adapters)), []).append(outbound)

    def add(self, suite: Suite, *, only: str | None = None) -> None:
        """Run the tests of a file once more, and count what they reach; a test that cannot be run reaches nothing."""
        probes = {place: partial(_all, probes) for place, probes in self._probes.items()}
        for test in chosen(suite, only):
            try:
                report = play(suite, test, test.seed, probes=probes)
            except Exception as error:
                if not isinstance(sole_cause(error), FactflowError):
                    raise
                continue
            for route, outcomes in observed(report).outcomes.items():
                self._reached[route].hits += sum(outcomes.values())

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the goals that were reached, and all, by kind."""
        return {
            kind: (
                sum(goal.hits > 0 for goal in self.goals if goal.kind == kind),
                sum(goal.kind == kind for goal in self.goals),
            )
            for kind in KINDS
        }

    @property
    def missed(self) -> list[Goal]:
        """Goals that no test reaches."""
        return [goal for goal in self.goals if not goal.hits]

    def _goal(self, kind: str, path: TreePath, what: str, text: str) -> Goal:
        goal = Goal(kind=kind, path=dotted(path), line=self._places.line(path), what=what, text=text)
        self.goals.append(goal)
        return goal

    def _conditional(self, kind: str, path: TreePath, condition: Mapping[str, Any], text: str) -> Callable[[Any], None]:
        """Return the probe of a condition: of the whole, and of each comparison in it."""
        whole = self._pair(kind, path, text)
        compiled = compile_condition(condition)
        leaves = [
            (compile_condition(leaf), self._pair("comparisons", (*path, *inside), _shown(leaf)))
            for inside, leaf in _leaves(condition, ())
        ]

        def probe(message: Any) -> None:
            whole[compiled.matches_value(message)].hits += 1
            _ask(leaves, message)

        return probe

    def _pair(self, kind: str, path: TreePath, text: str) -> dict[bool, Goal]:
        words = {True: "taken", False: "not taken"} if kind == "outbounds" else {True: "true", False: "false"}
        return {is_so: self._goal(kind, path, words[is_so], text) for is_so in (True, False)}

    def _outbounds(self, route_id: str, config: PipelineGlobalConfig) -> Callable[[Any], None]:
        """Return the probe of a route's outbounds."""
        route = config.routes[route_id]
        rows: list[tuple[Condition | None, Mapping[bool, Goal]]] = []
        leaves: list[tuple[Condition, Mapping[bool, Goal]]] = []
        for place, outbound in enumerate(route.outbound):
            path: TreePath = ("routes", route_id, "outbound", place)
            text = f"{route_id} -> {outbound.route or outbound.queue}"
            if outbound.condition is None:
                rows.append((None, {True: self._goal("outbounds", path, "taken", text)}))
                continue
            mapping = outbound.condition.mapping
            rows.append((compile_condition(mapping), self._pair("outbounds", path, text)))
            leaves += [
                (compile_condition(leaf), self._pair("comparisons", (*path, "condition", *inside), _shown(leaf)))
                for inside, leaf in _leaves(mapping, ())
            ]
        takes_first = route.outbound_mode == "first"

        def probe(message: Any) -> None:
            _ask(leaves, message)
            for condition, goals in rows:
                is_taken = condition is None or condition.matches_value(message)
                goals[is_taken].hits += 1
                if is_taken and takes_first:
                    break

        return probe


def _all(probes: Sequence[Probe], message: Any) -> None:
    for probe in probes:
        probe(message)


def _ask(leaves: Sequence[tuple[Condition, Mapping[bool, Goal]]], message: Any) -> None:
    for condition, goals in leaves:
        goals[condition.matches_value(message)].hits += 1


def _leaves(condition: Mapping[str, Any], path: TreePath) -> Iterator[tuple[TreePath, Mapping[str, Any]]]:
    """Yield the comparisons of a condition with their places; what any_element asks of elements is one."""
    for name in _SEVERAL:
        if name in condition:
            for place, each in enumerate(condition[name]):
                yield from _leaves(each, (*path, name, place))
            return
    if "not" in condition:
        yield from _leaves(condition["not"], (*path, "not"))
    else:
        yield path, condition


def _shown(leaf: Mapping[str, Any]) -> str:
    if "any_element" in leaf:
        return f"any_element of {leaf['any_element'].get('field', '@')}"
    value = leaf.get("value", "")
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)  # as YAML says it
    words = [leaf.get("field", "@"), leaf.get("operator", "eq"), written]
    return " ".join(str(word) for word in words if word != "")[:120]


class _Places:
    """Lines of a pipeline's text."""

    def __init__(self, config: PipelineGlobalConfig) -> None:
        tree = parse(config.source, Report("")) if config.source else None
        self._root = complete(tree) if isinstance(tree, MappingNode) else None

    def line(self, path: TreePath) -> int:
        return 0 if self._root is None else locate(self._root, path)[0].line


def percent(counts: Mapping[str, tuple[int, int]]) -> float:
    """Return the share of goals that were reached, in percent; 100 if there are none."""
    reached, total = (sum(pair[place] for pair in counts.values()) for place in (0, 1))
    return 100.0 if not total else 100.0 * reached / total


def document(coverages: Sequence[Coverage]) -> dict[str, Any]:
    """Return coverages as a JSON document."""
    return {
        "percent": round(percent(total(coverages)), 2),
        "pipelines": [
            {
                "file": each.file,
                "percent": round(percent(each.counts()), 2),
                "counts": {kind: {"reached": got, "total": of} for kind, (got, of) in each.counts().items()},
                "goals": [
                    {name: getattr(goal, name) for name in ("kind", "path", "line", "what", "text", "hits")}
                    for goal in each.goals
                ],
            }
            for each in coverages
        ],
    }


def total(coverages: Sequence[Coverage]) -> dict[str, tuple[int, int]]:
    """Return the goals that were reached, and all, by kind, over several pipelines."""
    found = [each.counts() for each in coverages]
    return {kind: (sum(one[kind][0] for one in found), sum(one[kind][1] for one in found)) for kind in KINDS}
