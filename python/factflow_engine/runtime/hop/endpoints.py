"""Endpoints of a route: where its messages come from, and where they go.

Kept separate from the route's state because transports and the route builder make them, before there is a route.
"""

from __future__ import annotations

from typing import NamedTuple

from factflow_engine.conditions import Condition
from factflow_engine.native import Journal
from factflow_engine.queues.channel import MemoryChannel


class Inbound(NamedTuple):
    """Source of a route's messages.

    Attributes:
        queue: Name for people: the configuration's, or the provider's if that outlives the execution.
        channel: Channel in which they wait in this process.
        journal: Journal of their ends, if they are acknowledged elsewhere; None otherwise.
    """

    queue: str
    channel: MemoryChannel
    journal: Journal | None = None


class Outbound:
    """One outbound of a route: its target and its condition.

    Attributes:
        queue: Name for people.
        condition: Condition on messages; None for all messages.
        label: Distinguishes the ids of messages for this outbound from those for others.
        channels: Channels to which a message is appended; a live view.
        deduplicates: True if the queue refuses an id that it has seen.
    """

    __slots__ = ("channels", "condition", "deduplicates", "label", "queue")

    def __init__(
        self,
        queue: str,
        condition: Condition | None,
        label: int,
        channels: list[MemoryChannel],
        *,
        deduplicates: bool,
    ) -> None:
        self.queue = queue
        self.condition = condition
        self.label = label
        self.channels = channels
        self.deduplicates = deduplicates

    @property
    def is_full(self) -> bool:
        """True if the queue has a consumer and no room."""
        return any(channel.is_full and channel.listeners for channel in self.channels)
