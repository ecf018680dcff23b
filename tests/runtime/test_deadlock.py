"""The rule for cycles that cannot move, against a model of routes whose every reachable state is looked at.

A model's routes have queues, permits, messages in adapters, drivers that emit lazily, messages that wait for a time, for a
breaker or for room for their dead letter, and pauses. Its moves are those of the rule, each made whenever it lacks
nothing; what comes from outside (an adapter returns, time passes, an operator resumes) is a step of its own. Then:

- where nothing more comes from outside, and messages are left, the rule lets something go ahead: no state is stuck;
- what goes ahead could not have gone otherwise: from where the rule gives relief no sequence of other steps makes that move;
- and what it adds is one message.
"""

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.deadlock import Bound, Kind, Move, Need, hopeless, relief

OUTSIDE = Need(is_outside=True)


# -- the function alone ----------------------------------------------------------------------------------------------


def moves_of(count):
    return [Move(route, kind) for route in range(count) for kind in Kind]


needs = st.builds(
    Need,
    st.lists(st.sampled_from(moves_of(3)), max_size=2).map(tuple),
    st.booleans(),
    st.sampled_from([Bound.ROOM, Bound.ROOM, Bound.WAITING, Bound.NONE]),
)
descriptions = st.dictionaries(st.sampled_from(moves_of(3)), st.lists(needs, max_size=3), max_size=8)


@settings(max_examples=50, deadline=None)
@given(descriptions)
def test_moves_without_hope_are_the_greatest_set_that_waits_for_itself_only(moves):
    found = hopeless(moves)

    def waits_for_itself(members):
        return all(
            moves[move]
            and all(not need.is_outside and not (set(need.by) & (moves.keys() - members)) for need in moves[move])
            for move in members
        )

    assert waits_for_itself(found)
    for size in range(len(moves) + 1):
        for members in itertools.combinations(moves, size):
            if waits_for_itself(set(members)):
                assert set(members) <= found


@settings(max_examples=50, deadline=None)
@given(descriptions)
def test_only_what_has_no_hope_and_lacks_but_numbers_goes_ahead(moves):
    ahead, stuck = relief(moves, {}), hopeless(moves)
    assert set(ahead) <= stuck
    assert all(need.bound for move in ahead for need in moves[move])
    if any(all(need.bound for need in moves[move]) for move in stuck):
        assert ahead, "where something may, something does"


def test_a_description_of_many_routes_takes_linear_time():
    count = 5_000
    ring = {
        Move(route, Kind.TAKE): [Need((Move((route + 1) % count, Kind.TAKE),), bound=Bound.ROOM)]
        for route in range(count)
    }
    assert len(relief(ring, {})) == count
    ring[Move(7, Kind.TAKE)].append(OUTSIDE)
    assert relief(ring, {}) == ()


# -- the model -------------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """A configuration: by route where messages go (None: nowhere), dead letters, capacities, permits, what stages do."""

    outs: tuple[tuple[int, ...], ...]
    dead: tuple[int | None, ...]
    capacity: tuple[int, ...]
    limit: tuple[int, ...]
    does: tuple[str, ...]


class Route(NamedTuple):
    """The state of one route, in numbers of messages.

    `drivers`: still to be emitted, by driver that waits for room. `timed`, `letters`, `refused`: what waits. `trial`: how
    many of the drivers hold the one trial call of a half-open breaker that `refused` waits for: 0 or 1, the first.
    """

    inbox: int = 0
    adapters: int = 0
    drivers: tuple[int, ...] = ()
    children: int = 0
    timed: int = 0
    letters: int = 0
    refused: int = 0
    trial: int = 0
    paused: bool = False

    @property
    def waiting(self):
        return self.timed + self.letters + self.refused

    @property
    def busy(self):
        return self.adapters + len(self.drivers)

    @property
    def messages(self):
        return self.inbox + self.adapters + len(self.drivers) + self.children + self.waiting


def describe(shape, state):
    """What each move lacks, as `Cycle` says it of the engine's routes."""

    def room(queue):
        return (
            [Need((Move(queue, Kind.TAKE),), bound=Bound.ROOM)] if state[queue].inbox >= shape.capacity[queue] else []
        )

    moves = {}
    for number, route in enumerate(state):
        begin, take, post, drive = (Move(number, kind) for kind in Kind)
        ready = [need for out in shape.outs[number] for need in room(out)]
        ready += [OUTSIDE] * route.paused
        place = []
        if route.waiting >= shape.capacity[number]:
            by = ((post,) if route.letters else ()) + ((drive,) if route.refused and route.trial else ())
            outside = bool(route.timed or (route.refused and not route.trial))
            place = [Need(by, outside, Bound.WAITING)]
        if route.drivers:
            moves[drive] = ready + place
        if route.letters:
            moves[post] = room(shape.dead[number])
        if route.busy >= shape.limit[number]:
            ready = [*ready, Need((drive,) if route.drivers else (), bool(route.adapters or not route.drivers))]
        if route.children:
            moves[begin] = ready
            ready = [*ready, Need((begin,))]
        if route.inbox:
            moves[take] = ready + [need._replace(bound=Bound.NONE) for need in place]
    return moves


def relief_of(shape, state, moves):
    over = {number: route.inbox - shape.capacity[number] for number, route in enumerate(state)}
    return relief(moves, over)


def with_route(state, number, **changes):
    return (*state[:number], state[number]._replace(**changes), *state[number + 1 :])


def published(shape, state, number):
    for out in shape.outs[number]:
        state = with_route(state, out, inbox=state[out].inbox + 1)
    return state


def made(shape, state, move):
    """The states after a move, whatever it lacked."""
    number, kind = move
    route = state[number]
    if kind is Kind.TAKE:
        yield with_route(state, number, inbox=route.inbox - 1, adapters=route.adapters + 1)
    elif kind is Kind.BEGIN:
        yield with_route(state, number, children=route.children - 1, adapters=route.adapters + 1)
    elif kind is Kind.POST:
        state = with_route(state, number, letters=route.letters - 1)
        yield with_route(state, shape.dead[number], inbox=state[shape.dead[number]].inbox + 1)
    else:
        # The first driver emits its next child, which goes straight out; with its last it lets go what it holds.
        first, *rest = route.drivers
        left = (first - 1, *rest) if first > 1 else tuple(rest)
        trial = route.trial if first > 1 else 0
        released = route.refused if route.trial and not trial else 0  # the breaker closes
        state = with_route(
            state,
            number,
            drivers=left,
            trial=trial,
            refused=route.refused - released,
            children=route.children + released,
        )
        yield published(shape, state, number)


def from_outside(shape, state):
    """The states after something from outside."""
    for number, route in enumerate(state):
        if route.paused:
            yield with_route(state, number, paused=False)
        if route.timed:
            yield with_route(state, number, timed=route.timed - 1, children=route.children + 1)
        if not route.adapters:
            continue
        ended = with_route(state, number, adapters=route.adapters - 1)
        does = shape.does[number]
        yield published(shape, ended, number)
        if not shape.outs[number]:
            continue
        if "retry" in does:
            yield with_route(ended, number, timed=route.timed + 1)
        if "emit" in does:
            trial = "trial" in does and not route.trial and not route.drivers
            yield with_route(ended, number, drivers=(*route.drivers, 2), trial=int(trial) or route.trial)
        if "trial" in does and route.trial:
            yield with_route(ended, number, refused=route.refused + 1)
    for number, route in enumerate(state):
        if route.adapters and shape.dead[number] is not None:
            yield with_route(state, number, adapters=route.adapters - 1, letters=route.letters + 1)
        elif route.adapters and not shape.outs[number]:
            yield with_route(state, number, adapters=route.adapters - 1)


def others(shape, state, moves):
    """The states after what comes without relief."""
    for move, lacking in moves.items():
        if not lacking:
            yield from made(shape, state, move)
    yield from from_outside(shape, state)


def check(shape, start, messages):
    """Look at every state that can be reached; how many there are."""
    seen, pending, relieved = {start}, [start], 0
    while pending:
        state = pending.pop()
        moves = describe(shape, state)
        stuck, ahead = hopeless(moves), relief_of(shape, state, moves)
        assert bool(stuck) == bool(ahead), f"{shape} stands still in {state}"
        after = list(others(shape, state, moves))
        assert after or ahead or not any(route.messages for route in state), f"{shape} stands still in {state}"
        for move in ahead:
            assert not state[move.route].paused
            for new in made(shape, state, move):
                assert growth(shape, state, new) <= len(shape.outs[move.route] or (0,))
                after.append(new)
        if ahead and relieved < 5:
            relieved += 1
            assert not can_be_made(shape, state, stuck, messages)
        for new in after:
            if new not in seen and sum(route.messages for route in new) <= messages:
                seen.add(new)
                pending.append(new)
    return len(seen)


def growth(shape, before, after):
    """How many more messages than before there are beyond capacities."""

    def beyond(state):
        return sum(
            max(0, route.inbox - capacity) + max(0, route.waiting - capacity)
            for route, capacity in zip(state, shape.capacity, strict=True)
        )

    return beyond(after) - beyond(before)


def can_be_made(shape, start, stuck, messages):
    """Whether one of these moves comes to lack nothing, whatever else happens but relief."""
    seen, pending = {start}, [start]
    while pending:
        state = pending.pop()
        moves = describe(shape, state)
        if any(move in moves and not moves[move] for move in stuck):
            return True
        for after in others(shape, state, moves):
            if after not in seen and sum(route.messages for route in after) <= messages:
                seen.add(after)
                pending.append(after)
    return False


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


DOES = ("", "retry", "emit", "emit trial")


def starts(shape):
    """Full queues, and with each route paused or none."""
    full = tuple(Route(inbox=capacity) for capacity in shape.capacity)
    yield full
    for number in range(len(full)):
        yield with_route(full, number, paused=True)


def test_no_state_of_any_one_route_is_stuck():
    count = sum(
        check(shape, start, 5)
        for shape in shapes(1, (1, 2), (1, 2), (*DOES, "retry emit trial"))
        for start in starts(shape)
    )
    assert count > 1000


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_state_of_routes_drawn_at_random_is_stuck(data):
    check_one_of(data, st.integers(2, 3))


def check_one_of(data, counts):
    count = data.draw(counts)
    targets = st.lists(st.integers(0, count - 1), max_size=2, unique=True).map(lambda outs: tuple(sorted(outs)))

    def of_each(strategy):
        return data.draw(st.tuples(*[strategy] * count))

    shape = Shape(
        outs=of_each(targets),
        dead=of_each(st.sampled_from([None, *range(count)])),
        capacity=of_each(st.integers(1, 2)),
        limit=of_each(st.integers(1, 2)),
        does=of_each(st.sampled_from([*DOES, "retry emit trial"])),
    )
    for start in starts(shape):
        check(shape, start, 5 if count == 2 else 4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_state_of_any_two_routes_is_stuck():
    for shape in shapes(2, (1, 2), (1, 2), DOES):
        for start in starts(shape):
            check(shape, start, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None)
@given(st.data())
def test_no_state_of_three_routes_drawn_at_random_is_stuck(data):
    check_one_of(data, st.just(3))
