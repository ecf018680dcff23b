"""YAML text to tree, from ruamel.yaml's events.

A builder of its own because configurations are untrusted input: ruamel's composing and constructing recurse with the
document, expand aliases without bound, ignore duplicate keys and make objects of tags. Events come one by one, so depth
and size are checked before anything is built, and each node keeps its place. Bounds: 64 levels, 100,000 nodes, aliases
expanded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner

from factflow_engine.config.nodes import START, MappingNode, Mark, Node, ScalarNode, SequenceNode
from factflow_engine.config.report import Report
from factflow_engine.config.scalars import NumberTooLongError, resolve_plain
from factflow_engine.config.text import Lines, TextProblem
from factflow_protocols import FactflowError

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
_TAG: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final[dict[str, tuple[type, ...]]] = {
    f"{_TAG}null": (type(None),),
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
}
_STRING_TAGS: Final = frozenset({f"{_TAG}str", "!"})

_EXPLAINED: Final = (
    (
        "expected <block end>",
        "the indentation of this line fits nothing above it",
        "indent it as deep as the lines that it belongs to; fields of an element stand under its first field",
    ),
    (
        "mapping values are not allowed here",
        "expected text, got a colon",
        "put a space behind the colon of each key, on the lines above too, and quote text with a colon in it",
    ),
)
"""Problems as the parser says them, with what they mean and their remedies."""


class _TooDeep(FactflowError):  # noqa: N818 - a signal inside this module
    def __init__(self, offset: int) -> None:
        self.offset = offset
        super().__init__()


class _BoundedScanner(Scanner):
    """Scanner that stops at deep flow collections: ruamel's look-ahead is quadratic in their depth."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: Any) -> None:  # noqa: N803 - ruamel's name
        if self.flow_level >= MAX_DEPTH:
            raise _TooDeep(self.reader.get_mark().index)
        super().fetch_flow_collection_start(TokenClass, to_push)


def parse(text: str, report: Report) -> Node | None:
    """Return the tree of a text; None, and findings in the report, if it is invalid."""
    builder = _Builder(text, report)
    try:
        return builder.build()
    except TextProblem as problem:
        report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
    return None


@dataclass(slots=True)
class _Open:
    """A collection that has begun."""

    node: MappingNode | SequenceNode
    anchor: str | None
    counted_before: int
    height: int = 1
    key: tuple[Mark, str] | None = None
    # The key was refused: its value is read, checked and dropped.
    skips: bool = False
    repeated: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """Size of an anchor's value: its nodes and its levels."""

    node: Node
    size: int
    height: int


class _Builder:
    def __init__(self, text: str, report: Report) -> None:
        self._text = text
        self._report = report
        self._lines = Lines(text)
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchor] = {}
        self._unused: dict[str, Mark] = {}
        self._count = 0
        self._root: Node | None = None
        self._failed = False

    def build(self) -> Node | None:
        offset = 0
        documents = 0
        for event in self._events():
            offset = event.start_mark.index
            match event:
                case DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise TextProblem("E012", self._mark(offset), "expected one document, got another one here")
                case AliasEvent():
                    self._alias(event)
                case ScalarEvent():
                    self._scalar(event)
                case MappingStartEvent() | SequenceStartEvent():
                    self._start(event)
                case MappingEndEvent() | SequenceEndEvent():
                    self._end()
        if self._root is None or (isinstance(self._root, ScalarNode) and self._root.text == "" and self._root.plain):
            raise TextProblem("E017", START, "the document is empty")
        if self._failed:
            return None
        for name, mark in self._unused.items():
            self._report.add("W001", mark, f"nothing refers to the anchor &{name}")
        return self._root

    def _events(self) -> Iterator[Event]:
        """Yield ruamel's events; raise its errors as one problem each."""
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _BoundedScanner
        last = 0
        try:
            for event in yaml.parse(self._text):
                last = event.start_mark.index
                yield event
        except _TooDeep as error:
            raise self._too_deep(error.offset) from None
        except TextProblem:
            raise
        except MarkedYAMLError as error:
            raise self._syntax(error, last) from None
        except (
            YAMLError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            TypeError,
            AssertionError,
        ) as error:
            # The parser raises errors of its own on a few texts (impossible escapes and directives).
            raise TextProblem("E001", self._mark(last), f"the text is not YAML: {_one_line(str(error))}") from None

    def _syntax(self, error: MarkedYAMLError, last: int) -> TextProblem:
        place = error.problem_mark or error.context_mark
        offset = last if place is None else place.index
        mark = self._mark(offset)
        tab = self._tab_near(mark.line)
        if tab is not None:
            return TextProblem("E010", tab, "expected spaces, got a tab")
        problem = str(error.problem or "")
        for part, message, remedy in _EXPLAINED:
            if part in problem:
                return TextProblem("E001", mark, message, remedy)
        parts = [part for part in (error.problem, error.context) if part]
        return TextProblem("E001", mark, _one_line(", ".join(parts)) or "the text is not YAML")

    def _tab_near(self, line: int) -> Mark | None:
        """Return a tab in the indentation of the line that could not be read, or of the one before it."""
        lines = self._text.splitlines() if "\r" in self._text else self._text.split("\n")
        for number in (line, line - 1):
            if 0 < number <= len(lines):
                content = lines[number - 1]
                indent = content[: len(content) - len(content.lstrip(" \t-"))]
                if "\t" in indent:
                    return Mark(number, indent.index("\t") + 1)
        return None

    def _mark(self, offset: int) -> Mark:
        return self._lines.mark(offset)

    def _too_deep(self, offset: int) -> TextProblem:
        return TextProblem("E004", self._mark(offset), f"collections are nested more than {MAX_DEPTH} deep")

    def _refuse(self, code: str, mark: Mark, message: str, remedy: str = "") -> None:
        """Report a problem after which the rest of the text can still be read."""
        self._failed = True
        self._report.add(code, mark, message, remedy=remedy)

    def _counted(self, size: int, event: Event) -> None:
        self._count += size
        if self._count > MAX_NODES:
            mark = self._mark(event.start_mark.index)
            if isinstance(event, AliasEvent):
                raise TextProblem("E005", mark, f"written out, the document has more than {MAX_NODES:,} values")
            raise TextProblem("E003", mark, f"the document has more than {MAX_NODES:,} values")

    def _define(self, anchor: str | None, node: Node, *, size: int, height: int, mark: Mark) -> None:
        if anchor is not None:
            self._anchors[anchor] = _Anchor(node, size, height)
            self._unused[anchor] = mark

    def _alias(self, event: AliasEvent) -> None:
        mark = self._mark(event.start_mark.index)
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            self._refuse("E014", mark, f"the alias *{event.anchor} has no anchor before it")
            self._place(ScalarNode(mark, "", None), 0)
            return
        self._unused.pop(event.anchor, None)
        self._counted(anchor.size, event)
        if len(self._open) + anchor.height > MAX_DEPTH:
            raise self._too_deep(event.start_mark.index)
        self._place(anchor.node, anchor.height)

    def _scalar(self, event: ScalarEvent) -> None:
        self._counted(1, event)
        offset = event.start_mark.index
        mark = self._mark(offset)
        plain = event.style is None and event.tag is None
        node = ScalarNode(mark, event.value, event.value, plain=plain)
        try:
            if plain:
                node.value = resolve_plain(event.value)
            elif event.tag is not None and str(event.tag) not in _STRING_TAGS:
                self._tagged(node, str(event.tag))
        except NumberTooLongError as error:
            self._refuse("E020", mark, str(error))
        self._define(event.anchor, node, size=1, height=0, mark=mark)
        self._place(node, 0)

    def _tagged(self, node: ScalarNode, tag: str) -> None:
        kinds = _SCALAR_TAGS.get(tag)
        if kinds is None:
            self._refuse("E011", node.mark, f"the tag {_shown(tag)} is not known")
            return
        value = resolve_plain(node.text)
        if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
            node.value = _as_float(value) if float in kinds and isinstance(value, int) else value
        else:
            self._refuse("E011", node.mark, f"the tag {_shown(tag)} does not go with the value {node.text[:40]!r}")

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        before = self._count
        self._counted(1, event)
        offset = event.start_mark.index
        if len(self._open) >= MAX_DEPTH:
            raise self._too_deep(offset)
        mark = self._mark(offset)
        is_mapping = isinstance(event, MappingStartEvent)
        allowed = f"{_TAG}{'map' if is_mapping else 'seq'}"
        if event.tag is not None and str(event.tag) not in {allowed, "!"}:
            self._refuse("E011", mark, f"the tag {_shown(str(event.tag))} is not known")
        node: MappingNode | SequenceNode = MappingNode(mark, {}) if is_mapping else SequenceNode(mark, [])
        if event.anchor is not None:
            # Until its end nothing may refer to it: it would contain itself.
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open(node, event.anchor, before))

    def _end(self) -> None:
        closed = self._open.pop()
        size = self._count - closed.counted_before
        self._define(closed.anchor, closed.node, size=size, height=closed.height, mark=closed.node.mark)
        self._place(closed.node, closed.height)

    def _place(self, node: Node, height: int) -> None:
        """Put a finished node into the open collection."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.height = max(parent.height, height + 1)
        match parent.node:
            case SequenceNode(items=items):
                items.append(node)
            case MappingNode(entries=entries):
                if parent.skips:
                    parent.skips = False
                elif parent.key is None:
                    parent.key = self._key(parent, node)
                    parent.skips = parent.key is None
                else:
                    mark, key = parent.key
                    parent.key = None
                    entries[key] = (mark, node)

    def _key(self, parent: _Open, node: Node) -> tuple[Mark, str] | None:
        """Return the key of a node; None, and a finding, if it cannot be a key."""
        if not isinstance(node, ScalarNode):
            self._refuse("E015", node.mark, "expected a string as key, got a collection", "write a string as key")
            return None
        if node.plain and node.text == "<<":
            self._refuse("E013", node.mark, "the merge key << is not supported")
            return None
        if not isinstance(node.value, str):
            self._refuse(
                "E015", node.mark, f"expected a string as key, got {_kind(node.value)}", f'write "{node.text[:40]}"'
            )
            return None
        assert isinstance(parent.node, MappingNode)
        if node.value in parent.node.entries:
            if node.value not in parent.repeated:
                first = parent.node.entries[node.value][0]
                parent.repeated.add(node.value)
                self._refuse("E002", node.mark, f"the key {node.value[:80]!r} is on line {first.line} already")
            return None
        return node.mark, node.value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _shown(tag: str) -> str:
    return ("!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag)[:80]


def _kind(value: object) -> str:
    return {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number"}[type(value).__name__]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
