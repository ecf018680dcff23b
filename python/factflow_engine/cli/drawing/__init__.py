"""A pipeline as a graph, and the languages that draw it.

Drawn from the written form of the configuration, so that a value from the environment appears as `${NAME}`.
"""

from factflow_engine.cli.drawing.as_json import to_json
from factflow_engine.cli.drawing.dot import to_dot
from factflow_engine.cli.drawing.mermaid import to_mermaid
from factflow_engine.cli.drawing.model import Edge, Graph, Kind, Node, graph_of

__all__ = ["Edge", "Graph", "Kind", "Node", "graph_of", "to_dot", "to_json", "to_mermaid"]
