"""Routes of a drawn configuration as a document: their queues, their stages, and which of them feed one another.

Kept separate from the settings that change it (`decorations`), because what is here decides whether a message's way ends:
queues lead only from earlier routes to later ones, but for one way back at most, which a deadline ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from factflow_engine.queues.naming import is_topic
from factflow_engine.testing.strategies.drafts import Change, Draft, RouteDraft, StageDraft
from factflow_engine.testing.strategies.stage_types import Adapters

DEAD_LETTERS: Final = "/queue/dead"
"""Queue that no drawn route reads."""

_TOPIC: Final = "/topic/news"
_UNREAD: Final = ("/topic/out", "/queue/out")
_MOST_FAN_OUTS: Final = 2
"""Most stages of a configuration that emit copies: more of them would make messages without number."""


class Place(NamedTuple):
    """Part of the document that a change is made to.

    Attributes:
        kind: document, route, stage or outbound.
        value: The part.
        route: Id of its route; empty for the document.
    """

    kind: str
    value: dict[str, Any]
    route: str = ""


@dataclass(slots=True)
class Sketch:
    """A configuration that is being written.

    Attributes:
        document: The document, in written form.
        adapters: Adapters of its stages.
        dead_letters: Queues for dead letters of each route, by its id.
        changes: Changes to make, each with its place.
    """

    document: dict[str, Any]
    adapters: Adapters
    dead_letters: dict[str, list[str]] = field(default_factory=dict)
    changes: list[tuple[Place, Change]] = field(default_factory=list)

    @property
    def routes(self) -> dict[str, dict[str, Any]]:
        """Routes by id."""
        routes: dict[str, dict[str, Any]] = self.document["routes"]
        return routes

    def note(self, place: Place, changes: Sequence[Change]) -> None:
        """Note changes to make at a place."""
        self.changes += [(place, change) for change in changes]


def sketched(draft: Draft, adapters: Adapters) -> Sketch:
    """Return the document of a draft, with its changes still to make."""
    ids = [route_id(number) for number in range(len(draft.routes))]
    read = _queues(draft.routes, ids)
    sketch = Sketch({"version": "1.0", "routes": {}}, adapters)
    source, target = _circle(draft, len(ids))
    kinds = _kinds(draft, adapters)
    for number, (name, one) in enumerate(zip(ids, draft.routes, strict=True)):
        route: dict[str, Any] = {}
        if read[number] != f"/queue/{name}":
            route["inbound"] = {"queue": read[number]}
        stages = _stages(sketch, name, one.stages, kinds[number])
        if number == source:
            _end_circle(sketch, route, stages)
        if stages:
            route["adapters"] = stages
        outbound = _outbound(sketch, one, ids, read, number)
        if number == source:
            outbound.append({"route": ids[target]})
        if outbound:
            route["outbound"] = outbound
        later = [queue for queue in _later(read, number) if not is_topic(queue)]
        sketch.dead_letters[name] = [DEAD_LETTERS, *later]
        sketch.routes[name] = route
        sketch.note(Place("route", route, name), one.changes)
    sketch.note(Place("document", sketch.document), draft.changes)
    return sketch


def route_id(number: int) -> str:
    """Return the id of the route of a number: a, b, ... z, then r26 and so on."""
    return "abcdefghijklmnopqrstuvwxyz"[number] if number < 26 else f"r{number}"


def _circle(draft: Draft, count: int) -> tuple[int, int]:
    """Return the number of the route that leads back and that of its target; -1 for none."""
    if draft.back is None:
        return -1, -1
    source = min(draft.back[0], count - 1)
    return source, min(draft.back[1], source)


def _kinds(draft: Draft, adapters: Adapters) -> list[list[str]]:
    """Return the types of each route's stages, with one that does nothing for each that would make runs without end."""
    kinds = [[stage.kind for stage in route.stages] for route in draft.routes]
    if not adapters.are_examples:
        return kinds
    fan_outs = 0
    for each in kinds:
        for place, kind in enumerate(each):
            fan_outs += kind == "fan_out"
            # A batch that goes round is emitted anew at the end, and so never grows old.
            if (kind == "fan_out" and fan_outs > _MOST_FAN_OUTS) or (kind == "batch" and draft.back is not None):
                each[place] = "forward"
    return kinds


def _queues(routes: Sequence[RouteDraft], ids: Sequence[str]) -> list[str]:
    """Return the queue that each route reads."""
    read: list[str] = []
    for name, route in zip(ids, routes, strict=True):
        own = {"own": f"/queue/{name}", "other": f"/queue/{name}.in", "topic": _TOPIC}
        read.append(read[-1] if route.inbound == "same" and read else own.get(route.inbound, own["own"]))
    return read


def _later(read: Sequence[str], number: int) -> list[str]:
    """Return the queues that are read, and only by routes after one."""
    earlier = set(read[: number + 1])
    return [queue for queue in dict.fromkeys(read[number + 1 :]) if queue not in earlier]


def _stages(sketch: Sketch, route: str, drafts: Sequence[StageDraft], kinds: Sequence[str]) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = []
    for place, (draft, kind) in enumerate(zip(drafts, kinds, strict=True)):
        stage: dict[str, Any] = {"type": kind}
        if kind in kinds[:place]:
            stage["name"] = f"{kind}_{place}"
        if draft.config and kind == draft.kind:
            stage["config"] = draft.config
        stages.append(stage)
        sketch.note(Place("stage", stage, route), draft.changes)
    return stages


def _outbound(
    sketch: Sketch, route: RouteDraft, ids: Sequence[str], read: Sequence[str], number: int
) -> list[dict[str, Any]]:
    later = _later(read, number)
    offered = {
        "route": [name for place, name in enumerate(ids) if place > number and read[place] in later],
        "queue": later,
        "out": list(_UNREAD),
    }
    outbounds: list[dict[str, Any]] = []
    for draft in route.outbounds:
        key, names = "route" if draft.names == "route" else "queue", offered[draft.names]
        outbound = {key: names[min(draft.number, len(names) - 1)]} if names else None
        if outbound is not None and outbound not in outbounds:
            outbounds.append(outbound)
            sketch.note(Place("outbound", outbound, ids[number]), draft.changes)
    return outbounds


def _end_circle(sketch: Sketch, route: dict[str, Any], stages: list[dict[str, Any]]) -> None:
    """Give the route that leads back a deadline, and a stage in front that takes time: each round is nearer to the end.

    The stage gets no changes, such as a condition by which messages would pass it in no time.
    """
    route["error_handling"] = {"deadline_seconds": 2}
    if sketch.adapters.are_examples:
        stages.insert(0, {"type": "sleep", "config": {"seconds": 1}, "name": "pause"})
