"""Graphs as JSON, for programs: nodes and edges as the other languages draw them."""

import json
from dataclasses import asdict

from factflow_engine.cli.drawing.model import Graph


def to_json(graph: Graph) -> str:
    """Return an object with `title`, `nodes` (id, kind, lines) and `edges` (source, target, label, failures)."""
    return json.dumps(asdict(graph), indent=2, ensure_ascii=True) + "\n"
