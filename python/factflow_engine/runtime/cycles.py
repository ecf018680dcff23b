"""Routes that wait for each other, or for themselves: what each of them lacks, asked of the routes themselves.

Kept separate from `deadlock`, which knows the rule and no route, and from `lane`, which knows one route and no other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from factflow_engine.queues.memory import MemoryChannel
from factflow_engine.runtime.deadlock import Bound, Kind, Move, Need, relief
from factflow_engine.runtime.lane import Lane

OUTSIDE = Need(is_outside=True)
"""A need that something else than the routes of the cycle meets, sooner or later."""


def circles(cycles: Iterable[Sequence[str]], with_breakers: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Sets of routes that may wait for each other for ever, each route in one of them at most.

    A route waits for others through queues alone, and so for itself through those only where the graph has a cycle. By
    itself it waits in one way only: a driver for a place among messages that wait for the breaker whose trial it is.

    Args:
        cycles: The cycles of the graph whose queues have bounds, by route id.
        with_breakers: Ids of the routes whose stages have circuit breakers.
    """
    found = tuple(tuple(members) for members in cycles)
    within = {route_id for members in found for route_id in members}
    return found + tuple((route_id,) for route_id in with_breakers if route_id not in within)


class Cycle:
    """Routes that may wait for each other for ever (see `circles`).

    Args:
        lanes: They.
        through_queues: Whether they reach each other, or the one itself, through queues that have bounds.

    Attributes:
        lanes: The routes.
        through_queues: As given. Otherwise only drivers may have to go ahead, and it stands still only if it has some.
        blocked: Those of them that have something to do and were found unable to, or hold a driver or a letter that
            waits; others may be among them.
    """

    __slots__ = ("_numbers", "_readers", "blocked", "lanes", "through_queues")

    def __init__(self, lanes: Sequence[Lane], *, through_queues: bool) -> None:
        self.lanes = tuple(lanes)
        self.through_queues = through_queues
        self.blocked: dict[Lane, None] = {}
        self._numbers = {lane: number for number, lane in enumerate(lanes)}
        self._readers: dict[int, list[int]] = {}  # by the identity of what they read
        for number, lane in enumerate(lanes):
            self._readers.setdefault(id(lane.inbox), []).append(number)

    def relief(self) -> list[tuple[Lane, Kind]]:
        """What may go ahead beyond a capacity now; see `deadlock`. Looks only at what the blocked routes wait for."""
        moves: dict[Move, list[Need]] = {}
        described: set[int] = set()
        pending = []
        for lane in list(self.blocked):
            if lane.has_work or lane.drivers or lane.waiting.letters:
                pending.append(self._numbers[lane])
            else:
                del self.blocked[lane]
        while pending:
            number = pending.pop()
            if number in described:
                continue
            described.add(number)
            for move, needs in self._moves(number):
                moves[move] = needs
                pending += [other.route for need in needs for other in need.by if other.route not in described]
        over = {number: self.lanes[number].inbox.waiting - self.lanes[number].inbox.capacity for number in described}
        return [(self.lanes[move.route], move.kind) for move in relief(moves, over)]

    def _moves(self, number: int) -> Iterator[tuple[Move, list[Need]]]:
        lane = self.lanes[number]
        waits, carrier = lane.waiting, lane.carrier
        begin, take, post, drive = (Move(number, kind) for kind in Kind)
        ready: list[Need] = [*self._room(lane)]
        if lane.pauses:
            ready.append(OUTSIDE)
        place: list[Need] = []
        if lane.books.retrying >= lane.inbox.capacity:
            place.append(self._place(lane, post, drive))
        if lane.drivers:
            yield drive, ready + place
        if waits.letters and lane.dead_letters is not None:
            yield post, [self._room_in(channel) for channel in lane.dead_letters.channels if _is_full(channel)]
        if carrier.busy >= carrier.limit:
            # While some of them wait for room here, it is not for a source that may say nothing for ever to end that.
            works = carrier.busy - carrier.pulling > len(lane.drivers)
            ready.append(Need((drive,) if lane.drivers else (), is_outside=works or not lane.drivers))
        if lane.children:
            yield begin, ready
            ready = [*ready, Need((begin,))]
        if lane.inbox.waiting:
            if carrier.intake_closed:
                ready = [*ready, OUTSIDE]
            if carrier.circuit_open:
                ready = [*ready, Need((drive,)) if lane.drives_what_stops_it else OUTSIDE]
            if not lane.inbox.ready:
                ready = [*ready, self._end_of_key(lane, begin, post, drive)]
            yield take, ready + [need._replace(bound=Bound.NONE) for need in place]

    def _room(self, lane: Lane) -> Iterator[Need]:
        """Room in the lane's outbound queues, as far as it lacks."""
        full = [channel for outlet in lane.outlets for channel in outlet.channels if _is_full(channel)]
        if full:
            lane.watch_full()  # it may have filled since the lane was looked at
        for channel in full:
            yield self._room_in(channel)
        carrier = lane.carrier
        reserved = carrier.busy - carrier.pulling - len(lane.drivers)
        if not full and reserved > 0 and carrier.room(reserved) <= 0:
            yield OUTSIDE  # what is in adapters has the rest of it

    def _room_in(self, channel: MemoryChannel) -> Need:
        readers = self._readers.get(id(channel), ())
        by = tuple(Move(reader, Kind.TAKE) for reader in readers)
        return Need(by, is_outside=len(channel.listeners) > len(readers), bound=Bound.ROOM)

    def _place(self, lane: Lane, post: Move, drive: Move) -> Need:
        """A place among what waits on the lane."""
        waits = lane.waiting
        by = []
        if waits.letters:
            by.append(post)
        is_outside = len(waits) > len(waits.letters) + waits.circuits  # some wait for a time
        if waits.circuits:
            if lane.drives_what_it_waits_for:
                by.append(drive)
            else:
                is_outside = True
        return Need(tuple(by), is_outside=is_outside, bound=Bound.WAITING)

    def _end_of_key(self, lane: Lane, begin: Move, post: Move, drive: Move) -> Need:
        """The end of a message of the lane, all that waits in its inbox being parked behind ones of their keys."""
        waits = self._place(lane, post, drive)
        by = [*waits.by, *([begin] if lane.children else ()), *([drive] if lane.drivers else ())]
        works = lane.carrier.busy > len(lane.drivers) or lane.inbox.outside > 0
        return Need(tuple(by), is_outside=waits.is_outside or works)


def cycles_of(lanes: Mapping[str, Lane], cycles: Iterable[Sequence[str]]) -> list[Cycle]:
    """The sets of these routes, by id, that may wait for each other for ever.

    Args:
        lanes: The routes.
        cycles: See `circles`.
    """
    through_queues = [*cycles]
    with_breakers = [route_id for route_id, lane in lanes.items() if lane.has_breakers]
    return [
        Cycle([lanes[route_id] for route_id in members], through_queues=number < len(through_queues))
        for number, members in enumerate(circles(through_queues, with_breakers))
    ]


def _is_full(channel: MemoryChannel) -> bool:
    return bool(channel.waiting >= channel.capacity and channel.listeners)
