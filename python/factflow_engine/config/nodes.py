"""YAML document as a tree in which every key, value and item knows its place.

Kept separate from the parser because every check of a configuration walks this tree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.config.scalars import Scalar
from factflow_engine.config.written import Reference, escape
from factflow_engine.error_texts import CUT

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text; line and column from 1."""

    line: int
    column: int


START: Final = Mark(1, 1)
LONGEST_KEY: Final = 128
"""Most characters of a key that a path shows: a key may be a megabyte long, with thousands of findings below it."""


class ScalarNode:
    """A scalar: its text, and the value that the text is read as."""

    __slots__ = ("alternative", "mark", "plain", "text", "value", "variables", "whole")

    def __init__(self, mark: Mark, text: str, value: Scalar, *, plain: bool = False) -> None:
        self.mark = mark
        self.text = text
        self.value = value
        # True if it was written without quotes and tag.
        self.plain = plain
        # Names of the environment's variables in it.
        self.variables: tuple[str, ...] = ()
        # True if it is one reference and nothing else.
        self.whole = False
        # The other reading of a value that is one reference and nothing else; () if there is none.
        self.alternative: tuple[Scalar] | tuple[()] = ()

    def flip(self) -> bool:
        """Switch to the other reading, once; True if there was one."""
        if not self.alternative:
            return False
        (self.value,) = self.alternative
        self.alternative = ()
        return True


@dataclass(slots=True)
class MappingNode:
    """A mapping: each key with its place and its value."""

    mark: Mark
    entries: "dict[str, tuple[Mark, Node]]"

    def get(self, key: str) -> "Node | None":
        """Return the value under a key."""
        entry = self.entries.get(key)
        return None if entry is None else entry[1]

    def text(self, key: str) -> str | None:
        """Return the value under a key if it is a string."""
        return string(self.get(key))

    def mapping(self, key: str) -> "MappingNode | None":
        """Return the value under a key if it is a mapping."""
        value = self.get(key)
        return value if isinstance(value, MappingNode) else None

    def items(self, key: str) -> "list[Node]":
        """Return the items under a key if it is a sequence, else none."""
        value = self.get(key)
        return value.items if isinstance(value, SequenceNode) else []


@dataclass(slots=True)
class SequenceNode:
    """A sequence; each item knows its place."""

    mark: Mark
    items: "list[Node]"


Node = ScalarNode | MappingNode | SequenceNode


def string(node: Node | None) -> str | None:
    """Return the value of a node if it is a string; None otherwise."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None


def plain_value(node: Node) -> Any:
    """Return the data of a node, with the environment's values in place."""
    match node:
        case ScalarNode():
            return node.value
        case MappingNode():
            return {key: plain_value(value) for key, (_, value) in node.entries.items()}
        case SequenceNode():
            return [plain_value(item) for item in node.items]


def written_references(node: Node, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path of each value from the environment, with the written text."""
    match node:
        case ScalarNode():
            if node.variables:
                yield path, Reference(node.text) if node.plain and node.whole else node.text
        case MappingNode():
            for key, (_, value) in node.entries.items():
                yield from written_references(value, (*path, key))
        case SequenceNode():
            for index, item in enumerate(node.items):
                yield from written_references(item, (*path, index))


def has_variables(node: Node) -> bool:
    """True if the node contains a value from the environment."""
    return next(written_references(node), None) is not None


def locate(root: Node, path: Path) -> tuple[Mark, Node, int]:
    """Return the node at a path, or the last one on the way to it.

    Returns:
        The place where it is written (a value's own place), the node, and the number of path parts followed.
    """
    node: Node = root
    for depth, part in enumerate(path):
        if isinstance(node, MappingNode) and isinstance(part, str) and part in node.entries:
            node = node.entries[part][1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and -1 < part < len(node.items):
            node = node.items[part]
        else:
            return node.mark, node, depth
    return node.mark, node, len(path)


def key_mark(root: Node, path: Path) -> Mark:
    """Return the place of the key at the end of a path; an item's own place; the start for the document."""
    if not path:
        return root.mark if isinstance(root, ScalarNode) else START
    parent = locate(root, path[:-1])[1]
    if isinstance(parent, MappingNode) and isinstance(path[-1], str) and path[-1] in parent.entries:
        return parent.entries[path[-1]][0]
    return locate(root, path)[0]


def dotted(path: Path) -> str:
    """Format a path as in findings: `routes.parse.adapters[0].type`. Keys that are not names are cut."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            shown = part if len(part) <= LONGEST_KEY else part[:LONGEST_KEY] + CUT
            parts.append(f".{shown}" if parts else shown)
    return "".join(parts)


def literal(value: Scalar, mark: Mark) -> ScalarNode:
    """Return a scalar that was not written, at the place of the reason for it."""
    return ScalarNode(mark, escape(value) if isinstance(value, str) else "", value)
