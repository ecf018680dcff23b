"""The modules of a Rust crate, what each names of the others, and the circles among them.

Kept separate from the test that holds the rule, because the reader is tried on small crates of its own there.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Module = tuple[str, ...]
Graph = dict[Module, set[Module]]

_TYPE = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type|union) (\w+)", re.MULTILINE)
_PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")


def modules_of(source: Path) -> dict[Module, str]:
    """Return the text of each module below a crate's `src`, without comments and strings; the crate's root is `()`."""
    texts = {}
    for path in sorted(source.rglob("*.rs")):
        parts = (*path.parent.relative_to(source).parts, path.stem)
        texts[() if parts == ("lib",) else parts] = _bare(path.read_text())
    return texts


def types_of(texts: dict[Module, str]) -> Iterator[tuple[str, Module]]:
    """Yield the name and the module of each type, trait and alias; those of a trait's implementation are none."""
    for module, text in texts.items():
        for name in _TYPE.findall(text):
            yield name, module


def errors_of(texts: dict[Module, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each error type with what it shows of itself: public fields, or the enum that it is."""
    whole = "\n".join(texts.values())
    for name in re.findall(r"impl (?:core|std)::error::Error for (\w+)", whole):
        definition = re.search(rf"(struct|enum) {name}\b\s*([^;{{]*(?:\{{[^}}]*\}})?)", whole)
        assert definition is not None, name
        if definition[1] == "enum":
            yield name, [f"enum {name}"]
        else:
            yield name, re.findall(r"\bpub \w+", definition[2])


def graph_of(texts: dict[Module, str]) -> Graph:
    """Return which modules each module names, in `use` or in a path; unit tests at a file's end do not count."""
    graph: Graph = {module: set() for module in texts}
    for module, text in texts.items():
        for path in _paths(text.split("#[cfg(test)]\nmod ")[0]):
            target = _resolve(path, module, texts)
            if target is not None and target != module:
                graph[module].add(target)
    return graph


def circles_of(graph: Graph) -> set[frozenset[Module]]:
    """Return the groups of modules that name each other, directly or not: of files, and of folders beside each other."""
    circles = _components(graph)
    for folder in {module[:depth] for module in graph for depth in range(len(module))}:
        depth = len(folder)
        beside: Graph = {}
        for module in graph:
            if module[:depth] == folder and len(module) > depth:
                named = {
                    other[: depth + 1] for other in graph[module] if other[:depth] == folder and len(other) > depth
                }
                beside.setdefault(module[: depth + 1], set()).update(named - {module[: depth + 1]})
        circles |= _components(beside)
    return circles


def _bare(text: str) -> str:
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', re.sub(r"//[^\n]*", "", text), flags=re.DOTALL)
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def _paths(text: str) -> Iterator[list[str]]:
    uses = re.compile(r"\buse\s+([^;]+);")
    for use in uses.findall(text):
        yield from _expand([], "".join(re.split(r"\s+as\s+\w+|\s", use)))
    for path in _PATH.findall(uses.sub("", text)):
        yield path.split("::")


def _expand(prefix: list[str], use: str) -> Iterator[list[str]]:
    """Yield each path of a use tree."""
    head, brace, rest = use.partition("{")
    if not brace:
        yield prefix + use.split("::")
        return
    start, depth = 0, 0
    body = rest[:-1] + ","
    for at, char in enumerate(body):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            if body[start:at]:
                yield from _expand(prefix + [part for part in head.split("::") if part], body[start:at])
            start = at + 1


def _resolve(path: list[str], module: Module, texts: dict[Module, str]) -> Module | None:
    """Return the module that a path leads to; None if that is in another crate."""
    first, *rest = path
    if first == "crate":
        base: Module = ()
    elif first == "self":
        base = module
    elif first == "super":
        base = module[:-1]
        while rest and rest[0] == "super":
            base, rest = base[:-1], rest[1:]
    elif (*module, first) in texts:
        base, rest = module, path
    else:
        return None
    while rest and (*base, rest[0]) in texts:
        base, rest = (*base, rest[0]), rest[1:]
    return base


def _components(graph: Graph) -> set[frozenset[Module]]:
    """Return the sets of more than one module that reach each other."""
    reached: dict[Module, set[Module]] = defaultdict(set)
    for module in graph:
        ahead = list(graph[module])
        while ahead:
            if (other := ahead.pop()) not in reached[module]:
                reached[module].add(other)
                ahead.extend(graph[other])
    circles = {frozenset(other for other in reached[module] if module in reached[other]) for module in graph}
    return {circle for circle in circles if len(circle) > 1}
