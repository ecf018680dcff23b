"""Concurrency limits by key: with one for each host, a slow host does not take the calls of the others.

Keys come from messages, so that their number is unbounded by itself; this module bounds it. Kept separate from
`backpressure` because a controller knows nothing of others.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from factflow_engine.resilience.backpressure import BackpressureController


class KeyedLimits:
    """Controllers by key, made on first use of a key.

    Beyond `max_keys`, the least recently used one without calls is evicted, and what it has learnt with it. One with calls
    that wait or are in flight is never evicted: there may be as many more of them as there are calls.

    Args:
        make: Makes the controller of a key.
        name: Name of them together.
        max_keys: Most controllers, 1 or more.

    Attributes:
        name: Name of them together.
        evicted: Number of evicted controllers.
    """

    __slots__ = ("_busy", "_idle", "_make", "_max_keys", "evicted", "name")

    def __init__(self, make: Callable[[str], BackpressureController], *, name: str, max_keys: int) -> None:
        self.name = name
        self.evicted = 0
        self._make = make
        self._max_keys = max_keys
        # Every controller is in one of these: with the number of its calls, or without any in order of use, latest last.
        self._busy: dict[str, tuple[BackpressureController, int]] = {}
        self._idle: OrderedDict[str, BackpressureController] = OrderedDict()

    def enter(self, key: str) -> BackpressureController:
        """Return the controller of this key for one call, which `leave` must follow. Constant time."""
        controller, calls = self._busy.get(key, (None, 0))
        if controller is None:
            controller = self._idle.pop(key, None)
        if controller is None:
            self._make_room(self._max_keys - 1)
            controller = self._make(key)
        self._busy[key] = controller, calls + 1
        return controller

    def leave(self, key: str) -> None:
        """Note the end of a call that entered."""
        controller, calls = self._busy[key]
        if calls > 1:
            self._busy[key] = controller, calls - 1
            return
        del self._busy[key]
        self._idle[key] = controller
        self._make_room(self._max_keys)

    def known(self, key: str) -> BackpressureController | None:
        """Return the controller of this key, if there is one; does not count as use."""
        busy = self._busy.get(key)
        return self._idle.get(key) if busy is None else busy[0]

    def items(self) -> Iterator[tuple[str, BackpressureController]]:
        """Yield the keys and their controllers, those with calls first."""
        for key, (controller, _) in self._busy.items():
            yield key, controller
        yield from self._idle.items()

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    def _make_room(self, most: int) -> None:
        while self._idle and len(self) > most:
            self._idle.popitem(last=False)
            self.evicted += 1
