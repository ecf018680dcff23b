"""Drafts: what is drawn of a configuration, each route by itself, with others named by how far away they are.

Kept separate from `sketch`, which makes a document of a draft, so that hypothesis can leave out any route, stage, outbound
or change: each is an element of a list and has what is drawn of it beside it, a plain one in few choices (hypothesis
deletes up to five at once), and what it says of other routes still says something when one of them is gone.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from factflow_engine.testing.strategies.stage_types import Adapters

Draw = Callable[[st.SearchStrategy[Any]], Any]

Change = Callable[[Any, Any], None]
"""Change of a `sketch.Sketch` at a `sketch.Place`: it sets one field, or nothing where that would not be valid."""

Changes = st.SearchStrategy[tuple[Change, ...]]

_MOST_OUTBOUNDS: Final = 3


class StageDraft(NamedTuple):
    """Stage: its type, its configuration if it has one, and changes."""

    kind: str
    config: dict[str, Any] | None
    changes: tuple[Change, ...]


class OutboundDraft(NamedTuple):
    """Outbound: what it names (a `route`, a `queue`, or `out`: a queue that no route reads), which of these, and changes.

    The number counts what later routes offer, from the nearest; beyond the last it is the last.
    """

    names: str
    number: int
    changes: tuple[Change, ...]


class RouteDraft(NamedTuple):
    """Route: the kind of its inbound queue (`own`, `other`, `topic`, or `same` as the route before), its parts, changes."""

    inbound: str
    stages: list[StageDraft]
    outbounds: list[OutboundDraft]
    changes: tuple[Change, ...]


class Draft(NamedTuple):
    """Configuration that is not written yet.

    Attributes:
        routes: Its routes.
        back: The route that leads back and the one that it leads to, as numbers, of which the last route bounds the first,
            and the first the second; None for no circle.
        changes: Changes of the document, after those of all routes.
    """

    routes: list[RouteDraft]
    back: tuple[int, int] | None
    changes: tuple[Change, ...]


_INBOUNDS: Final = st.sampled_from(("own", "own", "own", "own", "other", "topic", "topic", "same"))
_OWN: Final = st.just("own")
_ROUTES: Final = tuple(("route", number) for number in (0, 0, 0, 1, 1, 2, 3))
_TARGETS: Final = {
    False: st.sampled_from(_ROUTES),
    True: st.sampled_from((*_ROUTES, ("queue", 0), ("queue", 1), ("queue", 2), ("out", 0), ("out", 1))),
}


def drafts(
    adapters: Adapters,
    changes: Mapping[str, Changes],
    *,
    routes: tuple[int, int],
    stages: tuple[int, int],
    cycles: bool,
    queues: bool,
) -> st.SearchStrategy[Draft]:
    """Return a strategy for drafts.

    Args:
        adapters: Adapters of the stages.
        changes: Strategies for changes of a document, a route, a stage and an outbound.
        routes: The least and the greatest number of routes.
        stages: The least and the greatest number of stages of a route.
        cycles: True to let some route lead back.
        queues: True for shared queues, topics, and queues that no route reads.
    """

    @st.composite
    def stage(draw: st.DrawFn) -> StageDraft:
        kind = draw(adapters.types)
        config = draw(adapters.configs[kind]) if kind in adapters.configs else None
        return StageDraft(kind, config, draw(changes["stage"]))

    @st.composite
    def outbound(draw: st.DrawFn) -> OutboundDraft:
        names, number = draw(_TARGETS[queues])
        return OutboundDraft(names, number, draw(changes["outbound"]))

    each = st.tuples(
        _INBOUNDS if queues else _OWN,
        st.lists(stage(), min_size=stages[0], max_size=stages[1]),
        st.lists(outbound(), max_size=_MOST_OUTBOUNDS),
        changes["route"],
    ).map(RouteDraft._make)
    several = st.lists(each, min_size=routes[0], max_size=routes[1])
    place = st.integers(0, routes[1] - 1)
    back = st.none() | st.tuples(place, place) if cycles else st.none()
    return st.tuples(several, back, changes["document"]).map(Draft._make)
