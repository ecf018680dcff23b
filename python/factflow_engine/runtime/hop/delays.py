"""The messages of one route that wait, holding no permit: for a time, a circuit breaker, or room for a dead letter.

Kept separate from `route` because each of these waits is found in a way of its own, and none may cost by how many others
there are: times in a heap, breakers by name, dead letters in a queue. What leaves by its breaker stays in the heap as a
mark until it comes to the top or marks outnumber messages, so that adding and releasing take logarithmic time.
"""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain, islice
from typing import Any, Final, Protocol

from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.report import Holder

FEW_MARKS: Final = 64
"""So many marks of released messages are left in the heap, however few messages there are."""


class GiveUp(Protocol):
    """Ends a message for good, if it can; `exceeds`: whether its dead-letter queue may hold more than it is to hold."""

    def __call__(self, *, exceeds: bool) -> bool: ...  # noqa: D102


class Waiting:
    """A message that waits, holding no permit, to be tried again or to be dead-lettered.

    Attributes:
        due: When, in trio's time; infinity for a dead letter, which is told of room.
        serial: Tells those of the same time apart: first come, first served.
        child: The message, as it will begin.
        stage: The stage that it is at, for those who ask; empty between stages.
        since_ns: Since when it waits.
        give_up: Publishes the dead letter, if it is one: true when that is done, else it waits on.
        by: What it waits for.
        reason: Why it is to be tried again, or the name of what it waits for; for people.
        circuit: Name of the breaker that refused it, if that is what it waits for.
        stops: True if that breaker refuses every message of the route.
        asks: True if nobody can say when there will be what it waits for.
        is_released: True if it waits no more, and is only a mark.
    """

    __slots__ = (
        "asks", "by", "child", "circuit", "due", "give_up", "is_released", "reason", "serial", "since_ns", "stage",
        "stops",
    )  # fmt: skip

    def __init__(
        self,
        *,
        due: float,
        serial: int,
        child: Child,
        stage: str,
        since_ns: int,
        give_up: GiveUp | None = None,
        by: Holder = Holder.RETRY,
        reason: str = "",
        circuit: str | None = None,
        stops: bool = False,
        asks: bool = False,
    ) -> None:
        self.due = due
        self.serial = serial
        self.child = child
        self.stage = stage
        self.since_ns = since_ns
        self.give_up = give_up
        self.by = by
        self.reason = reason
        self.circuit = circuit
        self.stops = stops
        self.asks = asks
        self.is_released = False

    @property
    def group(self) -> tuple[str, Holder, str | None]:
        """The stage, what it waits for, and the breaker's name: messages of one group wait for the same thing."""
        return self.stage, self.by, self.circuit

    def __lt__(self, other: "Waiting") -> bool:
        return (self.due, self.serial) < (other.due, other.serial)


class Delays:
    """Holds what waits of one route.

    Attributes:
        letters: Dead letters whose queue was full, first come first; at most about as many as the inbound queue may hold.
        asking: How many there are for which nobody can say when they go on, by stage and by what they wait for.
        groups: How many there are by stage, by what they wait for and by the name of the breaker, if they wait for one.
        stopping: How many wait for a breaker that refuses every message of the route.
    """

    __slots__ = ("_circuits", "_circuits_count", "_timed", "_timed_count", "asking", "groups", "letters", "stopping")

    def __init__(self) -> None:
        self.letters: deque[Waiting] = deque()
        self.asking: Counter[tuple[str, Holder]] = Counter()
        self.groups: Counter[tuple[str, Holder, str | None]] = Counter()
        self.stopping = 0
        self._timed: list[Waiting] = []  # a heap, of all but letters, and of marks
        self._timed_count = 0  # without marks
        # By name, in the order of coming; of those in the heap that wait for a breaker. No name without messages.
        self._circuits: dict[str, OrderedDict[int, Waiting]] = {}
        self._circuits_count = 0

    def __len__(self) -> int:
        return self._timed_count + len(self.letters)

    def __iter__(self) -> Iterator[Waiting]:
        return chain((waiting for waiting in self._timed if not waiting.is_released), self.letters)

    @property
    def due(self) -> float:
        """When the next of them is to go on, in trio's time; infinity if time alone changes nothing."""
        timed = self._timed
        while timed and timed[0].is_released:
            heappop(timed)
        return timed[0].due if timed else math.inf

    @property
    def circuits(self) -> int:
        """Number of messages that wait for circuit breakers."""
        return self._circuits_count

    def circuit_names(self, most: int) -> tuple[str, ...]:
        """The breakers that are waited for: so many and one more, of those that are more."""
        return tuple(islice(self._circuits, most + 1))

    def has_circuit(self, name: str) -> bool:
        """True if messages wait for this breaker."""
        return name in self._circuits

    def is_stopped_by(self, name: str) -> bool:
        """True if messages wait for this breaker, and it refuses every message of the route."""
        queue = self._circuits.get(name)
        return queue is not None and next(iter(queue.values())).stops

    def add(self, waiting: Waiting) -> None:
        """Have a message wait: a letter behind the other letters."""
        self.groups[waiting.group] += 1
        if waiting.asks:
            self.asking[waiting.stage, waiting.by] += 1
        self.stopping += waiting.stops
        if waiting.give_up is not None:
            self.letters.append(waiting)
            return
        heappush(self._timed, waiting)
        self._timed_count += 1
        if waiting.circuit is not None:
            self._circuits.setdefault(waiting.circuit, OrderedDict())[waiting.serial] = waiting
            self._circuits_count += 1

    def pop_due(self, now: float) -> Waiting | None:
        """Take out the next of those whose time has come."""
        if self.due > now:
            return None
        waiting = heappop(self._timed)
        self._left(waiting)
        return waiting

    def pop_circuit(self, name: str) -> Waiting | None:
        """Take out the first that came of those that wait for this breaker."""
        queue = self._circuits.get(name)
        if queue is None:
            return None
        waiting = next(iter(queue.values()))
        self._left(waiting)
        if len(self._timed) > 2 * self._timed_count + FEW_MARKS:
            self._timed = [one for one in self._timed if not one.is_released]
            heapify(self._timed)
        return waiting

    def pop_letter(self) -> Waiting:
        """Take out the first letter; there must be one."""
        letter = self.letters.popleft()
        self._forget(letter)
        return letter

    def drain(self) -> list[Waiting]:
        """Take everything out, in the order in which it would go on by time."""
        everything = sorted(self)
        self.__init__()  # type: ignore[misc]
        return everything

    def _left(self, waiting: Waiting) -> None:
        waiting.is_released = True
        self._timed_count -= 1
        if waiting.circuit is not None:
            queue = self._circuits[waiting.circuit]
            del queue[waiting.serial]
            self._circuits_count -= 1
            if not queue:
                del self._circuits[waiting.circuit]
        self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        self.stopping -= waiting.stops
        _count_down(self.groups, waiting.group)
        if waiting.asks:
            _count_down(self.asking, (waiting.stage, waiting.by))


def _count_down(counter: Counter[Any], key: object) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
