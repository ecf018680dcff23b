"""Graph of the routes: edges, cycles, and an order with upstream routes first.

Kept separate from the checks because the runtime (which needs the cycles) and the command line (which draws it) use it,
too. Components are Tarjan's (SIAM J. Comput. 1, 1972), found without recursion; where edges leave a choice, the file's
order decides. Queues are nodes of the graph: a thousand routes that write to a topic which a thousand others read are
two thousand steps, instead of a million edges. So everything is linear in the text, except `edges` itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from factflow_engine.queues.naming import is_topic

if TYPE_CHECKING:  # the runtime needs the graph, and only the loader needs the models
    from factflow_engine.config.models import PipelineGlobalConfig

Vertex = TypeVar("Vertex", bound=Hashable)


class EdgeKind(StrEnum):
    """Reason why messages go from one route to another."""

    OUTBOUND = "outbound"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEdge:
    """Edge by which messages of `source` reach `target`.

    Attributes:
        source: Id of the publishing route.
        target: Id of the reading route.
        queue: The queue between them.
        kind: Reason of the edge.
        index: Position among the source's outbounds; None for dead letters.
    """

    source: str
    target: str
    queue: str
    kind: EdgeKind
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Edge by which messages of `source` reach a queue, whichever route reads it.

    Attributes:
        source: Id of the publishing route.
        queue: The queue or topic.
        kind: Reason of the edge.
        index: Position among the source's outbounds; None for dead letters.
    """

    source: str
    queue: str
    kind: EdgeKind
    index: int | None


@dataclass(frozen=True, slots=True)
class QueueVertex:
    """A queue as a node between routes; a type of its own, because a route may have the same name."""

    name: str


Adjacency = dict[str | QueueVertex, list[str | QueueVertex]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteGraph:
    """The routes of a configuration and the ways of messages between them.

    Attributes:
        nodes: Ids of the routes, in file order.
        publications: Publications in the order of their sources' outbounds; dead letters last.
        readers: Queue to the routes that read it, in file order.
        components: Strongly connected components, upstream first; a route on no cycle is a component by itself.
        order: Ids of the routes, upstream first; on a cycle in file order.
        cycles: The components in which a message can return to a route it has left.
    """

    nodes: tuple[str, ...]
    publications: tuple[Publication, ...]
    readers: Mapping[str, Sequence[str]]
    components: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]

    @property
    def edges(self) -> tuple[RouteEdge, ...]:
        """Edges between routes, computed at each access: as many as each queue's writers times its readers."""
        return tuple(self._edges(self.publications))

    def _edges(self, publications: Iterable[Publication]) -> Iterator[RouteEdge]:
        for sent in publications:
            for target in self.readers.get(sent.queue, ()):
                yield RouteEdge(source=sent.source, target=target, queue=sent.queue, kind=sent.kind, index=sent.index)

    def targets(self, route: str) -> tuple[str, ...]:
        """Return the routes that this one feeds, each once."""
        return tuple(
            dict.fromkeys(
                edge.target for edge in self._edges(sent for sent in self.publications if sent.source == route)
            )
        )

    def without(self, publications: Collection[Publication]) -> RouteGraph:
        """Return the graph in which some publications are not made; its cycles and its order stay."""
        return replace(self, publications=tuple(sent for sent in self.publications if sent not in publications))

    def reachable(self, starts: Iterable[str]) -> frozenset[str]:
        """Return the routes that messages of the given ones can reach, those included."""
        found = reachable(starts, adjacency(self.nodes, self.publications, self.readers))
        return frozenset(vertex for vertex in found if isinstance(vertex, str))


def build_graph(config: PipelineGlobalConfig) -> RouteGraph:
    """Build the graph of a loaded configuration.

    A route feeds another through an outbound that names it, or through a queue or topic (dead letters too) that the
    other one reads.
    """
    nodes = tuple(config.routes)
    readers: dict[str, list[str]] = {}
    for route_id, route in config.routes.items():
        readers.setdefault(route.inbound.queue, []).append(route_id)
    publications: list[Publication] = []
    for route_id, route in config.routes.items():
        for index, outbound in enumerate(route.outbound):
            # An outbound that names a route publishes to the queue of that route, and other outbounds may, too.
            named = config.routes.get(outbound.route) if outbound.route is not None else None
            queue = named.inbound.queue if named is not None else outbound.queue or ""
            publications.append(Publication(source=route_id, queue=queue, kind=EdgeKind.OUTBOUND, index=index))
        dead_letters = route.error_handling.dead_letter_queue
        if dead_letters is not None:
            publications.append(Publication(source=route_id, queue=dead_letters, kind=EdgeKind.DEAD_LETTER, index=None))
    vertices = adjacency(nodes, publications, readers)
    parts = strongly_connected(vertices)
    components = _in_order(parts, vertices)
    # Every cycle passes through a queue.
    with_queues = {
        vertex for part in parts if any(isinstance(vertex, QueueVertex) for vertex in part) for vertex in part
    }
    return RouteGraph(
        nodes=nodes,
        publications=tuple(publications),
        readers=readers,
        components=components,
        order=tuple(route for component in components for route in component),
        cycles=tuple(part for part in components if part[0] in with_queues),
    )


def entries(config: PipelineGlobalConfig, graph: RouteGraph) -> frozenset[str]:
    """Return the routes at which messages can enter: those of init messages, else those that no other route feeds.

    Topics are shared: other programs may publish to one, so that its readers are entries, too.
    """
    writers: dict[str, set[str]] = {}
    for sent in graph.publications:
        writers.setdefault(sent.queue, set()).add(sent.source)
    fed = {
        route_id
        for queue, routes in graph.readers.items()
        for route_id in routes
        if len(writers.get(queue, ())) > (route_id in writers.get(queue, ()))
    }
    starts = {message.route for message in config.init_message}
    if not starts:
        starts = {route for route in graph.nodes if route not in fed}
    return frozenset(starts | {route_id for route_id, route in config.routes.items() if is_topic(route.inbound.queue)})


def adjacency(
    nodes: Iterable[str], publications: Iterable[Publication], readers: Mapping[str, Sequence[str]]
) -> Adjacency:
    """Return the map of routes to the queues that they write to, and of queues to the routes that read them."""
    targets: dict[str | QueueVertex, dict[str | QueueVertex, None]] = {node: {} for node in nodes}
    for sent in publications:
        targets[sent.source][QueueVertex(sent.queue)] = None
    found: Adjacency = {vertex: list(queues) for vertex, queues in targets.items()}
    for queues in targets.values():
        for queue in queues:
            if isinstance(queue, QueueVertex) and queue not in found:
                found[queue] = list(readers.get(queue.name, ()))
    return found


def reachable(starts: Iterable[Vertex], adjacency: Mapping[Vertex, Sequence[Vertex]]) -> frozenset[Vertex]:
    """Return all nodes that can be reached from the given ones, those included."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for target in adjacency[waiting.pop()]:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return frozenset(found)


def strongly_connected(adjacency: Mapping[Vertex, Sequence[Vertex]]) -> list[list[Vertex]]:
    """Return the strongly connected components, each in the order of the mapping; downstream first."""
    position = {node: index for index, node in enumerate(adjacency)}
    index: dict[Vertex, int] = {}
    low: dict[Vertex, int] = {}
    stack: list[Vertex] = []
    on_stack: set[Vertex] = set()
    components: list[list[Vertex]] = []
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


def _in_order(components: list[list[str | QueueVertex]], adjacency: Adjacency) -> tuple[tuple[str, ...], ...]:
    """Return the routes of components, upstream first; ties are in file order (Kahn's algorithm)."""
    position = {vertex: index for index, vertex in enumerate(adjacency)}
    parts = sorted(components, key=lambda part: position[part[0]])
    home = {vertex: number for number, part in enumerate(parts) for vertex in part}
    targets = [{home[target] for vertex in part for target in adjacency[vertex]} - {n} for n, part in enumerate(parts)]
    routes = [tuple(vertex for vertex in part if isinstance(vertex, str)) for part in parts]
    incoming = [0] * len(parts)
    for found in targets:
        for target in found:
            incoming[target] += 1
    ready = [number for number, count in enumerate(incoming) if not count]
    ordered: list[tuple[str, ...]] = []
    while ready:
        number = heapq.heappop(ready)
        ordered.append(routes[number])
        passed = [number]
        while passed:
            for target in targets[passed.pop()]:
                incoming[target] -= 1
                if incoming[target]:
                    continue
                if routes[target]:
                    heapq.heappush(ready, target)
                else:  # a queue by itself takes no place: the routes it feeds are next
                    passed.append(target)
    return tuple(ordered)
