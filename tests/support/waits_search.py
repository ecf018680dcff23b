"""A search of all states of `support.waits` that can be reached, and what must hold in each of them.

Kept separate from the model, which is written to be read; this is written to be fast. Routes are numbered, by section, and
what a search asks of one is worked out once, whatever shape it is in: its steps, and what the rule sees of it. The rule is
asked once for all states that look the same to it.
"""

import functools
from typing import Any, NamedTuple

from factflow_engine.runtime.hop.deadlock import Kind, Move, foremost, hopeless, relief
from support.waits import To, describe, from_outside, made, starts, view, within


class Rule(NamedTuple):
    """The rule's parts; others than the engine's, to see that the search finds what is wrong with them."""

    hopeless: Any = hopeless
    relief: Any = relief
    foremost: Any = foremost


class Routes:
    """The routes of one section that were met so far, by number.

    Attributes:
        routes, views, messages, over: Of each, by number.
    """

    def __init__(self, section, first):
        self.section = section
        self.first = first
        self.routes, self.views, self.messages, self.over = [], [], [], []
        self._numbers, self._steps, self._arrived = {}, {}, {}

    def number(self, route):
        number = self._numbers.get(route)
        if number is None:
            number = self._numbers[route] = len(self.routes)
            self.routes.append(route)
            self.views.append(view(self.section, route))
            self.messages.append(route.messages)
            capacity = self.section.capacity
            self.over.append(max(0, route.inbound - capacity) + max(0, route.waiting - capacity))
        return number

    def steps(self, number, kind, *, ahead=False):
        """The steps of a move, or of what comes from outside (None): numbers of routes, and where each publishes."""
        steps = self._steps.get((number, kind, ahead))
        if steps is None:
            route = self.routes[number]
            found = (
                from_outside(self.section, route)
                if kind is None
                else made(self.section, route, kind, ahead=ahead, first=self.first)
            )
            steps = self._steps[number, kind, ahead] = [(self.number(after), to) for after, to in found]
        return steps

    def arrived(self, number):
        """The route when one more message has arrived in its inbound queue."""
        after = self._arrived.get(number)
        if after is None:
            route = self.routes[number]
            after = self._arrived[number] = self.number(route._replace(inbound=route.inbound + 1))
        return after


@functools.cache
def routes_of(section, first):
    return Routes(section, first)


class Verdict(NamedTuple):
    """What the rule says of all states that look the same to it: of each route's moves the kinds, and bits of moves.

    Attributes:
        free: Moves that lack nothing.
        ahead: Moves that it lets go ahead.
        ready: Bits of `free`.
        stuck: Bits of the moves that wait for ever, as the engine asks: for each circle alone.
    """

    free: list[Move]
    ahead: list[Move]
    ready: int
    stuck: int


@functools.lru_cache(maxsize=8)
def verdicts_of(outs, dead, circles, rule):
    """Verdicts by what is seen of the routes: the same for shapes that differ in capacities and permits."""
    return {}


def bit(move):
    return 1 << (len(Kind) * move.route + move.kind)


class Search:
    """A search of the states of one shape with no more than so many messages, from all its starts at once.

    Args:
        shape: The shape.
        messages: Most messages that a state may have.
        rule: The rule.
        bound: Called with the shape and the routes of a state; what must be true of all that is reached. Messages are
            then published to routes on no cycle, too.
    """

    def __init__(self, shape, messages, rule=Rule(), *, bound=None):  # noqa: B008 - immutable
        self.shape, self.most, self.rule, self.bound = shape, messages, rule, bound
        self.tables = [routes_of(section, rule.foremost) for section in shape.sections]
        self.circles = [frozenset(members) for members in shape.circles]
        self.targets = [
            {To.NOWHERE: (), To.OUTS: outs, To.DEAD: () if dead is None else (dead,)}
            for outs, dead in zip(shape.outs, shape.dead, strict=True)
        ]
        on_cycle = {number for part in shape.cycles for number in part}
        self.fed = [] if bound is None else [number for number in range(len(self.tables)) if number not in on_cycle]
        self.verdicts = verdicts_of(shape.outs, shape.dead, tuple(self.circles), rule)

    def run(self):
        """Look at every state; how many there are."""
        tables, most, bound = self.tables, self.most, self.bound
        everywhere = range(len(tables))
        pending = [tuple(map(Routes.number, tables, start)) for start in starts(self.shape)]
        numbers = {state: number for number, state in enumerate(pending)}
        before = [[] for _ in pending]  # by number of a state, those from which it is reached without relief
        looked_at = []
        is_stuck = False
        while pending:
            state = pending.pop()
            verdict = self.verdict(state)
            number = numbers[state]
            looked_at.append((number, verdict))
            after = [
                new
                for move in verdict.free
                for new in self.after(state, move.route, tables[move.route].steps(state[move.route], move.kind))
            ]
            for route in everywhere:
                if steps := tables[route].steps(state[route], None):
                    after += self.after(state, route, steps)
            others = len(after)
            if verdict.stuck:
                is_stuck = True
                after += self.relieved(state, verdict)
            if not after:
                assert not self.messages(state), f"{self.shape} stands still in {self.named(state)}"
            for route in self.fed:
                if tables[route].views[state[route]].over < 0:
                    after += self.after(state, route, [(tables[route].arrived(state[route]), To.NOWHERE)])
            for place, new in enumerate(after):
                known = numbers.get(new)
                if known is None:
                    if bound is not None:
                        assert bound(self.shape, self.named(new)), f"{self.shape} grows: {self.named(new)}"
                    if self.messages(new) > most:
                        continue
                    known = numbers[new] = len(before)
                    before.append([])
                    pending.append(new)
                if place < others:
                    before[known].append(number)
        if is_stuck:
            self.check_hope(looked_at, before)
        return len(numbers)

    def check_hope(self, looked_at, before):
        """No sequence of steps without relief makes a move that waits for ever."""
        can, stuck = [0] * len(before), [0] * len(before)
        for number, verdict in looked_at:
            can[number], stuck[number] = verdict.ready, verdict.stuck
        pending = [number for number, bits in enumerate(can) if bits]
        while pending:
            number = pending.pop()
            bits = can[number]
            for one in before[number]:
                if bits & ~can[one]:
                    can[one] |= bits
                    pending.append(one)
        for one, other in zip(can, stuck, strict=True):
            assert not one & other, f"{self.shape}: what was let go ahead could have gone later"

    def relieved(self, state, verdict):
        """The states after relief, of which each exceeds capacities by no more than one message a queue."""
        tables = self.tables
        beyond = sum(table.over[one] for table, one in zip(tables, state, strict=True))
        for move in verdict.ahead:
            table, one = tables[move.route], state[move.route]
            assert not table.views[one].is_paused, f"{self.shape}: a paused route goes ahead in {self.named(state)}"
            for new in self.after(state, move.route, table.steps(one, move.kind, ahead=True)):
                more = sum(table.over[one] for table, one in zip(tables, new, strict=True)) - beyond
                assert more <= len(self.shape.outs[move.route] or (0,)), f"{self.shape} grows by {more} at once"
                yield new

    def after(self, state, route, steps):
        """The states after these steps of a route."""
        tables, targets = self.tables, self.targets[route]
        for one, to in steps:
            new = [*state]
            new[route] = one
            for target in targets[to]:
                new[target] = tables[target].arrived(new[target])
            yield tuple(new)

    def verdict(self, state):
        views = tuple([table.views[one] for table, one in zip(self.tables, state, strict=True)])
        verdict = self.verdicts.get(views)
        if verdict is None:
            verdict = self.verdicts[views] = self.judge(views)
        return verdict

    def judge(self, views):
        moves = describe(self.shape, views)
        over = {number: route.over for number, route in enumerate(views)}
        parts = [
            within(moves, members) for members in self.circles
        ]  # as the engine asks: what leads there is told of room
        stuck = frozenset[Move]().union(*map(self.rule.hopeless, parts))
        ahead = [move for part in parts for move in self.rule.relief(part, over)]
        assert bool(self.rule.hopeless(moves)) == bool(ahead), f"{self.shape} stands still, as seen by {views}"
        assert stuck <= self.rule.hopeless(moves), "what waits for others is not asked about by itself"
        free = [move for move, lacking in moves.items() if not lacking]
        return Verdict(free, ahead, sum(map(bit, free)), sum(map(bit, stuck)))

    def messages(self, state):
        return sum([table.messages[one] for table, one in zip(self.tables, state, strict=True)])

    def named(self, state):
        return [table.routes[one] for table, one in zip(self.tables, state, strict=True)]


def check(shape, messages, rule=Rule(), *, bound=None):  # noqa: B008 - immutable
    """Look at every state of a shape; how many there are. See `Search`."""
    return Search(shape, messages, rule, bound=bound).run()
