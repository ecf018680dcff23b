"""Text of a drawn configuration: YAML in which short values stand on one line, and a `str` whose `repr` shows lines.

Kept separate from the engine's canonical text, which writes a line for each value, because people read this one.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from factflow_engine.config.canonical import to_yaml

_WIDTH: Final = 100
"""Longest line in which a map or a list is written in braces or brackets, in characters."""

Path = tuple[str | int, ...]


class ConfigText(str):
    """Text of a configuration in YAML.

    Its `repr`, which hypothesis prints of a failing example, is Python over several lines that makes it again.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a triple-quoted string, whose lines are those of the text."""
        if not self.isprintable() and re.search(r"[^\n -~]", self):
            return str.__repr__(self)
        escaped = self.replace("\\", "\\\\").replace('"""', '""\\"')
        return f'"""\\\n{escaped}"""'


class Layout:
    """YAML text of a document, and the line of each value.

    Attributes:
        lines: The lines.
        keys: Line on which the key, or the dash, of each value stands, by the value's path; lines are counted from 1.
        values: Line on which each value begins, by its path.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.lines: list[str] = []
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {(): 1}
        self._map(document, "", ())

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines) + "\n"

    def _map(self, value: Mapping[str, Any], indent: str, path: Path) -> None:
        for key, item in value.items():
            self._item(f"{indent}{_scalar(key)}:", item, indent, (*path, key))

    def _item(self, head: str, item: Any, indent: str, path: Path) -> None:
        self.keys[path] = len(self.lines) + 1
        flow = _flow(item) if path not in _BLOCKS else None
        if flow is not None and len(head) + 1 + len(flow) <= _WIDTH:
            self.values[path] = len(self.lines) + 1
            self._note(item, path)
            self.lines.append(f"{head} {flow}")
            return
        self.lines.append(head)
        self.values[path] = len(self.lines) + 1
        if isinstance(item, Mapping) and item:
            self._map(item, f"{indent}  ", path)
        elif isinstance(item, list) and item:
            self._list(item, f"{indent}  ", path)
        else:
            self.lines[-1] = f"{head} {_flow(item)}"
            self.values[path] = len(self.lines)

    def _list(self, items: list[Any], indent: str, path: Path) -> None:
        for index, item in enumerate(items):
            where = (*path, index)
            flow = _flow(item)
            self.keys[where] = self.values[where] = len(self.lines) + 1
            if len(indent) + 2 + len(flow) <= _WIDTH or not isinstance(item, (Mapping, list)) or not item:
                self._note(item, where)
                self.lines.append(f"{indent}- {flow}")
                continue
            before = len(self.lines)
            if isinstance(item, Mapping):
                self._map(item, f"{indent}  ", where)
            else:
                self._list(item, f"{indent}  ", where)
            self.lines[before] = f"{indent}- {self.lines[before][len(indent) + 2 :]}"

    def _note(self, value: Any, path: Path) -> None:
        """Note that all parts of a value stand on the next line."""
        inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inside:
            self.keys[(*path, key)] = self.values[(*path, key)] = len(self.lines) + 1
            self._note(item, (*path, key))


_BLOCKS: Final = frozenset({("routes",)})
"""Maps that are written over several lines however short they are."""


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    return to_yaml(value)[:-1]
