"""The sources of what makes a run differ from the next: time, randomness, ids, threads and worker processes.

An execution is given them as one `Seams` object; lint bans every other source. Real ones here, simulated ones in
`factflow_engine.testing`. Kept separate from the runtime because adapters, queues and resilience need them too.
"""

import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from factflow_engine.native import TimeOrderedIds

T = TypeVar("T")


class Clock(Protocol):
    """Time as an execution sees it."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back; the origin means nothing. Costs tens of nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch, for ids and records; may step."""
        ...


class Randomness(Protocol):
    """Source of the bits of jitter and ids."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number between the bounds."""
        ...

    def token(self, size: int) -> bytes:
        """Return that many random bytes."""
        ...


class Ids(Protocol):
    """Makes identities of root messages and executions."""

    def new(self, wall_ns: int) -> bytes:
        """Return 16 bytes that begin with the time in milliseconds (48 bits, big-endian), so that they index well."""
        ...

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """Return the first of so many ids that follow each other, as numbers; like `new` otherwise."""
        ...


class Threads(Protocol):
    """Runs blocking code."""

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function where it cannot block the event loop and return what it returns, or raise.

        Cancellation waits for the function to end: no thread outlives its message.
        """
        ...


class Processes(Protocol):
    """Starts worker processes."""

    async def start(self, code: str, arguments: Sequence[str], *, fd: int) -> trio.Process:
        """Start a Python interpreter that runs some code.

        Args:
            code: What it runs, with the arguments in `sys.argv[1:]`.
            arguments: Anything but secrets: other users of the machine can read them.
            fd: The one file descriptor, beside standard output and error, that it inherits.

        Raises:
            OSError: The system starts no more processes.

        Cancellation: none; starting takes milliseconds.
        """
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()
    monotonic_ns = staticmethod(time.perf_counter_ns)
    wall_ns = staticmethod(time.time_ns)


_IMPORTED_NS: Final = time.time_ns()


def process_started_ns() -> int:
    """Return the wall time at which this process started, up to 20 ms late, or this module's import where that is not known.

    Linux counts it in ticks of its boot clock.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19]) + 1  # the last one has begun
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    except (AttributeError, IndexError, OSError, ValueError):
        return _IMPORTED_NS
    return min(time.time_ns() - age_ns, _IMPORTED_NS)


class SystemRandomness:
    """The operating system's entropy for tokens, a generator seeded from it for jitter."""

    __slots__ = ("_generator",)

    def __init__(self) -> None:
        self._generator = random.Random(secrets.randbits(128))

    def uniform(self, low: float, high: float) -> float:
        return self._generator.uniform(low, high)

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class TrioThreads:
    """Worker threads of trio's cache, as many at a time as the execution allows."""

    __slots__ = ("_limiter",)

    def __init__(self, limit: int = 40) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def run(self, function: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(function, limiter=self._limiter)


class TrioProcesses:
    """Processes of the interpreter that this one runs on, each in a session of its own.

    So neither Ctrl-C nor another signal of the terminal reaches them, and one signal reaches all that one has started.
    """

    __slots__ = ()

    async def start(self, code: str, arguments: Sequence[str], *, fd: int) -> trio.Process:
        flags = ["-P", *(["-" + "O" * sys.flags.optimize] if sys.flags.optimize else [])]
        flags += [f"-W{option}" for option in sys.warnoptions]
        # Not interrupted half way: trio starts it in a thread, and waits for that.
        return await trio.lowlevel.open_process(
            [sys.executable, *flags, "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            pass_fds=(fd,),
            start_new_session=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """The sources of time, randomness, ids, threads and processes of one execution.

    Attributes:
        processes: None where there are to be none, as under a virtual clock: what would run in one then runs as `threads`
            says.
    """

    clock: Clock
    randomness: Randomness
    ids: Ids
    threads: Threads = field(default_factory=TrioThreads)
    processes: Processes | None = field(default_factory=TrioProcesses)

    @staticmethod
    def real() -> "Seams":
        """Return the machine's own."""
        randomness = SystemRandomness()
        return Seams(clock=SystemClock(), randomness=randomness, ids=TimeOrderedIds(randomness))
