"""Messages of one route that wait without a permit: for a time, a circuit breaker, or room for a dead letter.

Kept separate from `route_state` because each of these waits needs its own index, and none may cost time proportional to
the others: times in a heap, breakers by name, dead letters in a queue. A message that is released by its breaker stays
in the heap as a mark until it reaches the top or marks outnumber messages, so that adding and releasing take
logarithmic time.
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
"""Number of marks of released messages that are always tolerated in the heap."""


class GiveUp(Protocol):
    """Ends a message for good, if possible; `exceeds` allows its dead-letter queue to exceed its capacity."""

    def __call__(self, *, exceeds: bool) -> bool: ...  # noqa: D102


class Waiting:
    """A message that waits, without a permit, for another attempt or for the dead-letter queue.

    Attributes:
        due: Time to proceed, by trio's clock; infinity for a dead letter, which waits for room.
        serial: Order among those of the same time: first come, first served.
        child: The message, as it will begin.
        stage: Name of the stage that it is at, for statistics; empty between stages.
        since_ns: Time at which its wait began.
        give_up: Publishes a dead letter: returns True if that is done, otherwise it continues to wait.
        by: What it waits for.
        reason: Reason of the wait, for people: the last error, or the name of what it waits for.
        circuit: Name of the breaker that refused it, if it waits for one.
        stops: True if that breaker refuses every message of the route.
        asks: True if the end of the wait is unknown.
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
    """Waiting messages of one route.

    Attributes:
        letters: Dead letters whose queue was full, in order; at most about as many as the inbound queue may hold.
        asking: Number of messages whose wait has no known end, by stage and by what they wait for.
        groups: Number of messages by stage, by what they wait for and by the name of the breaker, if they wait for one.
        stopping: Number of messages that wait for a breaker that refuses every message of the route.
    """

    __slots__ = ("_circuits", "_circuits_count", "_timed", "_timed_count", "asking", "groups", "letters", "stopping")

    def __init__(self) -> None:
        self.letters: deque[Waiting] = deque()
        self.asking: Counter[tuple[str, Holder]] = Counter()
        self.groups: Counter[tuple[str, Holder, str | None]] = Counter()
        self.stopping = 0
        self._timed: list[Waiting] = []  # a heap, of all messages except letters, and of marks
        self._timed_count = 0  # without marks
        # By name, in order of arrival, of messages in the heap that wait for a breaker. No name without messages.
        self._circuits: dict[str, OrderedDict[int, Waiting]] = {}
        self._circuits_count = 0

    def __len__(self) -> int:
        return self._timed_count + len(self.letters)

    def __iter__(self) -> Iterator[Waiting]:
        return chain((waiting for waiting in self._timed if not waiting.is_released), self.letters)

    @property
    def due(self) -> float:
        """Time at which the next of them proceeds, by trio's clock; infinity if time alone changes nothing."""
        timed = self._timed
        while timed and timed[0].is_released:
            heappop(timed)
        return timed[0].due if timed else math.inf

    @property
    def circuits(self) -> int:
        """Number of messages that wait for circuit breakers."""
        return self._circuits_count

    def circuit_names(self, most: int) -> tuple[str, ...]:
        """Return the names of breakers that messages wait for: at most `most` and one more."""
        return tuple(islice(self._circuits, most + 1))

    def has_circuit(self, name: str) -> bool:
        """True if messages wait for this breaker."""
        return name in self._circuits

    def first_at(self, name: str) -> Waiting | None:
        """Return the message that has waited longest for this breaker; None if there is none."""
        queue = self._circuits.get(name)
        return None if queue is None else next(iter(queue.values()))

    def is_stopped_by(self, name: str) -> bool:
        """True if messages wait for this breaker, and it refuses every message of the route."""
        queue = self._circuits.get(name)
        return queue is not None and next(iter(queue.values())).stops

    def add(self, waiting: Waiting) -> None:
        """Add a waiting message; a letter goes behind the other letters."""
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
        """Remove and return the next message that is due; None if there is none."""
        if self.due > now:
            return None
        waiting = heappop(self._timed)
        self._left(waiting)
        return waiting

    def pop_circuit(self, name: str) -> Waiting | None:
        """Remove and return the first message that waits for this breaker; None if there is none."""
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
        """Remove and return the first letter; there must be one."""
        letter = self.letters.popleft()
        self._forget(letter)
        return letter

    def drain(self) -> list[Waiting]:
        """Remove and return all messages, in the order of their times."""
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
