"""Calls of simulated processes to a broker: they take time, fail, and are lost when their process dies.

Kept separate from what they do: whoever calls begins a call, waits until it has been `requested`, does its effect without
waiting, and waits until it is `answered`.
"""

from typing import Final

import trio

from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.broker.mischief import Mischief, Operation
from factflow_engine.testing.simulation.faults import FailQueue
from factflow_protocols import QueueError


class DeadProcessError(QueueError):
    """Call of a simulated process that has died: it has no effect, and nobody is there to be told."""


class Latency:
    """Seconds that calls take, drawn for each.

    Args:
        randomness: A generator of its own.
        bounds: Shortest and longest call, in seconds.
    """

    def __init__(self, randomness: Randomness, bounds: tuple[float, float]) -> None:
        self._randomness = randomness
        self._low, self._high = bounds

    def draw(self) -> tuple[float, float]:
        """Return the seconds until a call has reached the broker, and those until the answer is there."""
        if self._high <= 0:
            return 0.0, 0.0
        seconds = self._randomness.uniform(self._low, self._high)
        request = self._randomness.uniform(0, seconds)
        return request, seconds - request


class Call:
    """One call of a process."""

    __slots__ = ("_answer", "_caller", "_fault", "_queue", "_request")

    def __init__(self, caller: "Caller", queue: str, fault: FailQueue | None, seconds: tuple[float, float]) -> None:
        self._caller = caller
        self._queue = queue
        self._fault = fault
        self._request, self._answer = seconds

    @property
    def is_answered(self) -> bool:
        """True unless the answer will be lost."""
        return self._fault is None

    async def requested(self) -> None:
        """Wait until the call has reached the broker.

        Raises:
            QueueError: A fault: it has no effect.
        """
        await trio.sleep(self._request)
        await self.unless_dead()
        if self._fault is not None and not self._fault.done:
            raise QueueError(self._queue, f"the simulated broker refused the call: {self._fault!r}")

    async def answered(self) -> None:
        """Wait until the answer is there.

        Raises:
            QueueError: A fault: the answer is lost.
        """
        if self._answer:
            await trio.sleep(self._answer)
            await self.unless_dead()
        if self._fault is not None:
            raise QueueError(self._queue, f"the simulated broker's answer was lost: {self._fault!r}")

    async def unless_dead(self) -> None:
        """Never return if the process has died while it waited; else do nothing."""
        if self._caller.died_ns is not None:
            await trio.sleep_forever()


class Caller:
    """A process, as the broker knows it.

    Attributes:
        process: Its number.
        died_ns: Time at which it died; None while it lives.
    """

    def __init__(self, process: int, *, latency: Latency, mischief: Mischief) -> None:
        self.process: Final = process
        self.died_ns: int | None = None
        self._latency = latency
        self._mischief = mischief

    def call(self, operation: Operation | None, queue: str) -> Call:
        """Begin a call.

        Args:
            operation: Operation that faults may hit; None for another one.
            queue: Name of the queue, for errors.

        Raises:
            DeadProcessError: The process is dead.
        """
        if self.died_ns is not None:
            raise DeadProcessError(queue, f"process {self.process} has died in the simulation")
        fault = None if operation is None else self._mischief.of_call(operation, queue)
        return Call(self, queue, fault, self._latency.draw())
