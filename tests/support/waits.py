"""A model of routes that wait for each other and for themselves, whose states can all be looked at.

A model's routes have queues, permits, messages in adapters, drivers that emit lazily, messages that wait for a time, for a
breaker or for room for their dead letter, and pauses. They have two stages: either may emit lazily, and have a breaker that
is half open with one trial call; what the first emits goes through the second. Its moves are those of the rule in
`factflow_engine.runtime.hop.deadlock`; what comes from outside (an adapter returns, time passes, an operator resumes) is a
step of its own. Each step changes one route, and publishes to the queues of others: so it is a function of that route alone,
which `support.waits_search` works out once.
"""

import itertools
from enum import IntEnum
from typing import NamedTuple

from factflow_engine.config.graph import strongly_connected
from factflow_engine.runtime.hop.cycles import circles
from factflow_engine.runtime.hop.deadlock import Bound, Kind, Move, Need, foremost

OUTSIDE = Need(is_outside=True)
STAGES = (0, 1)
REFUSALS = ((0, 0), (1, 0), (1, 1))
"""What may wait for a breaker: at which stage, and at which stage it begins again."""


class Shape(NamedTuple):
    """A configuration: by route where messages go, dead letters (None: nowhere), capacities, permits, what stages do.

    `does` names any of: `retry`; `emit`, `trial` (the first stage emits, and has a breaker); `deep`, `deeptrial` (the
    second); `endless` (what emits and is no trial does so for ever).
    """

    outs: tuple[tuple[int, ...], ...]
    dead: tuple[int | None, ...]
    capacity: tuple[int, ...]
    limit: tuple[int, ...]
    does: tuple[str, ...]

    @property
    def sections(self):
        """What the steps of each route depend on."""
        of_each = zip(self.capacity, self.limit, self.does, self.dead, strict=True)
        return tuple(Section(capacity, limit, does, dead is not None) for capacity, limit, does, dead in of_each)

    @property
    def cycles(self):
        """The cycles of the graph of queues."""
        edges = {
            number: sorted({*outs, *([] if dead is None else [dead])})
            for number, (outs, dead) in enumerate(zip(self.outs, self.dead, strict=True))
        }
        return [part for part in strongly_connected(edges) if len(part) > 1 or part[0] in edges[part[0]]]

    @property
    def circles(self):
        """The sets of routes of which the engine asks what may go ahead."""
        return circles(self.cycles, [number for number, does in enumerate(self.does) if "trial" in does])


ACTS = (("emit", "trial"), ("deep", "deeptrial"))


class Section(NamedTuple):
    """What the steps of one route depend on, wherever its messages go."""

    capacity: int
    limit: int
    does: str
    has_dead: bool

    @property
    def emits(self):
        """The stages that emit lazily, and whether each has a breaker."""
        does = self.does.split()
        return [(stage, trial in does) for stage, (emit, trial) in enumerate(ACTS) if emit in does]


class Driver(NamedTuple):
    """One that waits for room: how much it has still to emit, at which stage, and whether it holds the trial call there."""

    left: int
    stage: int
    holds: bool


class Route(NamedTuple):
    """The state of one route, in numbers of messages.

    By the stage at which it has begun, and begins again: what is in `adapters`, has `begun` and waits for a permit, and is
    `timed`. What waits, besides: `dead_letters`, and what was `refused`, by `REFUSALS`.
    """

    inbound: int = 0
    adapters: tuple[int, int] = (0, 0)
    drivers: tuple[Driver, ...] = ()
    begun: tuple[int, int] = (0, 0)
    timed: tuple[int, int] = (0, 0)
    letters: int = 0
    refused: tuple[int, int, int] = (0, 0, 0)
    paused: bool = False

    @property
    def waiting(self):
        return sum(self.timed) + self.letters + sum(self.refused)

    @property
    def busy(self):
        return sum(self.adapters) + len(self.drivers)

    @property
    def messages(self):
        return self.inbound + self.busy + sum(self.begun) + self.waiting

    def awaited(self, stage):
        """True if something waits for the breaker of this stage."""
        return any(count and at == stage for count, (at, _) in zip(self.refused, REFUSALS, strict=True))

    def trials(self, stage):
        """The drivers that hold the trial call of this stage; at most one."""
        return [place for place, driver in enumerate(self.drivers) if driver.holds and driver.stage == stage]


class View(NamedTuple):
    """What the rule and the other routes see of a route; by `over` messages its inbound queue exceeds its capacity."""

    over: int
    is_paused: bool
    lacks_place: bool
    awaits: bool
    is_driven: bool
    is_busy: bool
    has_inbound: bool
    has_adapters: bool
    has_drivers: bool
    has_begun: bool
    has_timed: bool
    has_letters: bool


def view(section, route):
    awaited = [stage for stage in STAGES if route.awaited(stage)]
    return View(
        over=route.inbound - section.capacity,
        is_paused=route.paused,
        lacks_place=route.waiting >= section.capacity,
        awaits=bool(awaited),
        is_driven=all(route.trials(stage) for stage in awaited),
        is_busy=route.busy >= section.limit,
        has_inbound=route.inbound > 0,
        has_adapters=any(route.adapters),
        has_drivers=bool(route.drivers),
        has_begun=any(route.begun),
        has_timed=any(route.timed),
        has_letters=route.letters > 0,
    )


class To(IntEnum):
    """Where a step publishes one message."""

    NOWHERE = 0
    OUTS = 1
    DEAD = 2


class Step(NamedTuple):
    """A route after one step of it, and where that publishes."""

    route: Route
    to: To = To.NOWHERE


def describe(shape, views):
    """What each move lacks, as `Cycle` says it of the engine's routes, given a `View` of each."""

    def room(queue):
        return [Need((Move(queue, Kind.TAKE),), bound=Bound.ROOM)] if views[queue].over >= 0 else []

    moves = {}
    for number, route in enumerate(views):
        begin, take, post, drive = (Move(number, kind) for kind in Kind)
        ready = [need for out in shape.outs[number] for need in room(out)]
        ready += [OUTSIDE] * route.is_paused
        place = []
        if route.lacks_place:
            by = ((post,) if route.has_letters else ()) + ((drive,) if route.awaits and route.is_driven else ())
            place = [Need(by, route.has_timed or not route.is_driven, Bound.WAITING)]
        if route.has_drivers:
            moves[drive] = ready + place
        if route.has_letters:
            moves[post] = room(shape.dead[number])
        if route.is_busy:
            by = (drive,) if route.has_drivers else ()
            ready = [*ready, Need(by, route.has_adapters or not route.has_drivers)]
        if route.has_begun:
            moves[begin] = ready
            ready = [*ready, Need((begin,))]
        if route.has_inbound:
            moves[take] = ready + [need._replace(bound=Bound.NONE) for need in place]
    return moves


def within(moves, members):
    """The moves of these routes, as they see those of others: from outside."""
    return {
        move: [
            need._replace(
                by=tuple(other for other in need.by if other.route in members),
                is_outside=need.is_outside or any(other.route not in members for other in need.by),
            )
            for need in needs
        ]
        for move, needs in moves.items()
        if move.route in members
    }


def added(pair, stage, count=1):
    return tuple(value + count if stage == place else value for place, value in enumerate(pair))


def made(section, route, kind, *, ahead, first=foremost):
    """The steps of a move, whatever it lacked."""
    if kind is Kind.TAKE:
        yield Step(route._replace(inbound=route.inbound - 1, adapters=added(route.adapters, 0)))
    elif kind is Kind.BEGIN:
        for stage in STAGES:
            if route.begun[stage]:
                begun = added(route.begun, stage, -1)
                yield Step(route._replace(begun=begun, adapters=added(route.adapters, stage)))
    elif kind is Kind.POST:
        yield Step(route._replace(letters=route.letters - 1), To.DEAD)
    else:
        for place in who_drives(section, route, first if ahead else None):
            yield from driven(section, route, place)


def who_drives(section, route, first):
    """The drivers any of which may be the one that goes on; with `first`, those of which it goes beyond a capacity."""
    if first is not None and route.waiting >= section.capacity:
        stages = {
            place: driver.stage
            for place, driver in enumerate(route.drivers)
            if driver.holds and route.awaited(driver.stage)
        }
        if stages:
            return [first(stages, None)]
    return range(len(route.drivers))


def driven(section, route, place):
    """The steps of this driver by one child: what waits for a permit before what it emits, if nobody has one."""
    driver, limit = route.drivers[place], section.limit
    is_full = route.busy >= limit or (route.waiting and route.busy + sum(route.begun) >= 2 * limit - 1)
    if is_full and driver.stage == 0 and route.begun[1]:
        yield from carried(section, route._replace(begun=added(route.begun, 1, -1)), 1)
        return
    refused, begun = route.refused, route.begun
    drivers = [*route.drivers]
    if driver.left > 1 or ("endless" in section.does and not driver.holds):
        drivers[place] = driver._replace(left=max(driver.left - 1, 1))
    else:  # the last: it lets go what it holds
        del drivers[place]
        if driver.holds:  # and the breaker closes
            for place, (at, begins) in enumerate(REFUSALS):
                if at == driver.stage:
                    begun = added(begun, begins, refused[place])
                    refused = added(refused, place, -refused[place])
    # Sorted, for nothing tells drivers that are alike apart.
    route = route._replace(drivers=tuple(sorted(drivers)), refused=refused, begun=begun)
    yield from carried(section, route, driver.stage + 1)


def carried(section, route, stage):
    """The steps of a message that has begun at this stage and comes to an end, or has to wait."""
    yield Step(route, To.OUTS)
    if "retry" in section.does and stage in STAGES:
        yield Step(route._replace(timed=added(route.timed, stage)))
    if section.has_dead:
        yield Step(route._replace(letters=route.letters + 1))
    for place, (at, begins) in enumerate(REFUSALS):
        if begins == stage and route.trials(at):
            yield Step(route._replace(refused=added(route.refused, place)))


def from_outside(section, route):
    """The steps of something from outside."""
    if route.paused:
        yield Step(route._replace(paused=False))
    for stage in STAGES:
        if route.timed[stage]:
            yield Step(route._replace(timed=added(route.timed, stage, -1), begun=added(route.begun, stage)))
    for place, (at, begins) in enumerate(REFUSALS):
        if route.refused[place] and not route.trials(at):
            yield Step(route._replace(refused=added(route.refused, place, -1), begun=added(route.begun, begins)))
    for begun in STAGES:
        if not route.adapters[begun]:
            continue
        ended = route._replace(adapters=added(route.adapters, begun, -1))
        yield from carried(section, ended, begun)
        for stage, trial in section.emits:
            if stage >= begun and not (trial and route.trials(stage)):
                yield Step(ended._replace(drivers=tuple(sorted((*route.drivers, Driver(2, stage, trial))))))


def shapes(count, capacities, limits, does):
    """All graphs of so many routes in which each leads to at most two of them, with and without dead letters."""
    targets = [()] + [(out,) for out in range(count)] + list(itertools.combinations(range(count), 2))
    letters = [None, *range(count)]
    for outs in itertools.product(targets, repeat=count):
        for dead in itertools.product(letters, repeat=count):
            for kinds in itertools.product(does, repeat=count):
                for capacity in itertools.product(capacities, repeat=count):
                    for limit in itertools.product(limits, repeat=count):
                        yield Shape(outs, dead, capacity, limit, kinds)


def starts(shape):
    """Full queues, and with each route paused or none."""
    full = [Route(inbound=capacity) for capacity in shape.capacity]
    yield tuple(full)
    for number, route in enumerate(full):
        yield (*full[:number], route._replace(paused=True), *full[number + 1 :])
