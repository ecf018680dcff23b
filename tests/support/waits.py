"""A model of routes that wait for each other and for themselves, whose states can all be looked at.

A model's routes have queues, permits, messages in adapters, drivers that emit lazily, messages that wait for a time, for a
breaker or for room for their dead letter, and pauses. They have two stages: either may emit lazily, and have a breaker that
is half open with one trial call; what the first emits goes through the second. Its moves are those of the rule in
`factflow_engine.runtime.hop.deadlock`; what comes from outside (an adapter returns, time passes, an operator resumes) is a
step of its own.
"""

import itertools
from typing import NamedTuple

from factflow_engine.config.graph import strongly_connected
from factflow_engine.runtime.hop.cycles import circles
from factflow_engine.runtime.hop.deadlock import Bound, Kind, Move, Need, foremost, relief

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

    def emits(self, number):
        """The stages of a route that emit lazily, and whether each has a breaker."""
        does = self.does[number].split()
        return [(stage, trial in does) for stage, (emit, trial) in enumerate(ACTS) if emit in does]

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


def describe(shape, state):
    """What each move lacks, as `Cycle` says it of the engine's routes."""

    def room(queue):
        return (
            [Need((Move(queue, Kind.TAKE),), bound=Bound.ROOM)] if state[queue].inbound >= shape.capacity[queue] else []
        )

    moves = {}
    for number, route in enumerate(state):
        begin, take, post, drive = (Move(number, kind) for kind in Kind)
        ready = [need for out in shape.outs[number] for need in room(out)]
        ready += [OUTSIDE] * route.paused
        place = []
        if route.waiting >= shape.capacity[number]:
            awaited = [stage for stage in STAGES if route.awaited(stage)]
            driven = all(route.trials(stage) for stage in awaited)
            by = ((post,) if route.letters else ()) + ((drive,) if awaited and driven else ())
            place = [Need(by, bool(any(route.timed) or not driven), Bound.WAITING)]
        if route.drivers:
            moves[drive] = ready + place
        if route.letters:
            moves[post] = room(shape.dead[number])
        if route.busy >= shape.limit[number]:
            ready = [*ready, Need((drive,) if route.drivers else (), bool(any(route.adapters) or not route.drivers))]
        if any(route.begun):
            moves[begin] = ready
            ready = [*ready, Need((begin,))]
        if route.inbound:
            moves[take] = ready + [need._replace(bound=Bound.NONE) for need in place]
    return moves


def relief_of(state, shape, moves):
    """What the rule lets go ahead."""
    return relief(moves, {number: route.inbound - shape.capacity[number] for number, route in enumerate(state)})


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


def with_route(state, number, **changes):
    return (*state[:number], state[number]._replace(**changes), *state[number + 1 :])


def added(pair, stage, count=1):
    return tuple(value + count if stage == place else value for place, value in enumerate(pair))


def published(shape, state, number):
    for out in shape.outs[number]:
        state = with_route(state, out, inbound=state[out].inbound + 1)
    return state


def made(shape, state, move, *, ahead):
    """The states after a move, whatever it lacked."""
    number, kind = move
    route = state[number]
    if kind is Kind.TAKE:
        yield with_route(state, number, inbound=route.inbound - 1, adapters=added(route.adapters, 0))
    elif kind is Kind.BEGIN:
        for stage in STAGES:
            if route.begun[stage]:
                yield with_route(
                    state, number, begun=added(route.begun, stage, -1), adapters=added(route.adapters, stage)
                )
    elif kind is Kind.POST:
        state = with_route(state, number, letters=route.letters - 1)
        yield with_route(state, shape.dead[number], inbound=state[shape.dead[number]].inbound + 1)
    else:
        for place in who_drives(shape, route, number, ahead=ahead):
            yield from driven(shape, state, number, place)


def who_drives(shape, route, number, *, ahead):
    """The drivers any of which may be the one that goes on."""
    if ahead and route.waiting >= shape.capacity[number]:
        stages = {
            place: driver.stage
            for place, driver in enumerate(route.drivers)
            if driver.holds and route.awaited(driver.stage)
        }
        if stages:
            return [foremost(stages, None)]
    return range(len(route.drivers))


def driven(shape, state, number, place):
    """The states after this driver went on by one child: what waits for a permit before what it emits, if nobody has one."""
    route = state[number]
    driver = route.drivers[place]
    limit = shape.limit[number]
    is_full = route.busy >= limit or (route.waiting and route.busy + sum(route.begun) >= 2 * limit - 1)
    if is_full and driver.stage == 0 and route.begun[1]:
        yield from carried(shape, with_route(state, number, begun=added(route.begun, 1, -1)), number, 1)
        return
    refused, begun = route.refused, route.begun
    drivers = [*route.drivers]
    if driver.left > 1 or ("endless" in shape.does[number] and not driver.holds):
        drivers[place] = driver._replace(left=max(driver.left - 1, 1))
    else:  # the last: it lets go what it holds
        del drivers[place]
        if driver.holds:  # and the breaker closes
            for place, (at, begins) in enumerate(REFUSALS):
                if at == driver.stage:
                    begun = added(begun, begins, refused[place])
                    refused = added(refused, place, -refused[place])
    state = with_route(state, number, drivers=tuple(drivers), refused=refused, begun=begun)
    yield from carried(shape, state, number, driver.stage + 1)


def carried(shape, state, number, stage):
    """The states after a message that has begun at this stage came to an end, or has to wait."""
    route = state[number]
    yield published(shape, state, number)
    if "retry" in shape.does[number] and stage in STAGES:
        yield with_route(state, number, timed=added(route.timed, stage))
    if shape.dead[number] is not None:
        yield with_route(state, number, letters=route.letters + 1)
    for place, (at, begins) in enumerate(REFUSALS):
        if begins == stage and route.trials(at):
            yield with_route(state, number, refused=added(route.refused, place))


def from_outside(shape, state):
    """The states after something from outside."""
    for number, route in enumerate(state):
        if route.paused:
            yield with_route(state, number, paused=False)
        for stage in STAGES:
            if route.timed[stage]:
                yield with_route(state, number, timed=added(route.timed, stage, -1), begun=added(route.begun, stage))
        for place, (at, begins) in enumerate(REFUSALS):
            if route.refused[place] and not route.trials(at):
                yield with_route(
                    state, number, refused=added(route.refused, place, -1), begun=added(route.begun, begins)
                )
        for begun in STAGES:
            if not route.adapters[begun]:
                continue
            ended = with_route(state, number, adapters=added(route.adapters, begun, -1))
            yield from carried(shape, ended, number, begun)
            for stage, trial in shape.emits(number):
                if stage >= begun and not (trial and route.trials(stage)):
                    drivers = tuple(sorted((*route.drivers, Driver(2, stage, trial))))
                    yield with_route(ended, number, drivers=drivers)


def fed(shape, state):
    """The states after a message was published to a route of which that is no other's to do."""
    for number, route in enumerate(state):
        if route.inbound < shape.capacity[number] and not any(number in part for part in shape.cycles):
            yield with_route(state, number, inbound=route.inbound + 1)


def others(shape, state, moves):
    """The states after what comes without relief."""
    for move, lacking in moves.items():
        if not lacking:
            yield from made(shape, state, move, ahead=False)
    yield from from_outside(shape, state)


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
    full = tuple(Route(inbound=capacity) for capacity in shape.capacity)
    yield full
    for number in range(len(full)):
        yield with_route(full, number, paused=True)
