"""Stages of a pipeline in written form, such as a snapshot's: where they are, and what they store.

Kept separate from `derivation` and `references` because both read stages, and must read them alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from factflow_engine.stages.content import ContentRule

STORING_TYPE: Final = "store_object"
"""Adapter type that stores each message as it came to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A stage whose messages were stored.

    Attributes:
        route: Route id.
        stage: Name of the stage.
        index: Its number in the route, from 0.
        what: `output` if its results are stored, `input` if the messages as they came to it.
    """

    route: str
    stage: str
    index: int
    what: str


class WrittenStage(NamedTuple):
    """A stage.

    Attributes:
        place: Its place.
        stores: True if it stores its messages.
        extension: File extension of the objects, without its first dot; empty for none.
    """

    place: Place
    stores: bool
    extension: str


def stages_of(written: Mapping[str, Any]) -> Iterator[WrittenStage]:
    """Yield the stages of a pipeline, route by route, in order."""
    for route_id, route in routes_of(written).items():
        for index, stage in enumerate(route.get("adapters") or ()):
            store, what = stage.get("store"), "output"
            if stage.get("type") == STORING_TYPE:
                store, what = stage.get("config") or {}, "input"
            elif isinstance(store, Mapping):
                what = str(store.get("what", "output"))
            section = store if isinstance(store, Mapping) else {}
            place = Place(route=route_id, stage=name_of(stage), index=index, what=what)
            yield WrittenStage(place, store is True or isinstance(store, Mapping), _extension(section))


def routes_of(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the routes of a pipeline by id."""
    routes = written.get("routes")
    return routes if isinstance(routes, Mapping) else {}


def name_of(stage: Mapping[str, Any]) -> str:
    """Return the name of a stage, which by default is its adapter's type."""
    return str(stage.get("name") or stage.get("type"))


def _extension(section: Mapping[str, Any]) -> str:
    extension = section.get("extension")
    rule = ContentRule(
        content_field=section.get("content_field"),
        extension=None if extension is None else str(extension).removeprefix("."),
    )
    return rule.extension
