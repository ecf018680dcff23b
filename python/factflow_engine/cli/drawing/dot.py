"""Graphs in DOT, for Graphviz.

Labels are quoted strings, in which only the quotation mark and the backslash are special.
"""

from typing import Final

from factflow_engine.cli.drawing.model import Edge, Graph, Kind
from factflow_engine.cli.text import clean

_SHAPES: Final = {Kind.ROUTE: "box", Kind.QUEUE: "cylinder", Kind.TOPIC: "hexagon", Kind.INIT: "oval"}


def to_dot(graph: Graph) -> str:
    """Return the text of a directed graph."""
    lines = [
        f"digraph {_quoted(graph.title)} {{",
        "  rankdir=LR;",
        '  node [fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    lines += [f"  {node.id} [shape={_SHAPES[node.kind]}, label={_quoted(*node.lines)}];" for node in graph.nodes]
    lines += [_edge(edge) for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _edge(edge: Edge) -> str:
    attributes = [f"label={_quoted(edge.label)}"] if edge.label else []
    if edge.failures:
        attributes.append("style=dashed")
    return f"  {edge.source} -> {edge.target}" + (f" [{', '.join(attributes)}]" if attributes else "") + ";"


def _quoted(*lines: str) -> str:
    escaped = [clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(escaped) + '"'
