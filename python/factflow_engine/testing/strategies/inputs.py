"""Strategy for inputs of simulated runs: messages for the routes at which a pipeline begins.

Kept separate from `messages`, which knows no configuration, and from `conditions`, whose payloads are for one condition.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hypothesis import strategies as st

from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig, RouteConfig, build_graph
from factflow_engine.config.graph import RouteGraph
from factflow_engine.errors import UndecidedError
from factflow_engine.queues.naming import is_topic
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.strategies.conditions import payloads_matching, payloads_not_matching
from factflow_engine.testing.strategies.errors import StrategyError
from factflow_engine.testing.strategies.messages import messages

_TIMES: Final = st.sampled_from((0.0, 0.0, 1.0, 0.1, 5.0))
_LATER: Final = st.sampled_from((1.0, 1.0, 5.0))
_KEYS: Final = st.sampled_from((None, None, "a", "b"))


def inputs(
    config: PipelineGlobalConfig, *, most: int = 5, operators: OperatorRegistry | None = None
) -> st.SearchStrategy[list[Input]]:
    """Return a strategy for inputs of a run, which shrink to none.

    They are for the routes that no other route feeds (all routes, if there is none), and the first five seconds; those for a
    route that reads a topic come after the first second, because a topic keeps nothing for those who do not read it yet. A
    payload is any message, or one that makes a condition true or false: of a stage or an outbound, in its route or in one
    that messages reach from there.

    Args:
        config: The configuration.
        most: Most inputs of a run.
        operators: Operators of conditions besides the built-in ones.

    Raises:
        StrategyError: `most` is less than 0.
        ConditionErrors: A condition has an operator that is not among these.

    Example:
        @given(inputs(config))
        def test_no_order_is_lost(orders):
            simulate(config, inputs=orders, seed=1).check()
    """
    if most < 0:
        raise StrategyError(f"most: expected 0 or more, got {most}")
    graph = build_graph(config)
    each: list[st.SearchStrategy[Input]] = []
    for route in _unfed(graph):
        payloads = _payloads(config, graph.reachable([route]), operators)
        times = _LATER if is_topic(config.routes[route].inbound.queue) else _TIMES
        each.append(st.builds(Input, st.just(route), payloads, key=_KEYS, at=times))
    return st.lists(st.one_of(each), max_size=most)


def _unfed(graph: RouteGraph) -> list[str]:
    """Return the routes that no other route feeds; all of them, if there is none."""
    feeding = [(sent.source, route) for sent in graph.publications for route in graph.readers.get(sent.queue, ())]
    fed = {route for source, route in feeding if source != route}
    return [route for route in graph.nodes if route not in fed] or list(graph.nodes)


def _payloads(
    config: PipelineGlobalConfig, routes: frozenset[str], operators: OperatorRegistry | None
) -> st.SearchStrategy[Any]:
    strategies = [messages()]
    for condition in _conditions(config, routes):
        for payloads in (payloads_matching, payloads_not_matching):
            try:
                strategies.append(payloads(condition, operators=operators))
            except (ValueError, UndecidedError):  # it holds for none, or for all
                continue
    return st.one_of(strategies)


def _conditions(config: PipelineGlobalConfig, routes: frozenset[str]) -> list[Mapping[str, Any]]:
    """Return the different conditions of some routes, in the order of the configuration."""
    found: list[Mapping[str, Any]] = []
    for name, route in config.routes.items():
        if name in routes:
            found += [condition for condition in _of_route(route) if condition not in found]
    return found


def _of_route(route: RouteConfig) -> Iterator[Mapping[str, Any]]:
    written = [stage.condition for stage in route.adapters] + [outbound.condition for outbound in route.outbound]
    yield from (condition.mapping for condition in written if condition is not None)
