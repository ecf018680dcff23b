"""Interpolation of `${NAME}`, `${NAME:default}` and `${secret:NAME}` in values, from the environment.

Kept separate from the parser because it runs on the finished tree: the content of a variable is never read as YAML
structure, and keys are never references. `$${` is a literal `${`.

A value that is one reference and nothing else is read as a plain scalar if it is unquoted (`port: ${PORT}` is a
number), and as text if it is quoted. If its field accepts only the other reading, it gets that one.

Values of secrets (see `secret_variables`; also those of references marked `secret:`) are shown as the references.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from factflow_engine.config.hiding import SHORTEST
from factflow_engine.config.nodes import MappingNode, Node, Path, ScalarNode, SequenceNode
from factflow_engine.config.report import Report
from factflow_engine.config.scalars import NumberTooLongError, Scalar, resolve_plain
from factflow_engine.config.secret_variables import is_secret

MAX_GROWTH: Final = 8 * 1024 * 1024
"""Most characters that the environment may add to a document: a large variable may be referenced thousands of times."""

_START: Final = re.compile(
    r"\$\$\{|\$\{(?P<marked>secret:(?=[A-Za-z_][A-Za-z0-9_]*[:}]))?(?P<name>[A-Za-z_][A-Za-z0-9_]*)?"
)
_LONGEST_HIDDEN: Final = 200
"""Longest text that is hidden completely because it contains a short value."""
_AROUND: Final = 32
"""Characters on each side that are hidden with a short value in a longer text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """A reference in a text, or an incomplete one.

    Attributes:
        start: Offset of its beginning.
        end: Offset of its end.
        name: The variable; None for an escaped `${`, and for malformed references.
        default: Text to use if the variable is undefined.
        is_marked: True if the reference marks the value as a secret.
    """

    start: int
    end: int
    name: str | None = None
    default: str | None = None
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class _Insertion:
    """A value of the environment in a text: its place there, and the place of its reference."""

    value: str
    start: int
    reference: _Reference


def interpolate(root: Node, environ: Mapping[str, str], report: Report) -> None:
    """Replace references by values, and add these to the report's secrets.

    A reference that cannot be resolved is a finding; its value stays the written text.
    """
    seen: set[int] = set()
    left = MAX_GROWTH
    for path, node in _scalars(root, ()):
        if id(node) in seen or not isinstance(node.value, str) or "${" not in node.value:
            continue
        seen.add(id(node))
        left -= _growth(node.text, environ)
        if left < 0:
            report.add(
                "E021", node.mark, f"the environment's values add more than {MAX_GROWTH:,} characters", path=path
            )
            return
        _resolve(node, path, environ, report)


def _scalars(node: Node, path: Path) -> Iterator[tuple[Path, ScalarNode]]:
    match node:
        case ScalarNode():
            yield path, node
        case MappingNode():
            for key, (_, value) in node.entries.items():
                yield from _scalars(value, (*path, key))
        case SequenceNode():
            for index, item in enumerate(node.items):
                yield from _scalars(item, (*path, index))


def _references(text: str) -> Iterator[_Reference]:
    """Yield every reference in a text, and malformed ones; linear in the text."""
    last_brace = text.rfind("}")  # a reference that begins after it has no end: skip it
    match = _START.search(text)
    while match is not None:
        start, end = match.span()
        name, default = match["name"], None
        if name is not None:
            if end <= last_brace and text[end] == "}":
                end += 1
            elif end <= last_brace and text[end] == ":":
                close = text.index("}", end)
                default = text[end + 1 : close]
                end = close + 1
            else:
                name, end = None, start + len("${")
        yield _Reference(start=start, end=end, name=name, default=default, is_marked=match["marked"] is not None)
        match = _START.search(text, end)


def _growth(text: str, environ: Mapping[str, str]) -> int:
    return sum(len(environ.get(found.name, "")) for found in _references(text) if found.name is not None)


def _resolve(node: ScalarNode, path: Path, environ: Mapping[str, str], report: Report) -> None:
    parts: list[str] = []
    names: list[str] = []
    insertions: list[_Insertion] = []
    failed = False
    length = 0
    end = 0
    for found in _references(node.text):
        parts.append(node.text[end : found.start])
        length += found.start - end
        end = found.end
        name, default = found.name, found.default
        if name is None and node.text[found.start : found.end] == "$${":
            parts.append("${")
        elif name is None:
            failed = True
            shown = node.text[found.start : found.start + 40]
            report.add("E019", node.mark, f"{shown!r} is no reference", path=path)
        elif name in environ:
            names.append(name)
            parts.append(environ[name])
            if not environ[name]:
                report.note_empty(path, name)
            if found.is_marked or is_secret(name, environ[name]):
                insertions.append(_Insertion(environ[name], length, found))
                report.keep_secret(environ[name], f"${{{'secret:' * found.is_marked}{name}}}")
        elif default is not None:
            names.append(name)
            parts.append(default)
        else:
            failed = True
            report.add(
                "E007",
                node.mark,
                f"the environment has no variable {name}",
                path=path,
                remedy=f"define {name}, or write ${{{name}:default}}",
            )
        length += len(parts[-1]) if not failed else 0
        if default is not None and default.startswith("-"):
            shown = node.text[found.start : found.end]
            report.add(
                "W002",
                node.mark,
                f"the default of {name} is {default!r}, with its hyphen",
                path=path,
                remedy=f"write ${{{name}:{default[1:]}}}, unless the hyphen is meant ({shown} is the shell's way)",
            )
    if failed:
        return
    node.whole = len(names) == 1 and len(parts) == 2 and not parts[0] and end == len(node.text)
    parts.append(node.text[end:])
    node.variables = tuple(names)
    text = "".join(parts)
    node.value = text
    if node.whole:
        _choose_reading(node, text)
    if insertions:
        _hide(node, text, insertions, report)


def _hide(node: ScalarNode, text: str, insertions: Sequence[_Insertion], report: Report) -> None:
    """Keep the secrets of a text out of findings and of everything that a run prints or stores."""
    short = [inserted for inserted in insertions if 0 < len(inserted.value) < SHORTEST] if "\n" not in text else ()
    # Too short to be distinguished from other text, but not together with the text around it.
    if short and len(text) <= _LONGEST_HIDDEN:
        report.keep_secret(text, node.text)
    elif short:
        for inserted in short:
            first, behind = inserted.start - _AROUND, inserted.start + len(inserted.value) + _AROUND
            written = slice(max(0, inserted.reference.start - _AROUND), inserted.reference.end + _AROUND)
            report.keep_secret(text[max(0, first) : behind], node.text[written])
    for reading in (node.value, *node.alternative):
        if isinstance(reading, (int, float)) and not isinstance(reading, bool) and str(reading) != text:
            report.keep_secret(str(reading), node.text)  # a number, which is shown in another form than written


def _choose_reading(node: ScalarNode, text: str) -> None:
    try:
        typed: Scalar = resolve_plain(text)
    except NumberTooLongError:
        return
    if not isinstance(typed, str):
        node.value, node.alternative = (typed, (text,)) if node.plain else (text, (typed,))
