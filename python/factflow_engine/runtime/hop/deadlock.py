"""Deadlock among routes: which ones wait for each other for ever, and which messages may exceed a capacity then.

Kept separate from the routes because this is a rule about waits alone: a pure function of a description, checked
exhaustively for small graphs and used only by `cycles`.

A route can make four moves. Each has needs, all of which must be met before it is made:

| move | meaning | may need |
|---|---|---|
| `BEGIN` | a free permit begins a message that a stage emitted, or that is retried | permit, room, no pause |
| `TAKE` | a free permit takes a message from the inbound queue | permit, room, no pause, `BEGIN` first, a place among waiting messages, a breaker that permits calls |
| `POST` | a waiting dead letter is published | room in the dead-letter queue |
| `DRIVE` | a stage that emits lazily, and holds a permit, emits the next child | room, no pause, a place among waiting messages |

A need is met by moves of routes, or from outside:

- Room in a queue: by `TAKE` of a route that reads it; from outside if it has other consumers, too.
- A permit: by `DRIVE`, if drivers hold one; otherwise from outside (an adapter returns, a source yields).
- A place among the messages that wait for a retry or for publishing, of which there may be as many as the inbound queue
  holds: by `POST`; from outside as time passes; and, for messages that wait for a half-open breaker all of whose trial
  calls belong to drivers that wait for room, by `DRIVE`. The same applies if such a breaker refuses every message that
  the route could take.
- The end of a pause, or of a closed intake: from outside.

**Hope.** A move has hope if all its needs are met, because it is then being made; or if a need may be met from outside
or by a move that has hope, because the question is then asked again. The moves without hope are a set in which each
needs only what other moves of the set would provide: none of them is ever made, whatever else happens.

**Relief.** Of the moves without hope, those may be made whose unmet needs are all bounded by a number. If there is a
move without hope, there is such a one: permits, breakers and places are held by drivers and letters, a message is
behind others only behind those of `BEGIN`, and the needs of these three are bounded, or met from outside, or by a
driver. Of each set of moves that wait for each other those are made whose kind comes first in the table, so that moves
that make room come before moves that add messages; and of several `TAKE` the one whose queue exceeds its capacity most.

A move that also needs something from outside is never made this way, and blocks no other: a paused route, or one whose
adapters have every permit, would only be flooded. Once the outside need is met, it may be made.

**Which driver.** If places are missing because of breakers whose trial calls belong to drivers, one of these drivers
proceeds: children of any other driver would wait for the breaker as well, however many. Of several the one proceeds
whose call is at the last stage, because its children reach no breaker that another of them would have to release first.

**Which routes.** Routes wait for others only through queues, so that a set of moves without hope lies in one strongly
connected component of the graph, or in one route. Outside a cycle such a route needs places: no other need is met by
moves that need what it has, because nobody waits for what needs permits. So the question is asked for each cycle, and
for each other route with a breaker; on a durable provider, where queues of cycles have no bounds, for each route with a
breaker.

**Bound.** Each such move exceeds a capacity by one message, and the question is asked again before the next. A `TAKE`
from a queue within its capacity, which admits outside publishers, is made only if no queue of its set exceeds its
capacity: so a cycle whose messages do not multiply holds one more than its capacities, and another one at most the
messages that its own multiply into while it cannot move otherwise. (A bubble, as in deadlock-free ring networks, found
on demand rather than kept in reserve.)
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
    """Next move of one route, which is identified by a number."""

    route: int
    kind: Kind


class Bound(IntEnum):
    """Number that bounds a need."""

    NONE = 0
    """No bound: the move cannot be made without."""
    ROOM = 1
    WAITING = 2
    """Number of messages of the route that may wait for a retry or for publishing, for a driver that emits more."""


class Need(NamedTuple):
    """Resource that a move needs.

    Attributes:
        by: Moves any of which may meet the need.
        is_outside: True if it may be met without any of them.
        bound: Number that bounds it.
    """

    by: tuple[Move, ...] = ()
    is_outside: bool = False
    bound: Bound = Bound.NONE


def hopeless(moves: Mapping[Move, Sequence[Need]]) -> frozenset[Move]:
    """Return the moves that will never be made, given the needs of each; linear in the description.

    Moves that needs name and that are not described are never made.
    """
    waiting: dict[Move, list[Move]] = {}  # by the move that would meet a need of theirs
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
    """Return the moves that may be made despite unmet needs; none if every waiting message may proceed otherwise.

    Args:
        moves: Unmet needs of each move.
        over: Number of messages by which each route's inbound queue exceeds its capacity; negative if there is room.
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
    best: dict[Move, tuple[Kind, int]] = {}  # by the representative of its set
    ranks = {move: (move.kind, -over.get(move.route, 0) if move.kind is Kind.TAKE else 0) for move in ready}
    for move, rank in ranks.items():
        of = sets.of(move)
        best[of] = min(best.get(of, rank), rank)
    return tuple(move for move, rank in ranks.items() if rank == best[sets.of(move)])


def foremost(stages: Mapping[Driver, int], asks: Driver | None) -> Driver:
    """Return the driver that may proceed, of those with trial calls; preferably the asking one.

    Args:
        stages: Last stage at which each of these drivers (at least one) has such a call.
        asks: The driver that is about to wait, if it is one of them; else None, or another.
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
        """Return the representative of this move's set."""
        above = self._above
        while (parent := above.get(move, move)) != move:
            above[move] = above.get(parent, parent)
            move = parent
        return move

    def join(self, one: Move, other: Move) -> None:
        """Join the sets of these two moves."""
        self._above[self.of(one)] = self.of(other)
