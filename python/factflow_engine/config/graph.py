"""Which route feeds which: edges, cycles, and an order in which upstream comes first.

Apart from the checks because the runtime (it must know the cycles) and the command line (it draws it) use it too.
Components are Tarjan's (SIAM J. Comput. 1, 1972), walked without recursion; the order is by file where edges leave a
choice. Linear in routes and edges.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the runtime needs the graph, and only the loader the models
    from factflow_engine.config.models import PipelineGlobalConfig


class EdgeKind(StrEnum):
    """Why messages go from one route to another."""

    OUTBOUND = "outbound"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEdge:
    """Messages of `source` reach `target`.

    Attributes:
        source: Id of the route that publishes.
        target: Id of the route that reads.
        queue: The queue between them.
        kind: Why.
        index: Position among the source's outbounds; None for dead letters.
    """

    source: str
    target: str
    queue: str
    kind: EdgeKind
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteGraph:
    """The routes of a configuration and how messages move between them.

    Attributes:
        nodes: Ids of the routes, in file order.
        edges: In the order of their sources' outbounds; dead letters last.
        components: Strongly connected components, upstream first; a route on no cycle is one by itself.
        order: Ids of the routes, upstream first; on a cycle in file order.
        cycles: The components in which a message can come back to where it was.
    """

    nodes: tuple[str, ...]
    edges: tuple[RouteEdge, ...]
    components: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]

    def targets(self, route: str) -> tuple[str, ...]:
        """Routes that this one feeds, each once."""
        return tuple(dict.fromkeys(edge.target for edge in self.edges if edge.source == route))

    def reachable(self, starts: Iterable[str]) -> frozenset[str]:
        """Routes that messages of the given ones can come to, those included."""
        return reachable(starts, _adjacency(self.nodes, self.edges))


def build_graph(config: PipelineGlobalConfig) -> RouteGraph:
    """The graph of a loaded configuration.

    A route feeds another through an outbound that names it, or through a queue or topic (dead letters too) that the
    other reads.
    """
    nodes = tuple(config.routes)
    readers: dict[str, list[str]] = {}
    for route_id, route in config.routes.items():
        readers.setdefault(route.inbound.queue, []).append(route_id)
    edges: list[RouteEdge] = []
    for route_id, route in config.routes.items():
        for index, outbound in enumerate(route.outbound):
            # An outbound that names a route publishes to the queue which that route reads, and so may others.
            named = config.routes.get(outbound.route) if outbound.route is not None else None
            queue = named.inbound.queue if named is not None else outbound.queue or ""
            targets = readers.get(queue, [])
            edges.extend(
                RouteEdge(source=route_id, target=target, queue=queue, kind=EdgeKind.OUTBOUND, index=index)
                for target in targets
            )
        dead_letters = route.error_handling.dead_letter_queue
        if dead_letters is not None:
            edges.extend(
                RouteEdge(source=route_id, target=target, queue=dead_letters, kind=EdgeKind.DEAD_LETTER, index=None)
                for target in readers.get(dead_letters, [])
            )
    adjacency = _adjacency(nodes, edges)
    components = _in_order(strongly_connected(adjacency), adjacency)
    return RouteGraph(
        nodes=nodes,
        edges=tuple(edges),
        components=components,
        order=tuple(route for component in components for route in component),
        cycles=tuple(part for part in components if len(part) > 1 or any(node in adjacency[node] for node in part)),
    )


def _adjacency(nodes: Sequence[str], edges: Iterable[RouteEdge]) -> dict[str, list[str]]:
    targets: dict[str, dict[str, None]] = {node: {} for node in nodes}
    for edge in edges:
        targets[edge.source][edge.target] = None
    return {node: list(found) for node, found in targets.items()}


def reachable(starts: Iterable[str], adjacency: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """All that can be come to from the given nodes, those included."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for target in adjacency[waiting.pop()]:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return frozenset(found)


def strongly_connected(adjacency: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each in the order of the mapping; downstream first."""
    position = {node: index for index, node in enumerate(adjacency)}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components: list[list[str]] = []
    for root in adjacency:
        if root in index:
            continue
        walk = [(root, iter(adjacency[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while walk:
            node, targets = walk[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    walk.append((target, iter(adjacency[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    components.append(sorted(component, key=position.__getitem__))
    return components


def _in_order(components: list[list[str]], adjacency: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """The components upstream first, and by file order where that leaves a choice (Kahn's algorithm)."""
    position = {node: index for index, node in enumerate(adjacency)}
    parts = sorted(components, key=lambda part: position[part[0]])
    home = {node: number for number, part in enumerate(parts) for node in part}
    targets = [{home[target] for node in part for target in adjacency[node]} - {n} for n, part in enumerate(parts)]
    incoming = [0] * len(parts)
    for found in targets:
        for target in found:
            incoming[target] += 1
    ready = [number for number, count in enumerate(incoming) if not count]
    ordered: list[tuple[str, ...]] = []
    while ready:
        number = heapq.heappop(ready)
        ordered.append(tuple(parts[number]))
        for target in targets[number]:
            incoming[target] -= 1
            if not incoming[target]:
                heapq.heappush(ready, target)
    return tuple(ordered)
