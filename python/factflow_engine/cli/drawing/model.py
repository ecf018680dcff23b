"""Nodes and edges to draw: routes, queues, topics, init messages, and the writers of each.

Kept separate from the languages so that they only translate. Ids are counted; labels are the user's and may hold any
text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from factflow_engine.cli.drawing.condition_text import condition_text


class Kind(StrEnum):
    """Kind of a node."""

    ROUTE = "route"
    QUEUE = "queue"
    TOPIC = "topic"
    INIT = "init"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the graph.

    Attributes:
        id: Letters and digits, safe in every language.
        kind: Kind of the node, which decides its shape.
        lines: The label; any text.
    """

    id: str
    kind: Kind
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge of the graph.

    Attributes:
        source: Id of a node.
        target: Id of a node.
        label: Any text; empty for none.
        failures: True if only dead letters take it.
    """

    source: str
    target: str
    label: str = ""
    failures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph to draw.

    Attributes:
        title: Any text.
        nodes: In the configuration's order.
        edges: In the configuration's order.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(written: Mapping[str, Any]) -> Graph:
    """Return the graph of a complete configuration.

    Args:
        written: `PipelineGlobalConfig.to_mapping()`.
    """
    sketch = _Sketch(written["routes"])
    for message in written.get("init_message", ()):
        sketch.init(message)
    for route_id, route in written["routes"].items():
        sketch.route(route_id, route)
    return Graph(title=written["name"], nodes=tuple(sketch.nodes.values()), edges=tuple(sketch.edges))


class _Sketch:
    def __init__(self, routes: Mapping[str, Any]) -> None:
        self._inbound = {route_id: route["inbound"]["queue"] for route_id, route in routes.items()}
        self.nodes: dict[tuple[Kind, str], Node] = {}
        self.edges: list[Edge] = []

    def init(self, message: Mapping[str, Any]) -> None:
        node = self._node(Kind.INIT, "init message", ("init message",))
        self.edges.append(Edge(source=node, target=self._queue(self._inbound[message["route"]])))

    def route(self, route_id: str, route: Mapping[str, Any]) -> None:
        node = self._node(Kind.ROUTE, route_id, _route_label(route_id, route))
        inbound = route["inbound"]
        shown = "" if inbound["subscription"] == route_id else inbound["subscription"]
        self.edges.append(Edge(source=self._queue(inbound["queue"]), target=node, label=shown))
        first_only = route.get("outbound_mode") == "first"
        for number, outbound in enumerate(route.get("outbound", ()), 1):
            queue = outbound["queue"] if "queue" in outbound else self._inbound[outbound["route"]]
            label = condition_text(outbound["condition"]) if "condition" in outbound else ""
            if first_only:
                label = f"{number}. {label or 'else'}"
            self.edges.append(Edge(source=node, target=self._queue(queue), label=label))
        dead_letters = route.get("error_handling", {}).get("dead_letter_queue")
        if dead_letters is not None:
            self.edges.append(Edge(source=node, target=self._queue(dead_letters), label="dead letters", failures=True))

    def _queue(self, name: str) -> str:
        return self._node(Kind.TOPIC if name.startswith("/topic/") else Kind.QUEUE, name, (name,))

    def _node(self, kind: Kind, key: str, lines: tuple[str, ...]) -> str:
        if (kind, key) not in self.nodes:
            self.nodes[kind, key] = Node(id=f"n{len(self.nodes)}", kind=kind, lines=lines)
        return self.nodes[kind, key].id


def _route_label(route_id: str, route: Mapping[str, Any]) -> tuple[str, ...]:
    title = route_id if route["name"] == route_id else f"{route_id}: {route['name']}"
    return (title, *(_stage_label(stage) for stage in route.get("adapters", ())))


def _stage_label(stage: Mapping[str, Any]) -> str:
    label = str(stage["type"]) if stage["name"] == stage["type"] else f"{stage['name']} ({stage['type']})"
    return f"{label} if {condition_text(stage['condition'])}" if "condition" in stage else label
