"""What the suite `profile` times of the engine's private parts, found in one place.

Kept separate because nothing else here looks inside the engine: whoever moves or renames these parts changes this file,
and a tiny run of the suite in the tests shows that it was forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from factflow_engine import PipelineOrchestrator
from factflow_engine.frames import Frame
from factflow_engine.native import Carrier
from factflow_engine.runtime.hop.route_state import TURN

__all__ = ["TURN", "Route", "route_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The parts of one route of an execution that has been started.

    Attributes:
        carrier: Carries its messages natively.
        call: The first stage's adapter as the loop calls it, with a context; None if the route has no stage.
        takable: Says how many messages one turn may take.
        list_and_after: What the loop does around a turn: list the route, and look at it again afterwards.
        append: Puts a frame into its inbound queue.
    """

    carrier: Carrier
    call: Callable[[Any], Any] | None
    takable: Callable[[], int]
    list_and_after: Callable[[], None]
    append: Callable[[Frame], None]


def route_of(execution: PipelineOrchestrator, name: str) -> Route:
    """Return the parts of a route."""
    route, loop = execution._lifecycle.routes[name], execution._lifecycle.loop

    def list_and_after() -> None:
        route.notify.attend()
        loop._after(route)

    return Route(
        carrier=route.carrier,
        call=route.stages[0].call if route.stages else None,
        takable=route.takable,
        list_and_after=list_and_after,
        append=route.inbound.append,
    )
