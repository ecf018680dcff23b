"""The properties, each a function of a loaded configuration."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, Final

from factflow_engine.analysis.promises import dead_lettered, keeps_order
from factflow_engine.analysis.switches import taken_by
from factflow_engine.analysis.verdict import Status, Verdict
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.conditions.examples import Example, find_example
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.graph import EdgeKind, Publication, RouteGraph, build_graph, entries
from factflow_engine.config.models import RouteConfig
from factflow_engine.errors import UndecidedError

MOST_STEPS: Final = 20_000
"""Steps from route to route in the search for circles, of routes that lead into one another."""

MOST_PAIRS: Final = 2_000
"""Pairs of outbounds of one route that are compared."""


def reachable(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say whether messages can come to each route and to each outbound.

    An outbound gets messages if its route does and its condition can hold, beside those of the earlier outbounds of a
    switch. Routes are followed from init messages, topics, and routes that nothing feeds if there are no init messages.
    """
    graph = build_graph(config)
    verdicts: list[Verdict] = []
    dead: list[Publication] = []
    for route_id, route in config.routes.items():
        for index, condition in enumerate(taken_by(route)):
            found = _asked(
                "reachable",
                f"routes.{route_id}.outbound[{index}]",
                [condition],
                operators=operators,
                if_none=(Status.FAILS, "no message can go here"),
                if_found=(Status.HOLDS, "a message that goes here"),
            )
            verdicts.append(found)
            if found.status is Status.FAILS:
                dead += [sent for sent in graph.publications if (sent.source, sent.index) == (route_id, index)]
    live = graph.without(dead)
    reached = live.reachable(entries(config, graph))
    for route_id in config.routes:
        is_reached = route_id in reached
        message = "messages can come to this route" if is_reached else "no message can come to this route"
        status = Status.HOLDS if is_reached else Status.FAILS
        verdicts.append(Verdict(name="reachable", path=f"routes.{route_id}", status=status, message=message))
    return verdicts


def live_conditions(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say whether each condition can hold, and can fail: one that cannot do both decides nothing."""
    verdicts: list[Verdict] = []
    for path, condition in _conditions(config):
        ask = partial(_asked, "live_condition", path, operators=operators)
        can_hold = ask(
            [condition],
            if_none=(Status.FAILS, "it holds for no message"),
            if_found=(Status.HOLDS, "a message for which it holds"),
        )
        can_fail = ask(
            [],
            [condition],
            if_none=(Status.FAILS, "it holds for every message"),
            if_found=(Status.HOLDS, "a message for which it does not hold"),
        )
        verdicts.append(can_hold if can_hold.status is not Status.HOLDS else can_fail)
    return verdicts


def covering(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say of each route with outbounds whether every message goes to at least one of them."""
    return [
        _asked(
            "covering",
            f"routes.{route_id}.outbound",
            [],
            taken_by(route),
            operators=operators,
            if_none=(Status.HOLDS, "every message goes somewhere"),
            if_found=(Status.FAILS, f"no outbound takes this message (unrouted: {route.unrouted})"),
        )
        for route_id, route in config.routes.items()
        if route.outbound
    ]


def exclusive(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say of each route with several outbounds whether no message goes to two of them."""
    return [
        _exclusive(route_id, route, operators) for route_id, route in config.routes.items() if len(route.outbound) > 1
    ]


def _exclusive(route_id: str, route: RouteConfig, operators: OperatorRegistry | None) -> Verdict:
    path = f"routes.{route_id}.outbound"
    if route.outbound_mode == "first":
        message = "outbound_mode: first takes the first one that holds"
        return Verdict(name="exclusive", path=path, status=Status.HOLDS, message=message)
    answer = Verdict(name="exclusive", path=path, status=Status.HOLDS, message="no message goes to two outbounds")
    for count, ((one, first), (two, second)) in enumerate(combinations(enumerate(taken_by(route)), 2)):
        if count == MOST_PAIRS:
            message = f"the first {MOST_PAIRS:,} pairs of outbounds take no message together; there are more"
            return Verdict(name="exclusive", path=path, status=Status.OPEN, message=message)
        found = _asked(
            "exclusive",
            path,
            [first, second],
            operators=operators,
            if_none=(Status.HOLDS, answer.message),
            if_found=(Status.FAILS, f"outbounds {one} and {two} both take this message"),
        )
        if found.status is Status.FAILS:
            return found
        if found.status is Status.OPEN:
            answer = found
    return answer


def loops_end(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say of each circle of routes whether something ends a message's way round it.

    A circle of outbounds ends by a `deadline_seconds`, which counts from the message's publication, of a route on it that
    has a stage without a condition: stages are where it is looked at. Without stages, a message goes round for ever if it
    meets the conditions of all outbounds of some circle, and no message does if none meets those of one. What stages make
    of messages, and which fail and come back as dead letters, is left open.
    """
    graph = build_graph(config)
    verdicts: list[Verdict] = []
    for part in graph.cycles:
        try:
            verdicts += [_end_of(config, circle, operators) for circle in _circles(graph, part)]
        except UndecidedError as error:
            path = f"routes.{part[0]}"
            verdicts.append(Verdict(name="loops_end", path=path, status=Status.OPEN, message=f"not decided: {error}"))
    return verdicts


def _end_of(config: PipelineGlobalConfig, circle: Sequence[Publication], operators: OperatorRegistry | None) -> Verdict:
    routes = [config.routes[sent.source] for sent in circle]
    first = circle[0]
    path = f"routes.{first.source}" + (f".outbound[{first.index}]" if first.index is not None else "")
    shown = " -> ".join([*(sent.source for sent in circle), first.source])
    by_failing = any(sent.kind is EdgeKind.DEAD_LETTER for sent in circle)
    if by_failing:
        message = f"{shown}: a message that fails each time goes round for ever, as a dead letter"
        return Verdict(name="loops_end", path=path, status=Status.OPEN, message=message)
    budgets = [
        route.error_handling.deadline_seconds
        for route in routes
        if route.error_handling.deadline_seconds is not None
        and any(stage.condition is None for stage in route.adapters)
    ]
    if budgets:
        message = f"{shown} ends by a deadline of {min(budgets):g} s"
        return Verdict(name="loops_end", path=path, status=Status.HOLDS, message=message)
    has_stages = any(route.adapters for route in routes)
    return _asked(
        "loops_end",
        path,
        [taken_by(route)[sent.index or 0] for route, sent in zip(routes, circle, strict=True)],
        operators=operators,
        if_none=(
            (Status.OPEN, f"{shown}: a stage must change a message for it to go round, and may for ever")
            if has_stages
            else (Status.HOLDS, f"no message goes round {shown}")
        ),
        if_found=(
            (Status.OPEN, f"{shown}: unless a stage changes it, this message goes round for ever")
            if has_stages
            else (Status.FAILS, f"{shown}: this message goes round for ever")
        ),
    )


def _circles(graph: RouteGraph, part: Sequence[str]) -> Iterator[list[Publication]]:
    """Give the circles within a strongly connected part, each once: a message that goes round for ever goes round one.

    Each begins at its first route, in the part's order, and leads through later ones only.

    Raises:
        UndecidedError: There are too many.
    """
    rank = {route: place for place, route in enumerate(part)}
    steps: dict[str, list[tuple[Publication, str]]] = {route: [] for route in part}
    for sent in graph.publications:
        if sent.source in rank:
            steps[sent.source] += [(sent, target) for target in graph.readers.get(sent.queue, ()) if target in rank]
    tried = 0
    for start in part:
        way: list[Publication] = []
        routes = [start]
        waiting = [iter(steps[start])]
        while waiting:
            for sent, target in waiting[-1]:
                tried += 1
                if tried > MOST_STEPS:
                    raise UndecidedError(
                        f"{MOST_STEPS:,} steps along circles of these routes were tried, and there are more"
                    )
                if target == start:
                    yield [*way, sent]
                elif rank[target] > rank[start] and target not in routes:
                    way.append(sent)
                    routes.append(target)
                    waiting.append(iter(steps[target]))
                    break
            else:
                waiting.pop()
                routes.pop()
                if way:
                    way.pop()


Property = Callable[[PipelineGlobalConfig, OperatorRegistry | None], list[Verdict]]

PROPERTIES: Final[Mapping[str, Property]] = {
    "reachable": reachable,
    "live_condition": live_conditions,
    "loops_end": loops_end,
    "covering": covering,
    "exclusive": exclusive,
    "dead_lettered": dead_lettered,
    "keeps_order": keeps_order,
}
"""The properties by name. The first three are those whose failure is a mistake; the rest depend on what is meant."""


def check_routing(
    config: PipelineGlobalConfig, names: Sequence[str] = tuple(PROPERTIES), operators: OperatorRegistry | None = None
) -> list[Verdict]:
    """Return the verdicts of several properties, in their order.

    Raises:
        ValueError: There is no such property.
    """
    unknown = [name for name in names if name not in PROPERTIES]
    if unknown:
        raise ValueError(f"expected properties among {', '.join(PROPERTIES)}, got {unknown[0]!r}")
    return [verdict for name in names for verdict in PROPERTIES[name](config, operators)]


def _conditions(config: PipelineGlobalConfig) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for route_id, route in config.routes.items():
        for place, stage in enumerate(route.adapters):
            if stage.condition is not None:
                yield f"routes.{route_id}.adapters[{place}].condition", stage.condition.mapping
        for place, outbound in enumerate(route.outbound):
            if outbound.condition is not None:
                yield f"routes.{route_id}.outbound[{place}].condition", outbound.condition.mapping


def _asked(
    name: str,
    path: str,
    holding: Sequence[Mapping[str, Any]],
    failing: Sequence[Mapping[str, Any]] = (),
    *,
    operators: OperatorRegistry | None,
    if_none: tuple[Status, str],
    if_found: tuple[Status, str],
) -> Verdict:
    """Return the verdict by whether there is a message."""
    found: Example | None
    try:
        found = find_example(holding, failing, operators=operators)
    except UndecidedError as error:
        return Verdict(name=name, path=path, status=Status.OPEN, message=f"not decided: {error}")
    status, message = if_none if found is None else if_found
    return Verdict(name=name, path=path, status=status, message=message, example=found)
