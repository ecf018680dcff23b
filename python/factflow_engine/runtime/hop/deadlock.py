"""Which routes wait for each other, or for themselves, for ever, and which messages may go over a capacity to end that.

Kept separate from what waits, because this is a rule about waits alone: a pure function over a description, which is
checked exhaustively for small graphs and used by nothing but `cycles`.

A route can make four moves. Each lacks some needs, all of which must be met before it is made:

| move | is | may lack |
|---|---|---|
| `BEGIN` | a free permit begins a message that a stage emitted, or that is tried again | permit, room, no pause |
| `TAKE` | a free permit takes a message from the inbound queue | permit, room, no pause, `BEGIN` first, a place among what waits, a breaker that refuses all |
| `POST` | a dead letter that waits is published | room in the dead-letter queue |
| `DRIVE` | a stage that emits lazily, and holds a permit, goes on | room, no pause, a place among what waits |

A need is met by moves of routes, or from outside:

- Room in a queue: by `TAKE` of a route that reads it, and of nobody else; from outside if somebody else reads it too.
- A permit: by `DRIVE`, where drivers hold one; from outside (an adapter returns, a source speaks) where none does.
- A place among the messages that wait to be tried again or posted, of which there may be as many as the inbound queue
  holds: by `POST`; from outside as time passes; and, for what waits for a half-open breaker all of whose trial calls are
  held by drivers that wait for room, by `DRIVE`. So too where such a breaker refuses all that the route could take.
- The end of a pause, or of an intake that was closed: from outside.

**Hope.** A move has hope if it lacks nothing, for then it is being made; or if something that it lacks may be met from
outside or by a move that has hope, for then the question is asked again. Moves without hope are a set each of which lacks
only what other moves of the set would meet: none of them is ever made, whatever else happens.

**Relief.** Of the moves without hope, those may go ahead that lack only what a number bounds. Where any move has no hope
there is one that may: permits, breakers and places are held by drivers and letters, a message is behind others only behind
`BEGIN`'s, and what those three lack is bounded, or from outside, or a driver's. Of each set of moves that wait for each
other those go ahead whose kind comes first in the table: what makes room in its turn before what adds to the rest; and of
several `TAKE` that of the queue which is furthest over its capacity.

A move that lacks something from outside besides never goes ahead, and nobody does because of it: a paused route, or one
whose adapters have every permit, would only be overrun. When that has come, it may go ahead itself.

**Which driver.** Where places are lacking because of breakers whose trial calls drivers hold, it is one of these drivers that
goes ahead: what any other emits would wait for the breaker as well, however much that is. Of several it is the one whose
call is at the last stage, for its children come to no breaker that one of the others would have to release first.

**Which routes.** Routes wait for others through queues alone, so that a set of moves without hope is of one strongly connected
component of the graph, or of one route. On no cycle, that one lacks places: no other need is met by moves that lack
what it has, permits being lacked by what nobody waits for. So the question is asked for each cycle, and for each other
route with a breaker; on a durable provider, where queues of cycles have no bounds, for each route with a breaker.

**Bound.** One message goes over a capacity for each move that goes ahead, and the question is asked again before the
next. A `TAKE` from a queue that is not over its capacity, which lets in who publishes from outside, goes ahead only where
none of its set is over: so a cycle whose messages do not multiply holds one more than its capacities, and another no more
than its own messages multiply into while it cannot move otherwise. (A bubble, as in deadlock-free ring networks, found
when needed rather than kept in reserve.)
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeVar

Driver = TypeVar("Driver")


class Kind(IntEnum):
    """Kind of a route's next move."""

    BEGIN = 0
    TAKE = 1
    POST = 2
    DRIVE = 3


class Move(NamedTuple):
    """Next move of one route, which is known by a number."""

    route: int
    kind: Kind


class Bound(IntEnum):
    """Which number bounds what a move lacks."""

    NONE = 0
    """None: it cannot go ahead without."""
    ROOM = 1
    WAITING = 2
    """How many messages of the route may wait to be tried again or posted, where a driver emits more."""


class Need(NamedTuple):
    """Resource that a move lacks.

    Attributes:
        by: Moves any of which may meet it.
        is_outside: True if it may be met without any of them.
        bound: Which number bounds it.
    """

    by: tuple[Move, ...] = ()
    is_outside: bool = False
    bound: Bound = Bound.NONE


def hopeless(moves: Mapping[Move, Sequence[Need]]) -> frozenset[Move]:
    """The moves that will never be made, given what each of them lacks; linear in the description.

    Moves that needs name and that are not described are never made.
    """
    waiting: dict[Move, list[Move]] = {}  # by what would meet a need of theirs
    found: dict[Move, None] = {}
    for move, needs in moves.items():
        if not needs or any(need.is_outside for need in needs):
            found[move] = None
        else:
            for need in needs:
                for other in need.by:
                    waiting.setdefault(other, []).append(move)
    pending = list(found)
    while pending:
        for move in waiting.get(pending.pop(), ()):
            if move not in found:
                found[move] = None
                pending.append(move)
    return frozenset(move for move in moves if move not in found)


def relief(moves: Mapping[Move, Sequence[Need]], over: Mapping[int, int]) -> tuple[Move, ...]:
    """The moves that may go ahead without what they lack; none if everything that waits may go on otherwise.

    Args:
        moves: What each move lacks.
        over: By how many messages the inbound queue of each route is over its capacity; below zero if there is room.
    """
    stuck = hopeless(moves)
    if not stuck:
        return ()
    sets = _Sets()
    for move in stuck:
        for need in moves[move]:
            for other in need.by:
                sets.join(move, other)
    ready = [move for move in moves if move in stuck and all(need.bound for need in moves[move])]
    best: dict[Move, tuple[Kind, int]] = {}  # by the member that stands for its set
    ranks = {move: (move.kind, -over.get(move.route, 0) if move.kind is Kind.TAKE else 0) for move in ready}
    for move, rank in ranks.items():
        of = sets.of(move)
        best[of] = min(best.get(of, rank), rank)
    return tuple(move for move, rank in ranks.items() if rank == best[sets.of(move)])


def foremost(stages: Mapping[Driver, int], asks: Driver | None) -> Driver:
    """The driver that goes ahead, of those whose trial calls are waited for; that which asks, if it is as good as another.

    Args:
        stages: The last stage at which each of them, at least one, holds such a call.
        asks: The one that is about to wait, if it is one of them; else None, or another.
    """
    last = max(stages.values())
    if asks is not None and stages.get(asks) == last:
        return asks
    return next(driver for driver, stage in stages.items() if stage == last)


class _Sets:
    """Disjoint sets of moves, joined one by one (Tarjan, J. ACM 22, 1975)."""

    def __init__(self) -> None:
        self._above: dict[Move, Move] = {}

    def of(self, move: Move) -> Move:
        """The member that stands for the set of this move."""
        above = self._above
        while (parent := above.get(move, move)) != move:
            above[move] = above.get(parent, parent)
            move = parent
        return move

    def join(self, one: Move, other: Move) -> None:
        """Make the sets of these two one."""
        self._above[self.of(one)] = self.of(other)
