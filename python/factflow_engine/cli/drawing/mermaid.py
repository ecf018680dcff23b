"""Graphs in Mermaid, which Markdown viewers draw.

Labels are quoted, and everything in them but letters, digits and harmless punctuation is a character code, so that a
queue's name or a pattern cannot end the quotation, start HTML, or address the renderer in any other way.
"""

from typing import Final

from factflow_engine.cli.drawing.model import Edge, Graph, Kind
from factflow_engine.cli.text import clean

_HARMLESS: Final = frozenset(" ._-/,()=+*?!'")
_SHAPES: Final = {
    Kind.ROUTE: ('["', '"]'),
    Kind.QUEUE: ('[("', '")]'),
    Kind.TOPIC: ('{{"', '"}}'),
    Kind.INIT: ('(["', '"])'),
}


def to_mermaid(graph: Graph) -> str:
    """Return the text of a flowchart, without a fence around it."""
    lines = ["flowchart LR"]
    lines += [f"  %% {_text(graph.title)}"]
    for node in graph.nodes:
        opening, closing = _SHAPES[node.kind]
        lines.append(f"  {node.id}{opening}{'<br/>'.join(map(_text, node.lines))}{closing}")
    lines += [_edge(edge) for edge in graph.edges]
    return "\n".join(lines) + "\n"


def _edge(edge: Edge) -> str:
    arrow = "-.->" if edge.failures else "-->"
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"  {edge.source} {arrow}{label} {edge.target}"


def _text(text: str) -> str:
    return "".join(char if char.isalnum() or char in _HARMLESS else f"#{ord(char)};" for char in clean(text))
