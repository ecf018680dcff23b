"""How many messages an execution can hold at once, in memory."""

from dataclasses import dataclass
from typing import Final

from factflow_engine.config import PipelineGlobalConfig

LARGEST_FRAME: Final = 64 * 1024 * 1024
"""Bytes of the largest frame that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MostHeld:
    """Most messages of one route at one time, with queues in memory.

    Attributes:
        route: Id of the route.
        waiting: In its queue.
        in_flight: In its stages.
        bytes: What these take at most, if each is as large as a frame may be.
    """

    route: str
    waiting: int
    in_flight: int
    bytes: int


def most_held(config: PipelineGlobalConfig, *, largest_bytes: int = LARGEST_FRAME) -> list[MostHeld]:
    """Return the bounds of each route; children of messages that fan out come on top, up to its concurrency.

    Args:
        config: The configuration.
        largest_bytes: Size of the largest message, in bytes; by default the largest frame.
    """
    return [
        MostHeld(
            route=route_id,
            waiting=route.inbound.capacity,
            in_flight=route.inbound.concurrency,
            bytes=(route.inbound.capacity + route.inbound.concurrency) * largest_bytes,
        )
        for route_id, route in config.routes.items()
    ]
