"""Seams whose clock is trio's, virtual under a mock clock: what waits there waits here too."""

import dataclasses

import trio

from factflow_engine.seams import Seams


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
    return dataclasses.replace(Seams.real(), clock=TrioClock())
