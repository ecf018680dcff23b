"""The rule for cycles that cannot move, against a model of routes whose every reachable state is looked at.

The model is in `support.waits`. Each of its moves is made whenever it lacks nothing, and then:

- where nothing more comes from outside, and messages are left, the rule lets something go ahead: no state is stuck;
- what goes ahead could not have gone otherwise: from where the rule gives relief no sequence of other steps makes that move;
- what it adds is one message, and a route on no cycle lets no more wait than it has places and messages in flight;
- and it is enough to ask of the sets of routes of which the engine asks, one by one.

`support.waits_search` looks at the states; rules with something wrong show that it finds what is wrong.
"""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.hop.deadlock import Bound, Kind, Move, Need, foremost, hopeless, relief
from support.waits import Shape, To, from_outside, made, shapes, starts, view
from support.waits_search import Rule, Search, check

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


DOES = ("", "retry", "emit", "emit trial")
MORE = (*DOES, "retry emit trial", "emit trial deep deeptrial", "emit trial endless", "emit deep deeptrial endless")


def is_bounded(shape, routes):
    """True if no more wait on a route on no cycle than it has places and messages in flight, twice: the second time released."""
    on_cycle = {number for part in shape.cycles for number in part}
    return all(
        number in on_cycle or route.waiting <= 2 * (shape.capacity[number] + shape.limit[number])
        for number, route in enumerate(routes)
    )


def test_no_state_of_any_one_route_is_stuck():
    assert sum(check(shape, 5) for shape in shapes(1, (1, 2), (1, 2), MORE)) > 1000


@pytest.mark.parametrize("does", MORE)
def test_no_more_wait_on_a_route_on_no_cycle_than_its_numbers_say(does):
    """All states that there are, for no number of messages would be reached that bounds them."""
    for capacity, limit in itertools.product((1, 2), repeat=2):
        shape = Shape(((),), (None,), (capacity,), (limit,), (does,))
        assert check(shape, 12, bound=is_bounded) == check(shape, 13, bound=is_bounded)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_state_of_routes_drawn_at_random_is_stuck(data):
    shape = shape_of(data, st.integers(2, 3))
    check(shape, most_of(shape))


def shape_of(data, counts):
    count = data.draw(counts)
    targets = st.lists(st.integers(0, count - 1), max_size=2, unique=True).map(lambda outs: tuple(sorted(outs)))

    def of_each(strategy):
        return data.draw(st.tuples(*[strategy] * count))

    return Shape(
        outs=of_each(targets),
        dead=of_each(st.sampled_from([None, *range(count)])),
        capacity=of_each(st.integers(1, 2)),
        limit=of_each(st.integers(1, 2)),
        does=of_each(st.sampled_from(MORE)),
    )


def most_of(shape):
    return 5 if len(shape.outs) == 2 else 4


@pytest.mark.slow
@pytest.mark.parametrize("does", MORE)
def test_no_more_wait_on_a_route_of_three_permits_than_its_numbers_say(does):
    for capacity in (1, 2, 3):
        shape = Shape(((),), (None,), (capacity,), (3,), (does,))
        assert check(shape, 15, bound=is_bounded) == check(shape, 16, bound=is_bounded)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("does", [*itertools.combinations_with_replacement(DOES, 2)], ids=" and ".join)
def test_no_state_of_any_two_routes_is_stuck(does):
    for shape in shapes(2, (1, 2), (1, 2), dict.fromkeys(does)):
        if shape.does == does and repr(shape) <= repr(mirrored(shape)):  # others are the same in the other order
            check(shape, 5)


def mirrored(shape):
    """The same two routes in the other order; of two that do the same only, for others are in one order as it is."""
    if len({*shape.does}) > 1:
        return shape
    other = {0: 1, 1: 0, None: None}
    outs = [tuple(sorted(other[out] for out in outs)) for outs in reversed(shape.outs)]
    dead = [other[dead] for dead in reversed(shape.dead)]
    return Shape(tuple(outs), tuple(dead), shape.capacity[::-1], shape.limit[::-1], shape.does)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=1000, deadline=None)
@given(st.data())
@pytest.mark.parametrize("part", range(3))
def test_no_state_of_three_routes_drawn_at_random_is_stuck(part, data):
    check(shape_of(data, st.just(3)), 4)


# -- the search ------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_the_search_sees_what_the_steps_of_the_model_reach(data):
    """A search in its simplest form, with no state or answer remembered, reaches as many."""
    shape = shape_of(data, st.integers(1, 2))
    search = Search(shape, 3)
    found, pending = set(starts(shape)), [*starts(shape)]
    while pending:
        state = pending.pop()
        free, ahead = moves_in(shape, search, state)
        for number, (section, route) in enumerate(zip(shape.sections, state, strict=True)):
            steps = [*from_outside(section, route)]
            for move in free:
                steps += made(section, route, move.kind, ahead=False) if move.route == number else ()
            for move in ahead:
                steps += made(section, route, move.kind, ahead=True) if move.route == number else ()
            for after in (published(shape, state, number, step) for step in steps):
                if after not in found and sum(one.messages for one in after) <= 3:
                    found.add(after)
                    pending.append(after)
    assert search.run() == len(found)


def moves_in(shape, search, state):
    verdict = search.judge(tuple(view(section, route) for section, route in zip(shape.sections, state, strict=True)))
    return verdict.free, verdict.ahead


def published(shape, state, number, step):
    after = [*state]
    after[number] = step.route
    targets = {To.NOWHERE: (), To.OUTS: shape.outs[number], To.DEAD: (shape.dead[number],)}
    for target in targets[step.to]:
        after[target] = after[target]._replace(inbound=after[target].inbound + 1)
    return tuple(after)


def among_known_needs(moves):
    """As if nothing came from outside."""
    return hopeless({move: [need._replace(is_outside=False) for need in needs] for move, needs in moves.items()})


def of_first_needs(moves):
    """As if each move lacked one thing at most."""
    return hopeless({move: needs[:1] for move, needs in moves.items()})


def until_all_needs_have_hope(moves):
    """As if one need without hope were enough for a move to have none: it may be met before the others."""
    hope = set()
    while True:
        more = {move for move, needs in moves.items() if all(need.is_outside or hope & {*need.by} for need in needs)}
        if more == hope:
            return frozenset(moves.keys() - hope)
        hope = more


def never(kind):
    """As if this kind of move could not go ahead."""
    return lambda moves, over: tuple(move for move in relief(moves, over) if move.kind is not kind)


def without_bounds(moves, over):
    """As if whatever a move lacks had a bound."""
    return relief(
        {move: [need._replace(bound=need.bound or Bound.ROOM) for need in needs] for move, needs in moves.items()}, over
    )


def with_hope_or_without(moves, over):
    """As if what has hope could go ahead, too."""
    return tuple(move for move, needs in moves.items() if needs and all(need.bound for need in needs))


WRONG = {
    "nothing comes from outside": Rule(hopeless=among_known_needs),
    "only the first need counts": Rule(hopeless=of_first_needs),
    "one need without hope is enough": Rule(hopeless=until_all_needs_have_hope),
    **{f"{kind.name} never goes ahead": Rule(relief=never(kind)) for kind in Kind},
    "everything has a bound": Rule(relief=without_bounds),
    "what has hope goes ahead": Rule(relief=with_hope_or_without),
}


@pytest.mark.parametrize("rule", WRONG.values(), ids=WRONG)
def test_the_search_finds_what_is_wrong_with_a_rule(rule):
    def look():
        for shape in shapes(1, (1, 2), (1, 2), MORE):
            check(shape, 5, rule)
        for does, capacity, limit in itertools.product(MORE, (1, 2), (1, 2)):
            check(Shape(((),), (None,), (capacity,), (limit,), (does,)), 12, rule, bound=is_bounded)

    with pytest.raises(AssertionError, match=r"stands still|could have gone later|grows"):
        look()


def test_the_search_finds_what_goes_ahead_and_could_have_gone_otherwise():
    """Such a rule agrees with itself, and leaves nothing that stands still: only what can be reached tells."""

    def with_bounds(moves, over=None):
        return tuple(move for move, needs in moves.items() if needs and all(need.bound for need in needs))

    wrong = Rule(hopeless=lambda moves: frozenset(with_bounds(moves)), relief=with_bounds)
    with pytest.raises(AssertionError, match="could have gone later"):
        check(Shape(((),), (None,), (1,), (2,), ("retry emit trial",)), 5, wrong)
