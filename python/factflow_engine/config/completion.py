"""Completion of a document: fields that routes inherit, and names that follow from other names.

Kept separate from the models because it works on the tree, before any model sees it: an inherited field keeps the place
where it is written, and a route that is wrong elsewhere is still completed and checked.
"""

from typing import Final

from factflow_engine.config.models.resilience import (
    ALGORITHM_FIELD,
    BackpressureConfig,
    CircuitBreakerConfig,
    ErrorHandlingConfig,
)
from factflow_engine.config.models.route import MAX_PREFETCH
from factflow_engine.config.nodes import MappingNode, Mark, Node, ScalarNode, SequenceNode, literal, string

INHERITED: Final = {
    "error_handling": frozenset(ErrorHandlingConfig.model_fields),
    "backpressure": frozenset(BackpressureConfig.model_fields),
    "circuit_breaker": frozenset(CircuitBreakerConfig.model_fields),
}
"""Sections that a level inherits from the one above, each with its fields."""
PREFETCH_FACTOR: Final = 4
"""Messages fetched ahead for each message that may be in flight, unless `inbound.prefetch` is given."""


MOST_CONCURRENCY: Final = 100_000
DEFAULT_MAX_CONCURRENCY: Final = int(BackpressureConfig.model_fields["max_concurrency"].default)


def complete(root: MappingNode) -> MappingNode:
    """Return a copy of the document with every default that depends on another value."""
    entries = dict(root.entries)
    own = {name: _pop_section(entries, name) for name in INHERITED}
    _put_back(entries, own)
    above = {name: _known(name, section) for name, section in own.items()}
    if "routes" in entries:
        mark, routes = entries["routes"]
        if isinstance(routes, MappingNode):
            completed = {
                route_id: (key, _route(route_id, key, route, above) if isinstance(route, MappingNode) else route)
                for route_id, (key, route) in routes.entries.items()
            }
            entries["routes"] = mark, MappingNode(routes.mark, completed)
    if "init_message" in entries:
        mark, init = entries["init_message"]
        if isinstance(init, MappingNode):
            entries["init_message"] = mark, SequenceNode(init.mark, [init])
    return MappingNode(root.mark, entries)


Section = tuple[Mark, Node] | None


def _pop_section(entries: dict[str, tuple[Mark, Node]], name: str) -> Section:
    """Remove the section of that name and return it; None if it is absent or null."""
    section = entries.pop(name, None)
    if section is None or (isinstance(section[1], ScalarNode) and section[1].value is None):
        return None
    return section


def _known(name: str, section: Section) -> Section:
    """Return the inheritable fields of a section; an unknown field is reported once, where it is written."""
    if section is None or not isinstance(section[1], MappingNode) or section[1].entries.keys() <= INHERITED[name]:
        return section
    known = {field: entry for field, entry in section[1].entries.items() if field in INHERITED[name]}
    return section[0], MappingNode(section[1].mark, known)


def _put_back(entries: dict[str, tuple[Mark, Node]], sections: dict[str, Section]) -> None:
    entries.update({name: section for name, section in sections.items() if section is not None})


def _inherit(entries: dict[str, tuple[Mark, Node]], name: str, above: Section) -> Section:
    """Return a section completed with fields from the level above; an explicit null inherits nothing."""
    was_written = name in entries
    own = _pop_section(entries, name)
    if own is None:
        return None if was_written else above
    if above is not None and isinstance(own[1], MappingNode) and isinstance(above[1], MappingNode):
        inherited = above[1].entries
        if ALGORITHM_FIELD in own[1].entries:  # which may have other parameters
            inherited = {field: entry for field, entry in inherited.items() if field != "parameters"}
        return own[0], MappingNode(own[1].mark, {**inherited, **own[1].entries})
    return own


def _route(route_id: str, mark: Mark, route: MappingNode, above: dict[str, Section]) -> MappingNode:
    entries = dict(route.entries)
    sections = {name: _inherit(entries, name, above[name]) for name in INHERITED}
    _put_back(entries, sections)
    entries.setdefault("name", (mark, literal(route_id, mark)))
    inbound_mark, inbound = entries.get("inbound", (mark, MappingNode(mark, {})))
    if isinstance(inbound, MappingNode):
        if "concurrency" not in inbound.entries and sections["backpressure"] is not None:
            most = literal(_greatest_limit(sections["backpressure"][1]), inbound_mark)
            inbound = MappingNode(inbound.mark, {**inbound.entries, "concurrency": (inbound_mark, most)})
        if "concurrency" in inbound.entries and "prefetch" not in inbound.entries:
            concurrency = inbound.get("concurrency")
            if isinstance(concurrency, ScalarNode) and type(concurrency.value) is int and concurrency.value > 0:
                prefetch = literal(min(PREFETCH_FACTOR * concurrency.value, MAX_PREFETCH), inbound_mark)
                inbound = MappingNode(inbound.mark, {**inbound.entries, "prefetch": (inbound_mark, prefetch)})
        names = {"queue": f"/queue/{route_id}", "subscription": route_id}
        filled = {name: (inbound_mark, literal(value, inbound_mark)) for name, value in names.items()}
        entries["inbound"] = inbound_mark, MappingNode(inbound.mark, {**filled, **inbound.entries})
    if "adapters" in entries:
        adapters_mark, adapters = entries["adapters"]
        if isinstance(adapters, SequenceNode):
            breaker = _known("circuit_breaker", sections["circuit_breaker"])
            stages = [
                _stage(index, stage, breaker) if isinstance(stage, MappingNode) else stage
                for index, stage in enumerate(adapters.items)
            ]
            entries["adapters"] = adapters_mark, SequenceNode(adapters.mark, stages)
    return MappingNode(route.mark, entries)


def _greatest_limit(backpressure: Node) -> int:
    """Return the upper bound of a route's limit: as written, or the default if nothing usable is."""
    written = backpressure.get("max_concurrency") if isinstance(backpressure, MappingNode) else None
    most = written.value if isinstance(written, ScalarNode) else None
    return most if type(most) is int and 0 < most <= MOST_CONCURRENCY else DEFAULT_MAX_CONCURRENCY


def _stage(index: int, stage: MappingNode, breaker: Section) -> MappingNode:
    entries = dict(stage.entries)
    _put_back(entries, {"circuit_breaker": _inherit(entries, "circuit_breaker", breaker)})
    if "store" in entries:
        store_mark, store = entries["store"]
        # A reference to the environment may be read as a text first.
        readings = (store.value, *store.alternative) if isinstance(store, ScalarNode) else ()
        if any(reading is True for reading in readings):
            entries["store"] = store_mark, MappingNode(store.mark, {})
        elif any(reading is False for reading in readings):
            del entries["store"]
    if "name" not in entries:
        if string(stage.get("type")) is not None:
            # The same node: a type from the environment makes a name from the environment.
            entries["name"] = stage.entries["type"]
        else:
            # The type is missing, which is reported once, as such.
            entries["name"] = stage.mark, literal(f"stage-{index}", stage.mark)
    return MappingNode(stage.mark, entries)
