"""Routes that may wait for each other, or for themselves: the needs of each, read from their state.

Kept separate from `deadlock`, which has the rule and no routes, and from `route_state`, which has one route.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.runtime.hop.deadlock import Bound, Kind, Move, Need, relief
from factflow_engine.runtime.hop.route_state import RouteState

OUTSIDE = Need(is_outside=True)
"""A need that something outside the cycle's routes meets, sooner or later."""


def circles(cycles: Iterable[Sequence[str]], with_breakers: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of routes that may wait for each other for ever; a route is in at most one of them.

    A route waits for others only through queues, and so for itself through queues only where the graph has a cycle.
    Alone it can wait in one other way: a driver for a place among messages that wait for a breaker whose trial call it
    makes.

    Args:
        cycles: Cycles of the graph with bounded queues, by route id.
        with_breakers: Ids of the routes whose stages have circuit breakers.
    """
    found = tuple(tuple(members) for members in cycles)
    within = {route_id for members in found for route_id in members}
    return found + tuple((route_id,) for route_id in with_breakers if route_id not in within)


class Cycle:
    """Routes that may wait for each other for ever (see `circles`).

    Args:
        routes: The routes of the cycle.
        through_queues: True if they reach each other, or the only one itself, through bounded queues.

    Attributes:
        routes: The routes.
        through_queues: As given. If False, only drivers may have to exceed a capacity, and without any there is no
        deadlock.
        blocked: Routes that were found unable to do their work, or have a waiting driver or letter; other routes may be
        among them.
    """

    __slots__ = ("_numbers", "_readers", "blocked", "routes", "through_queues")

    def __init__(self, routes: Sequence[RouteState], *, through_queues: bool) -> None:
        self.routes = tuple(routes)
        self.through_queues = through_queues
        self.blocked: dict[RouteState, None] = {}
        self._numbers = {route: number for number, route in enumerate(routes)}
        self._readers: dict[int, list[int]] = {}  # by the identity of the channel that they read
        for number, route in enumerate(routes):
            self._readers.setdefault(id(route.inbound), []).append(number)

    def relief(self) -> list[tuple[RouteState, Kind]]:
        """Return the moves that may exceed a capacity now; see `deadlock`. Considers only needs of blocked routes."""
        moves: dict[Move, list[Need]] = {}
        described: set[int] = set()
        pending = []
        for route in list(self.blocked):
            if route.has_work or route.drivers or route.waiting.letters:
                pending.append(self._numbers[route])
            else:
                del self.blocked[route]
        while pending:
            number = pending.pop()
            if number in described:
                continue
            described.add(number)
            for move, needs in self._moves(number):
                moves[move] = needs
                pending += [other.route for need in needs for other in need.by if other.route not in described]
        over = {
            number: self.routes[number].inbound.waiting - self.routes[number].inbound.capacity for number in described
        }
        return [(self.routes[move.route], move.kind) for move in relief(moves, over)]

    def _moves(self, number: int) -> Iterator[tuple[Move, list[Need]]]:
        route = self.routes[number]
        waits, carrier = route.waiting, route.carrier
        begin, take, post, drive = (Move(number, kind) for kind in Kind)
        ready: list[Need] = [*self._room(route)]
        if route.pauses:
            ready.append(OUTSIDE)
        if not carrier.is_permitted:
            route.watch_limit()  # when the route was checked it may have lacked only room
            ready.append(OUTSIDE)  # permits are held in adapters alone
        place: list[Need] = []
        if route.lacks_place:
            place.append(self._place(route, post, drive))
        if route.drivers:
            yield drive, ready + place
        if waits.letters and route.dead_letters is not None:
            yield post, [self._room_in(channel) for channel in route.dead_letters.channels if _is_full(channel)]
        if carrier.busy >= carrier.limit:
            # While messages wait for room here, a source that may be silent for ever must not be what ends that.
            is_outside = carrier.reserved > 0 or not route.drivers
            ready.append(Need((drive,) if route.drivers else (), is_outside=is_outside))
        if route.children:
            yield begin, ready
            ready = [*ready, Need((begin,))]
        if route.inbound.waiting:
            if carrier.intake_closed:
                ready = [*ready, OUTSIDE]
            if carrier.circuit_open:
                ready = [*ready, Need((drive,)) if route.drives_what_stops_it else OUTSIDE]
            if not route.inbound.ready:
                ready = [*ready, self._end_of_key(route, begin, post, drive)]
            yield take, ready + [need._replace(bound=Bound.NONE) for need in place]

    def _room(self, route: RouteState) -> Iterator[Need]:
        """Yield the missing room in the route's outbound queues, as needs."""
        full = [channel for outbound in route.outbounds for channel in outbound.channels if _is_full(channel)]
        if full:
            route.watch_full()  # it may have filled up since the route was checked
        for channel in full:
            yield self._room_in(channel)
        if not full and route.carrier.reserved > 0 and route.carrier.room(0) <= 0:
            yield OUTSIDE  # messages in adapters have the rest of it

    def _room_in(self, channel: MemoryChannel) -> Need:
        readers = self._readers.get(id(channel), ())
        by = tuple(Move(reader, Kind.TAKE) for reader in readers)
        return Need(by, is_outside=len(channel.listeners) > len(readers), bound=Bound.ROOM)

    def _place(self, route: RouteState, post: Move, drive: Move) -> Need:
        """Return the need of a place among the route's waiting messages."""
        waits = route.waiting
        by = []
        if waits.letters:
            by.append(post)
        is_outside = len(waits) > len(waits.letters) + waits.circuits  # some wait for a time
        if waits.circuits:
            if route.drives_what_it_waits_for:
                by.append(drive)
            else:
                is_outside = True
        return Need(tuple(by), is_outside=is_outside, bound=Bound.WAITING)

    def _end_of_key(self, route: RouteState, begin: Move, post: Move, drive: Move) -> Need:
        """Return the need of a message's end, if all messages of the inbound queue wait behind ones of their keys."""
        waits = self._place(route, post, drive)
        by = [*waits.by, *([begin] if route.children else ()), *([drive] if route.drivers else ())]
        works = route.carrier.busy > len(route.drivers) or route.inbound.outside > 0
        return Need(tuple(by), is_outside=waits.is_outside or works)


def cycles_of(routes: Mapping[str, RouteState], cycles: Iterable[Sequence[str]]) -> list[Cycle]:
    """Return the sets of these routes, by id, that may wait for each other for ever.

    Args:
        routes: The routes.
        cycles: See `circles`.
    """
    through_queues = [*cycles]
    with_breakers = [route_id for route_id, route in routes.items() if route.has_breakers]
    return [
        Cycle([routes[route_id] for route_id in members], through_queues=number < len(through_queues))
        for number, members in enumerate(circles(through_queues, with_breakers))
    ]


def _is_full(channel: MemoryChannel) -> bool:
    return bool(channel.waiting >= channel.capacity and channel.listeners)
