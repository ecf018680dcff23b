"""Sources of what differs between runs: time, randomness, ids, threads and worker processes.

An execution is given them as one `Seams` object; lint bans every other source. The real ones are here, simulated ones
in `factflow_engine.testing`. Kept separate from the runtime because adapters, queues and resilience need them, too.
"""

import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import trio

from factflow_engine.native import TimeOrderedIds

T = TypeVar("T")


AroundCall = Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
"""Wrapper of the calls of stages: see `Seams.around_call`."""


class Clock(Protocol):
    """Time as an execution sees it."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back, with an arbitrary origin. Costs tens of nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch, for ids and records; may step."""
        ...


class Randomness(Protocol):
    """Source of random bits for jitter and ids."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number between the bounds."""
        ...

    def token(self, size: int) -> bytes:
        """Return that many random bytes."""
        ...


class Ids(Protocol):
    """Source of ids of root messages and executions."""

    def new(self, wall_ns: int) -> bytes:
        """Return 16 bytes that begin with the time in milliseconds (48 bits, big-endian), so that they index well."""
        ...

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """Return the first of `count` consecutive ids, as numbers; like `new` otherwise."""
        ...


class Threads(Protocol):
    """Runner of blocking code."""

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function where it cannot block the event loop, and return its result.

        Cancellation waits for the function to end: no thread outlives its message.
        """
        ...


class Processes(Protocol):
    """Starter of worker processes."""

    async def start(self, code: str, arguments: Sequence[str], *, fd: int) -> trio.Process:
        """Start a Python interpreter that runs some code.

        Args:
            code: Code to run, with the arguments in `sys.argv[1:]`.
            arguments: Arguments, without secrets: other users of the machine can read them.
            fd: The only file descriptor, besides standard output and error, that it inherits.

        Raises:
            OSError: The system refuses to start a process.

        Cancellation: none; starting takes milliseconds.
        """
        ...


class CallRecords(Protocol):
    """Taker of what the calls of adapters took."""

    def ended(self, route: str, stage: str, start_ns: int, duration_ns: int, in_flight: int, dropped: bool) -> None:  # noqa: FBT001 - called once a call
        """Note a call that has ended; must not block.

        Args:
            route: Id of its route.
            stage: Name of its stage.
            start_ns: Monotonic time at which it began.
            duration_ns: Its duration, 1 at least.
            in_flight: Calls of the stage in flight when it began, itself included.
            dropped: True if it failed from overload.
        """
        ...


class Hooks(Protocol):
    """Places at which a simulated run looks into an execution."""

    @property
    def hashes_payloads(self) -> bool:
        """True if rows of lineage have hashes of payloads, whatever the configuration says."""
        ...

    def breaker(self, name: str, subscribe: Callable[[Callable[[Any], None]], object]) -> None:
        """Take the function that subscribes to the events of a stage's circuit breakers."""
        ...

    def rows(self, execution_id: str, drain: Callable[[], Sequence[tuple[int, Sequence[bytes]]]]) -> None:
        """Take the function that returns an execution's rows of lineage since its last call.

        Each list of packed rows comes with the nanoseconds that its times are ahead of the loop's.
        """
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()
    monotonic_ns = staticmethod(time.perf_counter_ns)
    wall_ns = staticmethod(time.time_ns)


_IMPORTED_NS: Final = time.time_ns()


def process_started_ns() -> int:
    """Return the wall time at which this process started, up to 20 ms late; this module's import if that is unknown.

    Linux counts it in ticks of its boot clock.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19]) + 1  # the last one has begun
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    except (AttributeError, IndexError, OSError, ValueError):
        return _IMPORTED_NS
    return min(time.time_ns() - age_ns, _IMPORTED_NS)


def _machine_instant() -> tuple[str, int]:
    """Return the machine's boot, and nanoseconds of its monotonic clock, which stands still while the machine sleeps.

    Where the boot is unknown, a lease may outlive one.
    """
    return _boot(), time.monotonic_ns()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class SystemRandomness:
    """The operating system's entropy for tokens, and a generator seeded from it for jitter."""

    __slots__ = ("_generator",)

    def __init__(self) -> None:
        self._generator = random.Random(secrets.randbits(128))

    def uniform(self, low: float, high: float) -> float:
        return self._generator.uniform(low, high)

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class TrioThreads:
    """Worker threads of trio's cache, at most as many at a time as the execution allows."""

    __slots__ = ("_limiter",)

    def __init__(self, limit: int = 40) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def run(self, function: Callable[[], T]) -> T:
        raised: list[BaseException] = []

        def contained() -> T | None:
            # trio examines an error in the thread: one whose class raises then ends the thread, and is awaited for ever.
            try:
                return function()
            except BaseException as error:  # noqa: BLE001 - it is raised below
                raised.append(error)
                return None

        result = await trio.to_thread.run_sync(contained, limiter=self._limiter)
        if raised:
            raise raised.pop()
        return cast("T", result)


class TrioProcesses:
    """Processes of the same interpreter, each in a session of its own.

    So signals of the terminal, such as Ctrl-C, do not reach them, and one signal to the session reaches all its
    processes.
    """

    __slots__ = ()

    async def start(self, code: str, arguments: Sequence[str], *, fd: int) -> trio.Process:
        flags = ["-P", *(["-" + "O" * sys.flags.optimize] if sys.flags.optimize else [])]
        flags += [f"-W{option}" for option in sys.warnoptions]
        # Not cancellable: trio starts the process in a thread, and waits for that.
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
        processes: Starter of worker processes; None if there is none, as under a virtual clock: their work then runs in
        `threads`.
        calls: Taker of what the calls of adapters took; None to record nothing.
        store_threads: Maker of a store's own threads, at most as many at a time: busy adapters do not hold it up.
        machine_instant: Clock for leases between processes, which all processes of the machine share and nobody can set:
        the machine's boot, and nanoseconds in it. Called in threads, too.
        hooks: Places of a simulated run; None in every other.
        around_call: Wrapper of the calls of stages, given a route, a stage and what is called in the place of its `process`,
        inside its time limits, breakers and limits; None in most runs.
    """

    clock: Clock
    randomness: Randomness
    ids: Ids
    threads: Threads = field(default_factory=TrioThreads)
    processes: Processes | None = field(default_factory=TrioProcesses)
    calls: CallRecords | None = None
    store_threads: Callable[[int], Threads] = TrioThreads
    machine_instant: Callable[[], tuple[str, int]] = _machine_instant
    hooks: Hooks | None = None
    around_call: AroundCall | None = None

    @staticmethod
    def real(*, calls: CallRecords | None = None, around_call: AroundCall | None = None) -> "Seams":
        """Return the machine's own sources, a taker of calls, and a wrapper of them."""
        randomness = SystemRandomness()
        return Seams(
            clock=SystemClock(),
            randomness=randomness,
            ids=TimeOrderedIds(randomness),
            calls=calls,
            around_call=around_call,
        )
