"""Settings of a drawn configuration: each decoration sets one field at one place.

Kept separate from `sections`, which knows the fields' values. Each place has few decorations, most have none, so that a
configuration stays readable. They are drawn with the place and set when all routes are known.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from pydantic import BaseModel

from factflow_engine.adapters.isolation import isolation_fault
from factflow_engine.config import (
    AdapterConfig,
    BackpressureConfig,
    CircuitBreakerConfig,
    ErrorHandlingConfig,
    InboundConfig,
    LineageConfig,
    OrchestratorConfig,
    OutboundConfig,
    PipelineGlobalConfig,
    ProcessorConfig,
    RouteConfig,
    StorageMetadataField,
    StoreConfig,
)
from factflow_engine.testing.strategies.conditions import conditions, single_conditions
from factflow_engine.testing.strategies.drafts import Change, Changes, Draw
from factflow_engine.testing.strategies.messages import NAMES, SCALARS, messages
from factflow_engine.testing.strategies.sections import PARAMETERS, value_of
from factflow_engine.testing.strategies.sketch import DEAD_LETTERS, Place, Sketch
from factflow_protocols import StorageBackendAdapter

Decorate = Callable[[Draw], Change]
"""Draw what to set, and return the change that sets it."""


class Decoration(NamedTuple):
    """One thing to set: the feature that it belongs to, the kind of place, and the change."""

    feature: str
    kind: str
    decorate: Decorate


def _field(name: str, model: type[BaseModel]) -> Decorate:
    values = value_of(model, name)

    def decorate(draw: Draw) -> Change:
        value = draw(values)

        def change(sketch: Sketch, place: Place) -> None:
            del sketch
            place.value[name] = value

        return change

    return decorate


def _section(section: str, name: str, model: type[BaseModel]) -> Decorate:
    values = value_of(model, name)

    def decorate(draw: Draw) -> Change:
        value = draw(values)

        def change(sketch: Sketch, place: Place) -> None:
            inside = _inside(sketch, place, section)
            if inside is not None and not (name == "deadline_seconds" and name in inside):
                inside[name] = value
                if name == "algorithm":
                    inside.pop("parameters", None)

        return change

    return decorate


def _inside(sketch: Sketch, place: Place, section: str) -> dict[str, Any] | None:
    """Return a section of a place, made if it is not there; None if a shared limit forbids others."""
    if section == "backpressure":
        if "group" in (place.value.get(section) or ()):
            return None
        grouped = any("group" in (route.get(section) or ()) for route in sketch.routes.values())
        if place.kind == "document" and grouped:
            return None
    if not isinstance(place.value.get(section), dict):
        place.value[section] = {}
    inside: dict[str, Any] = place.value[section]
    return inside


def _nothing(section: str) -> Decorate:
    def change(sketch: Sketch, place: Place) -> None:
        del sketch
        place.value.setdefault(section, None)

    return lambda _draw: change


def _parameters(draw: Draw) -> Change:
    algorithm = draw(_WITH_PARAMETERS)

    def change(sketch: Sketch, place: Place) -> None:
        inside = _inside(sketch, place, "backpressure")
        if inside is not None:
            inside.update(algorithm=algorithm, parameters=dict(PARAMETERS[algorithm]))

    return change


def _group(draw: Draw) -> Change:
    # Stages of one group, and routes of another, whose messages wait for the stages' limit and for no other: no circle.
    del draw

    def change(sketch: Sketch, place: Place) -> None:
        if place.kind == "stage":
            place.value["backpressure"] = {"group": "shared"}
        elif sketch.document.get("backpressure") is None:
            place.value["backpressure"] = {"group": "routes"}

    return change


def _condition(draw: Draw) -> Change:
    condition = draw(_CONDITIONS)

    def change(sketch: Sketch, place: Place) -> None:
        del sketch
        place.value["condition"] = condition

    return change


def _dead_letters(draw: Draw) -> Change:
    number = draw(_QUEUES_OF_DEAD_LETTERS)

    def change(sketch: Sketch, place: Place) -> None:
        queues = [DEAD_LETTERS] if place.kind == "document" else sketch.dead_letters[place.route]
        inside = _inside(sketch, place, "error_handling")
        if inside is not None:
            inside["dead_letter_queue"] = queues[min(number, len(queues) - 1)]

    return change


def _external(draw: Draw) -> Change:
    value = draw(st.booleans())

    def change(sketch: Sketch, place: Place) -> None:
        del sketch
        if "queue" in place.value:
            place.value["external"] = value

    return change


def _isolation(draw: Draw) -> Change:
    isolation = draw(_ISOLATIONS)

    def change(sketch: Sketch, place: Place) -> None:
        if isolation_fault(sketch.adapters.registry.get(place.value["type"]), isolation) is None:
            place.value["isolation"] = isolation

    return change


def _store(name: str | None) -> Decorate:
    values = st.just(True) if name is None else _METADATA if name == "metadata" else value_of(StoreConfig, name)

    def decorate(draw: Draw) -> Change:
        value = draw(values)

        def change(sketch: Sketch, place: Place) -> None:
            if issubclass(sketch.adapters.registry.get(place.value["type"]).adapter_class, StorageBackendAdapter):
                return  # its objects may have the same keys
            storage = sketch.document.setdefault("storage", {})
            storage["url"] = "memory://"
            if name is None:
                place.value.setdefault("store", value)
            elif isinstance(place.value.get("store"), dict):
                place.value["store"][name] = value
            else:
                place.value["store"] = {name: value}

        return change

    return decorate


def _storage(name: str) -> Decorate:
    values = st.just("memory://") if name == "url" else _METADATA

    def decorate(draw: Draw) -> Change:
        value = draw(values)

        def change(sketch: Sketch, place: Place) -> None:
            del sketch
            place.value.setdefault("storage", {})[name] = value

        return change

    return decorate


def _message(draw: Draw) -> Change:
    number, payload, more = draw(_NUMBERS_OF_ROUTES), draw(_PAYLOADS), draw(_MORE_OF_MESSAGES)

    def change(sketch: Sketch, place: Place) -> None:
        routes = list(sketch.routes)
        message = {"route": routes[min(number, len(routes) - 1)], "payload": payload, **more}
        place.value.setdefault("init_message", []).append(message)

    return change


_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "any": (0, "a", True), "string": ("a",), "integer": (0,), "number": (0.5,), "boolean": (True,),
}  # fmt: skip
"""Defaults of a declared field by its type; a list and a map have none."""


_SETTINGS_OF_FIELDS: Final = st.lists(
    st.sampled_from(("type", "source", "type", "required", "type", "default", "description")), max_size=3
)


@st.composite
def _declared(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a field of metadata with one or two settings: a default fits the type, and is for no required field."""
    declared: dict[str, Any] = {"name": draw(value_of(StorageMetadataField, "name"))}
    for name in draw(_SETTINGS_OF_FIELDS):
        if name == "default":
            possible = _DEFAULTS.get(declared.get("type", "any"), (None,))
            declared[name] = None if declared.get("required") else draw(st.sampled_from(possible))
        elif name == "type":
            declared.pop("default", None)
            declared[name] = draw(value_of(StorageMetadataField, name))
        elif not (name == "required" and declared.get("default") is not None):
            declared[name] = draw(value_of(StorageMetadataField, name))
    return declared


_METADATA: Final = st.lists(_declared(), max_size=2, unique_by=lambda declared: declared["name"]).map(
    lambda fields: {"fields": fields}
)
_CONDITIONS: Final = single_conditions(NAMES) | single_conditions(NAMES) | conditions()
_MAPS: Final = st.dictionaries(st.sampled_from(("id", "kind", "total")), SCALARS, max_size=3)
_PAYLOADS: Final = (
    st.builds(dict[str, Any]) | _MAPS | _MAPS | SCALARS | messages()
)  # the first is the plainest, without a draw
_MORE_OF_MESSAGES: Final = st.sampled_from(({}, {}, {"key": "a"}, {"key": None}, {"headers": {"tenant": "a"}}))
_WITH_PARAMETERS: Final = st.sampled_from(tuple(PARAMETERS))
_QUEUES_OF_DEAD_LETTERS: Final = st.sampled_from((0, 0, 1, 2, 3))
_NUMBERS_OF_ROUTES: Final = st.sampled_from((0, 0, 1, 2, 3))
_ISOLATIONS: Final = st.sampled_from(("thread", "process"))

ELSEWHERE: Final[Mapping[type[BaseModel], frozenset[str]]] = {
    ErrorHandlingConfig: frozenset({"dead_letter_queue"}),
    BackpressureConfig: frozenset({"parameters", "group", "key"}),
    InboundConfig: frozenset({"queue"}),
    LineageConfig: frozenset({"url", "openlineage"}),
    StoreConfig: frozenset({"metadata"}),
}
"""Fields of sections that are set by decorations of their own, or not at all."""


def _fields_of(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name not in ELSEWHERE.get(model, ())]


def _sections() -> list[Decoration]:
    found: list[Decoration] = []
    rows: tuple[tuple[str, str, type[BaseModel], tuple[str, ...]], ...] = (
        ("errors", "error_handling", ErrorHandlingConfig, ("route", "document")),
        ("limits", "backpressure", BackpressureConfig, ("route", "stage", "document")),
        ("breakers", "circuit_breaker", CircuitBreakerConfig, ("route", "stage", "document")),
        ("inbound", "inbound", InboundConfig, ("route",)),
        ("lineage", "lineage", LineageConfig, ("document",)),
        ("settings", "orchestrator", OrchestratorConfig, ("document",)),
        ("settings", "processor", ProcessorConfig, ("document",)),
    )
    for feature, section, model, kinds in rows:
        for kind in kinds:
            found += [Decoration(feature, kind, _section(section, name, model)) for name in _fields_of(model)]
    return found


DECORATIONS: Final[tuple[Decoration, ...]] = (
    *(Decoration("conditions", kind, _condition) for kind in ("outbound", "stage") for _ in range(4)),
    *(Decoration("errors", kind, _dead_letters) for kind in ("route", "route", "document")),
    *(Decoration("init_messages", "document", _message) for _ in range(12)),
    *_sections(),
    *(Decoration("limits", kind, _parameters) for kind in ("route", "stage", "document")),
    *(Decoration("limits", kind, _group) for kind in ("route", "stage")),
    Decoration("limits", "stage", _section("backpressure", "key", BackpressureConfig)),
    *(Decoration("limits", kind, _nothing("backpressure")) for kind in ("route", "stage", "document")),
    *(Decoration("breakers", kind, _nothing("circuit_breaker")) for kind in ("route", "stage", "document")),
    *(
        Decoration("stages", "stage", _field(name, AdapterConfig))
        for name in ("timeout_seconds", "processes", "max_messages_per_process")
    ),
    Decoration("stages", "stage", _isolation),
    *(Decoration("outbounds", "route", _field(name, RouteConfig)) for name in ("outbound_mode", "unrouted")),
    Decoration("outbounds", "outbound", _external),
    *(Decoration("storage", "stage", _store(name)) for name in (None, *StoreConfig.model_fields)),
    *(Decoration("storage", "document", _storage(name)) for name in ("url", "metadata")),
    *(
        Decoration("texts", kind, _field(name, model))
        for kind, model in (("route", RouteConfig), ("document", PipelineGlobalConfig))
        for name in ("name", "description")
    ),
)
"""Decorations, more than once if they are to be drawn more often."""

_KINDS: Final = ("outbound", "stage", "route", "document")
_MOST: Final = 8
_FEW: Final = st.sampled_from((False, False, True))
_SOME: Final = st.sampled_from((False, True, True))


def changes_of(features: frozenset[str]) -> dict[str, Changes]:
    """Return strategies for the changes of a place, with some features, by its kind."""
    chosen = [one for one in DECORATIONS if one.feature in features]
    by_kind = {kind: [one.decorate for one in chosen if one.kind == kind] for kind in _KINDS}
    return {kind: _changes(kind, found) if found else st.just(()) for kind, found in by_kind.items()}


def _changes(kind: str, decorates: list[Decorate]) -> Changes:
    which, more = st.sampled_from(decorates), _SOME if kind == "document" else _FEW

    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[Change, ...]:
        changes: list[Change] = []
        while len(changes) < _MOST and draw(more):
            changes.append(draw(which)(draw))
        return tuple(changes)

    return drawn()


def decorated(sketch: Sketch) -> dict[str, Any]:
    """Make the changes of a sketch, and return its document, with all parts in their usual order."""
    for place, change in sketch.changes:
        change(sketch, place)
    _finish(sketch)
    return sketch.document


def _finish(sketch: Sketch) -> None:
    """Mend what decorations need of one another, and write all parts in the order of the models' fields."""
    document = sketch.document
    inherited = (document.get("error_handling") or {}).get("dead_letter_queue")
    for name, route in sketch.routes.items():
        errors = route.get("error_handling") or {}
        if route.get("unrouted") == "dead_letter" and errors.get("dead_letter_queue", inherited) is None:
            route["error_handling"] = {**errors, "dead_letter_queue": DEAD_LETTERS}
        for key, model in (("adapters", AdapterConfig), ("outbound", OutboundConfig)):
            if key in route:
                route[key] = [_ordered(part, model) for part in route[key]]
        sketch.routes[name] = _ordered(route, RouteConfig)
    if len(document.get("init_message", ())) == 1:
        document["init_message"] = document["init_message"][0]
    sketch.document = _ordered(document, PipelineGlobalConfig)


def _ordered(value: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: value[name] for name in model.model_fields if name in value}
