"""Links of one execution to a provider outside the process: its receivers and senders, and what is on its way.

Kept separate from `durable`, which decides what their state means for the end of the execution.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.transport.base import Stuck
from factflow_engine.runtime.transport.receiver import Receiver, Source
from factflow_engine.runtime.transport.sender import Sender
from factflow_engine.runtime.transport.states import StageStates
from factflow_protocols import LeasedElsewhere

POLL_SECONDS: Final = 0.25
"""Interval for noticing that another process has finished a queue."""


class Links:
    """All receivers and senders of one execution.

    Attributes:
        receivers: Receivers in the configuration's order.
        senders: Senders in no particular order.
        changes: Parking lot that is unparked when messages were accepted or deliveries settled.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        outbound: Mapping[str, MemoryChannel],
        routes: Sequence[RouteState],
        *,
        take_in: Callable[[RouteState, Sequence[Frame]], None],
        states: StageStates,
    ) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            sources: Route to its source, in the configuration's order.
            outbound: The provider's name of a queue to the channel that is emptied into it.
            routes: The routes, upstream first.
            take_in: Called with each batch of received messages.
            states: States of the stages.
        """
        self.changes: Final = trio.lowlevel.ParkingLot()
        self._senders: Final = {
            queue: Sender(queue, channel, changed=self._changed) for queue, channel in outbound.items()
        }
        receivers = {}
        for route in routes:
            channels = [channel for outbound_ in route.outbounds for channel in outbound_.channels]
            if route.dead_letters is not None:
                channels += route.dead_letters.channels
            receivers[route.id] = Receiver(
                sources[route.id],
                senders=[self._senders[channel.owner] for channel in dict.fromkeys(channels)],
                states=states.of_route(route.id, route.stages, route.roots),
                take_in=partial(take_in, route),
                counts_deliveries=route.settings.error_handling.max_deliveries is not None,
                changed=self._changed,
                limit=None if route.limiter is None else partial(_limit_of, route),
            )
        self._by_route: Final = receivers
        self._upstream_first: Final = tuple(receivers.values())
        self.receivers: Final = tuple(receivers[route] for route in sources)
        self.senders: Final = tuple(self._senders.values())

    # -- what is on its way ----------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """True if nothing is on its way to a route or to the provider."""
        return all(receiver.is_empty for receiver in self.receivers) and all(sender.is_empty for sender in self.senders)

    @property
    def received(self) -> int:
        """Total number of messages received."""
        return sum(receiver.received for receiver in self.receivers)

    @property
    def progress(self) -> tuple[int, int]:
        """Total numbers of messages accepted and of deliveries settled."""
        return sum(sender.accepted for sender in self.senders), sum(receiver.settled for receiver in self.receivers)

    @property
    def have_backlog(self) -> bool:
        """True if more messages could be received, as far as the provider has said."""
        return any(receiver.backlog for receiver in self.receivers)

    @property
    def wait_for_themselves(self) -> bool:
        """True if messages are on their way to the provider, all of them to queues that only this execution reads."""
        own = self.own_channels()
        return bool(self.unaccepted()) and all(id(sender.channel) in own for sender in self.senders if sender.under_way)

    def own_channels(self) -> frozenset[int]:
        """Return the channels to queues that only this execution reads, as far as it knows; by identity."""
        own = {receiver.queue for receiver in self.receivers}
        return frozenset(id(sender.channel) for sender in self.senders if sender.queue in own)

    def unaccepted(self) -> Mapping[str, int]:
        """Return the number of messages that the provider has not accepted, by queue; see `Transport.unaccepted`."""
        return {sender.queue: sender.under_way for sender in self.senders if sender.under_way}

    def backlog(self, route: str) -> int:
        """Return the number of messages that wait for a route outside, as far as is known."""
        return self._by_route[route].backlog

    async def depth(self) -> int:
        """Return the number of messages that the provider has for the execution's routes; never 0 while there are some.

        Another process may carry a message from route to route meanwhile: it is then counted downstream.
        """
        return sum([await receiver.depth() for receiver in self._upstream_first])

    async def leased_elsewhere(self) -> Mapping[str, LeasedElsewhere]:
        """Return the messages that the provider does not hand out now, by route, for routes with any."""
        leased = {route: await receiver.leased_elsewhere() for route, receiver in self._by_route.items()}
        return {route: found for route, found in leased.items() if found.messages}

    # -- the end ---------------------------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Send acknowledgements without delay."""
        for receiver in self.receivers:
            receiver.hurry()

    def close(self) -> None:
        """Receive nothing more; messages that have not begun stay with the provider."""
        for receiver in self.receivers:
            receiver.close()

    def _changed(self) -> None:
        self.changes.unpark_all()

    # -- for the watchdog ------------------------------------------------------------------------------------------

    def counts(self) -> dict[object, int]:
        """Return counters of the provider's work, by the part that requested it."""
        counts: dict[object, int] = {sender: sender.accepted for sender in self.senders}
        return counts | {receiver: receiver.settled for receiver in self.receivers}

    def stuck(self, still: Container[object]) -> Iterator[Stuck]:
        """Yield what the provider has not done, given the keys whose counters have not changed for a while."""
        for sender in self.senders:
            if sender.under_way and sender in still:
                problem = "which is full, or whose provider does not answer"
                yield Stuck(sender, f"{sender.under_way} messages are not accepted by {sender.queue!r}, {problem}")
        for receiver in self.receivers:
            if receiver.is_settling and receiver in still:
                yield Stuck(receiver, f"the provider does not answer what is acknowledged of {receiver.queue!r}")


class Patience:
    """A wait that ends when links have made no progress for twice the time it takes to notice other processes' work."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._progress = links.progress
        self._since = trio.current_time()

    @property
    def is_over(self) -> bool:
        """True if the wait is over; must be called repeatedly."""
        if self._progress != self._links.progress:
            self._progress, self._since = self._links.progress, trio.current_time()
        return trio.current_time() - self._since >= 2 * POLL_SECONDS


def _limit_of(route: RouteState) -> int:
    """Return the number of messages that may be in flight on a route now."""
    return route.limit
