"""Short forms of a test file, written out in its tree: `fails: 2` becomes `fails: {first: 2}`.

Kept separate from the models so that each has one form, and findings keep the places of what was written.
"""

from collections.abc import Iterator
from typing import Final

from factflow_engine.config.nodes import MappingNode, Mark, Node, ScalarNode, SequenceNode

DESCRIBED: Final = frozenset({"payload", "contains", "matches"})
"""Keys that make a map the description of a message, rather than its payload."""


def complete(root: MappingNode) -> None:
    """Write the short forms of a document out, in place."""
    for stub in _values(root.mapping("stages")):
        _stub(stub)
    for test in root.items("tests"):
        if isinstance(test, MappingNode):
            for stub in _values(test.mapping("stages")):
                _stub(stub)
            expect = test.mapping("expect")
            if expect is not None:
                _expect(expect)


def _values(node: MappingNode | None) -> Iterator[MappingNode]:
    if node is not None:
        for _, value in node.entries.values():
            if isinstance(value, MappingNode):
                yield value


def _stub(stub: MappingNode) -> None:
    _wrap(stub, "raises", "text", str)
    _wrap(stub, "times", "constant", int, float)
    _wrap(stub, "fails", "first", int)
    for case in stub.items("cases"):
        if isinstance(case, MappingNode):
            _wrap(case, "raises", "text", str)


def _expect(expect: MappingNode) -> None:
    for name in ("outputs", "calls"):
        section = expect.mapping(name)
        for key in section.entries if section is not None else ():
            assert section is not None
            _wrap(section, key, "count", int)
            node = section.get(key)
            if isinstance(node, SequenceNode):
                section.entries[key] = (
                    section.entries[key][0],
                    MappingNode(node.mark, {"messages": (node.mark, node)}),
                )
            messages = section.mapping(key)
            if messages is not None:
                _messages(messages)


def _messages(messages: MappingNode) -> None:
    listed = messages.get("messages")
    if not isinstance(listed, SequenceNode):
        return
    for place, item in enumerate(listed.items):
        if isinstance(item, MappingNode) and not DESCRIBED.isdisjoint(item.entries):
            at = item.get("at")
            if isinstance(at, ScalarNode) and _is_kind(at, int, float):
                bounds: dict[str, tuple[Mark, Node]] = dict.fromkeys(("at_least", "at_most"), (at.mark, at))
                item.entries["at"] = (item.entries["at"][0], MappingNode(at.mark, bounds))
        else:
            listed.items[place] = MappingNode(item.mark, {"payload": (item.mark, item)})


def _wrap(owner: MappingNode, key: str, field: str, *kinds: type) -> None:
    """Put a scalar of these kinds under the one field that it is short for."""
    entry = owner.entries.get(key)
    if entry is not None and _is_kind(entry[1], *kinds):
        owner.entries[key] = (entry[0], MappingNode(entry[1].mark, {field: (entry[1].mark, entry[1])}))


def _is_kind(node: Node, *kinds: type) -> bool:
    return isinstance(node, ScalarNode) and type(node.value) in kinds
