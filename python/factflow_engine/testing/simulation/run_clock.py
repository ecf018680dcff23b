"""Clock of a simulated run, which notices work that goes round at one instant.

Kept separate from the run because it is read for every message.
"""

from collections.abc import Callable
from typing import Final

import trio.testing

from factflow_engine.testing.virtual_time import EPOCH_NS

MOST_READINGS: Final = 400_000
"""Readings of the clock at one instant after which a run is taken for one that never ends: a second or two of ours."""

MOST_READINGS_OF_AN_INPUT: Final = 200
"""Readings that each input adds to these: a message costs some six in each route."""

MOST_WORK: Final = 1_000_000
"""Readings of the clock in all after which a run whose configuration has a circle, or endless retries, is taken for one
that never ends, however slowly time passes: some ten seconds of ours."""

MOST_WORK_OF_AN_INPUT: Final = 20_000
"""Readings that each input adds to these: thousands of visits to routes."""

_CREEP_SECONDS: Final = 1e-3


class RunClock:
    """Clock of a run; it is read at each turn of the loop, and so notices turns without end, at one instant or at many.

    If no time passes, each reading takes some from then on, so that the loop gives way, and the run can be stopped.

    Args:
        virtual: The virtual clock.
        stands: Called once, when no time passes.
        most: Readings at one instant after which it is called.
        goes_on: Called once, when the run has done very much in all.
        most_work: Readings in all after which it is called.

    Attributes:
        monotonic_ns: See `seams.Clock`. A closure, because it is called for every message.
    """

    def __init__(
        self,
        virtual: trio.testing.MockClock,
        *,
        stands: Callable[[], object],
        most: int,
        goes_on: Callable[[], object],
        most_work: int,
    ) -> None:
        read, read_ns, left = -1.0, 0, most
        work = most_work

        def monotonic_ns() -> int:
            nonlocal read, read_ns, left, work
            now = virtual._virtual_base  # as `SimulatedClock` reads it
            if now != read:
                read, read_ns = now, round(now * 1e9)
                if left > 0:
                    left = most
            left -= 1
            work -= 1
            if not work:
                goes_on()
            if left <= 0:
                if not left:
                    stands()
                virtual.jump(_CREEP_SECONDS)
            return read_ns

        self.monotonic_ns: Final = monotonic_ns

    def wall_ns(self) -> int:
        """See `seams.Clock`."""
        return EPOCH_NS + self.monotonic_ns()
