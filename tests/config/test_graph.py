"""The graph of routes: against brute force, and on graphs that would break recursion."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.config import EdgeKind, PipelineConfigLoader, RouteEdge, build_graph
from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.graph import reachable, strongly_connected

GRAPHS = st.integers(1, 7).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size)
)


def document(targets: list[list[int]]) -> dict[str, Any]:
    routes = {
        f"r{index}": {"adapters": [{"type": "plain"}], "outbound": [{"route": f"r{target}"} for target in found]}
        for index, found in enumerate(targets)
    }
    return {"version": "1.0", "routes": routes}


@given(GRAPHS)
def test_components_order_and_cycles_are_what_reachability_says(
    loader: PipelineConfigLoader, targets: list[list[int]]
) -> None:
    graph = build_graph(loader.load_text(to_yaml(document(targets))))
    nodes = [f"r{index}" for index in range(len(targets))]
    adjacency = {f"r{index}": [f"r{target}" for target in found] for index, found in enumerate(targets)}
    reach = {node: reachable([node], adjacency) for node in nodes}
    for component in graph.components:
        for node in component:
            assert set(component) == {other for other in nodes if other in reach[node] and node in reach[other]}
        assert list(component) == sorted(component)
    assert sorted(graph.order) == nodes
    place = {node: number for number, component in enumerate(graph.components) for node in component}
    assert all(place[edge.source] <= place[edge.target] for edge in graph.edges)
    cyclic = {node for node in nodes if any(node in reach[target] for target in adjacency[node])}
    assert {node for cycle in graph.cycles for node in cycle} == cyclic
    assert graph.reachable(["r0"]) == reach["r0"]
    assert graph.targets("r0") == tuple(dict.fromkeys(adjacency["r0"]))


def test_without_edges_the_order_is_the_file_s(loader: PipelineConfigLoader) -> None:
    graph = build_graph(loader.load_text(to_yaml(document([[], [], [1]]))))
    assert graph.order == ("r0", "r2", "r1")


def test_queues_topics_and_dead_letters_are_edges(loader: PipelineConfigLoader) -> None:
    config = loader.load_text("""
version: "1.0"
routes:
  a:
    adapters: [{type: plain}]
    outbound: [{queue: /topic/t}, {queue: /queue/c}, {queue: /topic/elsewhere}]
    error_handling: {max_retries: 1, dead_letter_queue: /queue/dead}
  b: {inbound: {queue: /topic/t}, adapters: [{type: plain}]}
  c: {inbound: {queue: /topic/t, subscription: other}, adapters: [{type: plain}], outbound: [{route: d}]}
  d: {inbound: {queue: /queue/dead}, adapters: [{type: plain}]}
""")
    graph = build_graph(config)
    outbound, dead = EdgeKind.OUTBOUND, EdgeKind.DEAD_LETTER
    assert graph.edges == (
        RouteEdge(source="a", target="b", queue="/topic/t", kind=outbound, index=0),
        RouteEdge(source="a", target="c", queue="/topic/t", kind=outbound, index=0),
        RouteEdge(source="a", target="d", queue="/queue/dead", kind=dead, index=None),
        RouteEdge(source="c", target="d", queue="/queue/dead", kind=outbound, index=0),
    )
    assert graph.cycles == ()


def test_a_chain_of_many_routes_needs_no_recursion() -> None:
    size = 20_000
    adjacency = {str(index): [str(index + 1)] for index in range(size)} | {str(size): ["0"]}
    (component,) = strongly_connected(adjacency)
    assert len(component) == size + 1
    del adjacency[str(size)]
    adjacency[str(size - 1)] = []
    assert len(strongly_connected(adjacency)) == size
