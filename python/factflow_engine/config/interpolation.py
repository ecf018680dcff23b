"""`${NAME}` and `${NAME:default}` in values, from the environment.

Apart from the parser because it runs on the finished tree: what a variable holds is never read as YAML structure, and
keys are never references. `$${` is a literal `${`.

A value that is one reference and nothing else is read as a plain scalar if it is unquoted (`port: ${PORT}` is a
number), and as text if it is quoted. Where the field it stands in takes only the other reading, it gets that one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from factflow_engine.config.hiding import SHORTEST
from factflow_engine.config.nodes import MappingNode, Node, Path, ScalarNode, SequenceNode
from factflow_engine.config.report import Report
from factflow_engine.config.scalars import NumberTooLongError, Scalar, resolve_plain

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\})?")


def interpolate(root: Node, environ: Mapping[str, str], report: Report) -> None:
    """Put the environment's values in place, and their names into the report's secrets.

    A reference that cannot be resolved is a finding; its value stays the text that was written.
    """
    seen: set[int] = set()
    for path, node in _scalars(root, ()):
        if id(node) not in seen and isinstance(node.value, str) and "${" in node.value:
            seen.add(id(node))
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


def _resolve(node: ScalarNode, path: Path, environ: Mapping[str, str], report: Report) -> None:
    parts: list[str] = []
    names: list[str] = []
    values: list[str] = []
    failed = False
    end = 0
    for match in _REFERENCE.finditer(node.text):
        parts.append(node.text[end : match.start()])
        end = match.end()
        name, default = match.group(1), match.group(2)
        if match.group() == "$${":
            parts.append("${")
        elif name is None:
            failed = True
            report.add("E019", node.mark, f"{node.text[match.start() :][:40]!r} is no reference", path=path)
        elif name in environ:
            names.append(name)
            parts.append(environ[name])
            values.append(environ[name])
            report.keep_secret(environ[name], f"${{{name}}}")
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
    if failed:
        return
    parts.append(node.text[end:])
    node.variables = tuple(names)
    text = "".join(parts)
    node.value = text
    node.whole = len(names) == 1 and end == len(node.text) and _REFERENCE.fullmatch(node.text) is not None
    if node.whole:
        _choose_reading(node, text)
    if values:
        _hide(node, text, values, report)


def _hide(node: ScalarNode, text: str, values: Sequence[str], report: Report) -> None:
    """Keep values of the environment out of findings and of all that a run prints or stores."""
    if any(0 < len(value) < SHORTEST for value in values) and "\n" not in text:
        report.keep_secret(text, node.text)  # too short to be told from other text, but not with what is around it
    for reading in (node.value, *node.alternative):
        if isinstance(reading, (int, float)) and not isinstance(reading, bool) and str(reading) != text:
            report.keep_secret(str(reading), node.text)  # a number, which is shown otherwise than it was written


def _choose_reading(node: ScalarNode, text: str) -> None:
    try:
        typed: Scalar = resolve_plain(text)
    except NumberTooLongError:
        return
    if not isinstance(typed, str):
        node.value, node.alternative = (typed, (text,)) if node.plain else (text, (typed,))
