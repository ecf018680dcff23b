"""Reasons why a message cannot proceed. Kept separate from `settlement` because publishing raises them, too."""

from typing import Final

from factflow_engine.error_texts import error_text
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.timeouts import DeadlineExceededError
from factflow_protocols import FactflowError, QueueFullError, Reject


class UnroutedError(FactflowError):
    """Message for which no outbound's condition holds, on a route that does not filter such messages."""

    def __init__(self, unrouted: str) -> None:
        super().__init__(f"no outbound took the message and the route has `unrouted: {unrouted}`")


class DeliveriesExhaustedError(FactflowError):
    """Message that was delivered too often, because each time its process died or exceeded the lease."""

    def __init__(self, deliveries: int, most: int) -> None:
        super().__init__(
            f"handed out {deliveries} times, each time but this one to a process that died or held it beyond its lease; "
            f"error_handling.max_deliveries is {most}"
        )


class DeferralsExhaustedError(FactflowError):
    """Message that was deferred as often, or for as long, as its route allows."""

    def __init__(self, problem: str, error: Exception) -> None:
        super().__init__(f"{problem}; the last time: {error_text(error)}")
        self.__cause__ = error


HOPELESS: Final = (Reject, UnroutedError, DeadlineExceededError, DeliveriesExhaustedError, DeferralsExhaustedError)
"""Errors that another attempt cannot change."""


def stranded(route: RouteState) -> Exception:
    """Return the reason why a message that has passed all stages could not leave the route."""
    for outbound in route.outbounds:
        for channel in outbound.channels:
            if channel.is_full and not channel.listeners:
                return QueueFullError(
                    outbound.queue, f"holds {channel.waiting} messages, which is its capacity, and nobody reads it"
                )
    return UnroutedError(route.settings.unrouted)
