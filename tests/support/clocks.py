"""Seams whose clock is trio's, virtual under a mock clock: what waits there waits here too."""

import dataclasses

import trio

from factflow_engine.seams import Seams
from factflow_engine.testing.virtual_time import SimulatedRandomness, SimulatedThreads


class TrioClock:
    """Trio's clock as an execution sees it."""

    def monotonic_ns(self):
        return round(trio.current_time() * 1e9)

    def wall_ns(self):
        return 1_700_000_000_000_000_000 + self.monotonic_ns()


class CallClock:
    """A clock that a test moves by hand: its monotonic time is what the function returns."""

    def __init__(self, now_ns):
        self.monotonic_ns = now_ns

    def wall_ns(self):
        return 0


def seams_on_trio_time() -> Seams:
    """Return real seams but for the clock: with them, nothing may run in a thread while the clock is virtual."""
    return dataclasses.replace(Seams.real(), clock=TrioClock())


def seams_without_threads() -> Seams:
    """Return the same with blocking work done inline: a virtual clock takes a wait for a real thread for idleness, and jumps."""
    threads = SimulatedThreads(SimulatedRandomness(0), longest_seconds=0.001)
    return dataclasses.replace(seams_on_trio_time(), threads=threads)
