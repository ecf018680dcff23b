"""The rule for cycles that cannot move, against a model of routes whose every reachable state is looked at.

The model is in `support.waits`. Each of its moves is made whenever it lacks nothing, and then:

- where nothing more comes from outside, and messages are left, the rule lets something go ahead: no state is stuck;
- what goes ahead could not have gone otherwise: from where the rule gives relief no sequence of other steps makes that move;
- what it adds is one message, and a route on no cycle lets no more wait than it has places and messages in flight;
- and it is enough to ask of the sets of routes of which the engine asks, one by one.
"""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.hop.deadlock import Bound, Kind, Move, Need, foremost, hopeless, relief
from support.waits import (
    Shape,
    describe,
    fed,
    made,
    others,
    relief_of,
    shapes,
    starts,
    within,
)

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


@given(st.dictionaries(st.integers(0, 5), st.integers(0, 3), min_size=1), st.none() | st.integers(0, 5))
def test_the_driver_of_the_last_stage_goes_ahead_and_of_several_that_which_asks(stages, asks):
    driver = foremost(stages, asks)
    assert stages[driver] == max(stages.values())
    if asks in stages and stages[asks] == stages[driver]:
        assert driver == asks, "else two that are woken in turn would each have the other woken, for ever"


def test_a_description_of_many_routes_takes_linear_time():
    count = 5_000
    ring = {
        Move(route, Kind.TAKE): [Need((Move((route + 1) % count, Kind.TAKE),), bound=Bound.ROOM)]
        for route in range(count)
    }
    assert len(relief(ring, {})) == count
    ring[Move(7, Kind.TAKE)].append(Need(is_outside=True))
    assert relief(ring, {}) == ()


# -- the model -------------------------------------------------------------------------------------------------------


def check(shape, start, messages, *, bound=None):
    """Look at every state that can be reached with so many messages; how many there are."""
    seen, pending, relieved = {start}, [start], 0
    circles = [frozenset(members) for members in shape.circles]
    while pending:
        state = pending.pop()
        moves = describe(shape, state)
        parts = [within(moves, members) for members in circles]  # as the engine asks: what leads there is told of room
        stuck = frozenset[Move]().union(*map(hopeless, parts))
        ahead = [move for part in parts for move in relief_of(state, shape, part)]
        assert bool(hopeless(moves)) == bool(ahead), f"{shape} stands still in {state}"
        assert stuck <= hopeless(moves), "what waits for others is not asked about by itself"
        after = list(others(shape, state, moves))
        assert after or ahead or not any(route.messages for route in state), f"{shape} stands still in {state}"
        for move in ahead:
            assert not state[move.route].paused
            for new in made(shape, state, move, ahead=True):
                assert growth(shape, state, new) <= len(shape.outs[move.route] or (0,))
                after.append(new)
        if bound is not None:
            after += fed(shape, state)
        if ahead and relieved < 5:
            relieved += 1
            assert not can_be_made(shape, state, stuck, messages)
        for new in after:
            if bound is not None:
                assert all(bound(shape, number, route) for number, route in enumerate(new)), f"{shape} grows: {new}"
            if new not in seen and sum(route.messages for route in new) <= messages:
                seen.add(new)
                pending.append(new)
    return len(seen)


def growth(shape, before, after):
    """How many more messages than before there are beyond capacities."""

    def beyond(state):
        return sum(
            max(0, route.inbound - capacity) + max(0, route.waiting - capacity)
            for route, capacity in zip(state, shape.capacity, strict=True)
        )

    return beyond(after) - beyond(before)


def can_be_made(shape, start, stuck, messages):
    """True if one of these moves comes to lack nothing, whatever else happens but relief."""
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


DOES = ("", "retry", "emit", "emit trial")
MORE = (*DOES, "retry emit trial", "emit trial deep deeptrial", "emit trial endless", "emit deep deeptrial endless")


def is_bounded(shape, number, route):
    """True if no more wait on a route on no cycle than it has places and messages in flight, twice: the second time released."""
    if any(number in part for part in shape.cycles):
        return True
    return route.waiting <= 2 * (shape.capacity[number] + shape.limit[number])


def test_no_state_of_any_one_route_is_stuck():
    count = sum(check(shape, start, 5) for shape in shapes(1, (1, 2), (1, 2), MORE) for start in starts(shape))
    assert count > 1000


@pytest.mark.parametrize("does", MORE)
def test_no_more_wait_on_a_route_on_no_cycle_than_its_numbers_say(does):
    """All states that there are, for no number of messages would be reached that bounds them."""
    for capacity, limit in itertools.product((1, 2), repeat=2):
        shape = Shape(((),), (None,), (capacity,), (limit,), (does,))
        for start in starts(shape):
            assert check(shape, start, 12, bound=is_bounded) == check(shape, start, 13, bound=is_bounded)


@settings(max_examples=8, deadline=None)
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
        does=of_each(st.sampled_from(MORE)),
    )
    for start in starts(shape):
        check(shape, start, 5 if count == 2 else 4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_more_wait_on_a_route_of_three_permits_than_its_numbers_say():
    for does in MORE:
        for capacity in (1, 2, 3):
            shape = Shape(((),), (None,), (capacity,), (3,), (does,))
            for start in starts(shape):
                assert check(shape, start, 15, bound=is_bounded) == check(shape, start, 16, bound=is_bounded)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("does", [*itertools.combinations_with_replacement(DOES, 2)], ids=" and ".join)
def test_no_state_of_any_two_routes_is_stuck(does):
    for shape in shapes(2, (1, 2), (1, 2), dict.fromkeys(does)):
        if shape.does == does:  # in the other order they are the same routes
            for start in starts(shape):
                check(shape, start, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None)
@given(st.data())
def test_no_state_of_three_routes_drawn_at_random_is_stuck(data):
    check_one_of(data, st.just(3))
