"""Crashes and cancellations of the processes of a simulated run: which process ends when, and when it is started again.

Kept separate from the run, which makes them happen, because this is bookkeeping of a plan.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from factflow_engine.testing.simulation.faults import CancelExecution, Crash, Fault, FaultRates, PowerCut
from factflow_engine.testing.virtual_time import SimulatedRandomness

Ending = Crash | CancelExecution | PowerCut
"""Fault that ends processes."""


class Endings:
    """Ends of the processes of one run.

    Attributes:
        timed: Those that have a time.
        rates: Rates that draw some.
        fired: Those that have happened, in order; one that a rate has drawn with its time.
        last: Time of the last of them that is known; the rates' end is the last of theirs.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        endings = [fault for fault in faults if isinstance(fault, (Crash, CancelExecution, PowerCut))]
        self.timed: Final[list[Ending]] = [ending for ending in endings if ending.at is not None]
        self.rates: Final = [
            fault for fault in faults if isinstance(fault, FaultRates) and (fault.crash_seconds or fault.cancel_seconds)
        ]
        self.fired: Final[list[Fault]] = []
        self.last: Final = max(
            [ending.at for ending in endings if ending.at is not None]
            + [fault.until for fault in faults if isinstance(fault, FaultRates) and fault.until is not None],
            default=0.0,
        )
        self._seed = seed
        self._stepped = [ending for ending in endings if ending.step is not None]
        self._causes: dict[int, dict[bool, Ending]] = {}  # by process, and by whether it is a crash
        self._restarts: dict[int, float | None] = {}

    def steps_of(self, number: int, life: int) -> tuple[int | None, int | None]:
        """Return the steps after which the life of a process that begins crashes, and is cancelled."""
        self._causes[number] = {}
        for ending in sorted(self._stepped, key=lambda each: each.step or 0, reverse=True):
            if ending.life == life:
                self.ends(ending, number)  # the earliest of each kind is left
        crash, cancellation = (self._causes[number].get(crashes) for crashes in (True, False))
        return None if crash is None else crash.step, None if cancellation is None else cancellation.step

    def ends(self, ending: Ending, number: int) -> bool:
        """Return whether this process ends, and remember why."""
        if not self._concerns(ending, number):
            return False
        self._causes[number][self.crashes(ending)] = ending
        return True

    def happened(self, number: int, *, crashed: bool) -> Ending | None:
        """Return why a process has ended, and note that this has happened; None if nothing planned it."""
        ending = self._causes[number].get(crashed)
        self._restarts[number] = None if ending is None else ending.restart_after
        if ending is not None and ending not in self.fired:
            self.fired.append(ending)
        return ending

    def restart_after(self, number: int) -> float | None:
        """Return the seconds after which a process that has ended is started again; None: never."""
        return self._restarts.pop(number, None)

    @staticmethod
    def crashes(ending: Ending) -> bool:
        """True if its processes crash, and are not cancelled."""
        return not isinstance(ending, CancelExecution)

    def drawn(self, number: int, rates: FaultRates, now: Callable[[], float]) -> Iterator[tuple[float, Ending]]:
        """Yield, for one process and without end, the seconds until its next ending, and that ending.

        Times between them are distributed exponentially.
        """
        randomness = SimulatedRandomness(f"{self._seed}/process {number}")
        whole = sum(1 / mean for mean in (rates.crash_seconds, rates.cancel_seconds) if mean)
        crashing = (1 / rates.crash_seconds if rates.crash_seconds else 0.0) / whole
        while True:
            delay = -math.log(1 - randomness.uniform(0, 1)) / whole
            ending: Ending = Crash(process=number, at=now())
            if randomness.uniform(0, 1) >= crashing:
                ending = CancelExecution(process=number, at=now())
            yield delay, replace(ending, at=now() + delay)

    def _concerns(self, ending: Ending, number: int) -> bool:
        return isinstance(ending, PowerCut) or ending.process is None or ending.process == number
