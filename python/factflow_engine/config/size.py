"""Size of a document with every alias and reference expanded.

Kept separate from the parser because the environment and inheritance enlarge a document, too: a section that thousands
of routes inherit, a variable that is referenced thousands of times, an alias of a long text. Everything made of it
(models, compiled conditions, the canonical text) is as large as the size measured here.
"""

from typing import Final

from factflow_engine.config.nodes import MappingNode, Mark, Node, ScalarNode, SequenceNode
from factflow_engine.config.report import Report

MAX_VALUES: Final = 1_000_000
MAX_ADDED_CHARACTERS: Final = 16 * 1024 * 1024
"""Most characters, keys included, beyond those of the text itself."""

_Size = tuple[int, int]


def is_bounded(root: Node, written: int, report: Report) -> bool:
    """True if a completed document is small enough to be built; otherwise a finding names the place of the excess.

    Args:
        root: The document; nodes may be shared. Takes time and memory proportional to the distinct ones.
        written: Number of characters of the text.
        report: Report that gets the finding.
    """
    most: _Size = MAX_VALUES, written + MAX_ADDED_CHARACTERS
    sizes: dict[int, _Size] = {}
    values, characters = _measure(root, sizes)
    if values <= most[0] and characters <= most[1]:
        return True
    too_many = f"{most[0]:,} values" if values > most[0] else f"{most[1]:,} characters"
    report.add(
        "E005",
        _where(root, most, sizes),
        f"written out, with aliases, variables and what routes and stages inherit, this has more than {too_many}",
        remedy="use fewer aliases, shorter variables, and short sections where they are inherited",
    )
    return False


def _children(node: Node) -> list[tuple[int, Node]]:
    """Return the children of a node, each with the number of characters of its key."""
    match node:
        case MappingNode(entries=entries):
            return [(len(key), value) for key, (_, value) in entries.items()]
        case SequenceNode(items=items):
            return [(0, item) for item in items]
        case ScalarNode():
            return []


def _measure(node: Node, sizes: dict[int, _Size]) -> _Size:
    known = sizes.get(id(node))
    if known is not None:
        return known
    values, characters = 1, 0
    if isinstance(node, ScalarNode):
        characters = len(node.value) if isinstance(node.value, str) else len(node.text)
    for key, child in _children(node):
        inner = _measure(child, sizes)
        values += inner[0]
        characters += inner[1] + key
    sizes[id(node)] = values, characters
    return values, characters


def _where(node: Node, most: _Size, sizes: dict[int, _Size]) -> Mark:
    """Return the place of the first value that exceeds a bound."""
    values = characters = 0
    while children := _children(node):
        for key, child in children:
            node = child
            inner = sizes[id(child)]
            if values + inner[0] > most[0] or characters + key + inner[1] > most[1]:
                break
            values += inner[0]
            characters += key + inner[1]
    return node.mark
