"""Relief: lets messages go ahead in cycles of routes that cannot move otherwise, as soon as that is so.

Kept separate from the loop, which moves what can move. The rule is in `deadlock`; here is when it is asked, which is
whenever something may have ended that a cycle's routes had waited for:

- before a worker parks, and in trio's next step at the latest, if a route of the cycle was found unable to do what it has
  to, a permit of it came back, or a letter of it found its queue full: whoever hears of room, of a time that has come, or
  of a breaker, looks first;
- at once where no worker may be left to ask: a driver stops, a letter is posted or has to wait again, a pause ends.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from factflow_engine.runtime.cycles import Cycle
from factflow_engine.runtime.deadlock import Kind
from factflow_engine.runtime.lane import Lane


class Movers(Protocol):
    """What the loop does for a route that may go ahead."""

    def attend(self, lane: Lane) -> None:
        """Have a worker look at the lane."""
        ...

    def wake_drivers(self, lane: Lane) -> None:
        """Have the drivers that wait look again."""
        ...

    def wake_driver(self, lane: Lane, task: trio.lowlevel.Task) -> None:
        """Have this one of them look again."""
        ...

    def look_soon(self) -> None:
        """Have `Relief.look` called in trio's next step, if it is not called before."""
        ...

    def rouse(self) -> None:
        """See to it that a worker looks at the lanes that are to be looked at, unless one runs that will."""
        ...


class Relief:
    """Looks after the cycles of one execution.

    Args:
        cycles: They.
        movers: The loop.
        post_now: Posts the letters of a lane for which there is room.
        post_beyond: Posts the first letter of a lane beyond the capacity of its queue; false if it could not.

    Attributes:
        strained: Those that may stand still since they were looked at last.
    """

    __slots__ = ("_cycles", "_granted", "_movers", "_post_beyond", "_post_now", "strained")

    def __init__(
        self,
        cycles: Sequence[Cycle],
        movers: Movers,
        *,
        post_now: Callable[[Lane], None],
        post_beyond: Callable[[Lane], bool],
    ) -> None:
        self._cycles = {lane: cycle for cycle in cycles for lane in cycle.lanes}
        self._movers = movers
        self._post_now = post_now
        self._post_beyond = post_beyond
        self._granted: set[Lane] = set()  # lanes that may take a message, or begin one, beyond a capacity
        self.strained: dict[Cycle, None] = {}

    def note_blocked(self, lane: Lane) -> None:
        """Note that a lane has something to do and was found unable to."""
        if (cycle := self._cycles.get(lane)) is not None and (cycle.through_queues or lane.drivers):
            cycle.blocked[lane] = None
            self._strain(cycle)

    def note_permit(self, lane: Lane) -> None:
        """Note that a permit of this lane came back."""
        if (cycle := self._cycles.get(lane)) is not None and cycle.blocked:
            self._strain(cycle)

    def _strain(self, cycle: Cycle) -> None:
        if not self.strained:
            self._movers.look_soon()  # the worker that runs may have to wait before it parks, and be the last one
        self.strained[cycle] = None

    def takable(self, lane: Lane) -> int:
        """How many messages a lane that can take none may take beyond a capacity: one, if it was told so and still may."""
        cycle = self._cycles.get(lane)
        if cycle is None or not lane.has_work:
            return 0
        self.note_blocked(lane)
        if not cycle.through_queues:
            return 0  # only its drivers may go ahead
        lane.watch_full()  # whatever else it lacks: it may be all that it lacks in the end
        if lane not in self._granted:
            return 0
        self._granted.discard(lane)
        ahead = cycle.relief()
        return 1 if (lane, Kind.TAKE) in ahead or (lane, Kind.BEGIN) in ahead else 0

    def look(self) -> None:
        """Look at the cycles that are strained."""
        while self.strained:
            cycle, _ = self.strained.popitem()
            self._look_at(cycle, None)

    def look_at(self, lane: Lane) -> None:
        """Look at the cycle of this lane, if it is on one."""
        if (cycle := self._cycles.get(lane)) is not None:
            self._look_at(cycle, None)

    def may_drive(self, lane: Lane, task: trio.lowlevel.Task) -> bool:
        """True if this driver of the lane, which has just stopped, may go ahead; others that may are told."""
        if (cycle := self._cycles.get(lane)) is None:
            return False
        cycle.blocked[lane] = None
        return self._look_at(cycle, task)

    def _look_at(self, cycle: Cycle, asks: trio.lowlevel.Task | None) -> bool:
        """Post letters while these are what may go ahead, and tell the lanes of which something else may.

        Returns:
            True if the driver that asks may go ahead.
        """
        movers = self._movers
        while True:
            # A letter that lacks nothing has hope only if it is posted: a publisher may be told of that room, and no more.
            for lane in tuple(cycle.blocked):
                self._post_now(lane)
            goes = is_posted = tells = False
            for lane, kind in cycle.relief():
                if kind is Kind.POST:
                    is_posted = self._post_beyond(lane)
                    if is_posted:
                        break  # that may be enough for the others
                elif kind is not Kind.DRIVE:
                    self._granted.add(lane)
                    movers.attend(lane)
                    tells = True
                elif (driver := lane.first_driver(asks)) is None:
                    movers.wake_drivers(lane)
                elif driver is asks:
                    goes = True
                else:
                    movers.wake_driver(lane, driver)
            if tells:
                movers.rouse()
            if not is_posted:
                return goes
