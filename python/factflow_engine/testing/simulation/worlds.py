"""Queues of a simulated run, as its processes and its outside use them.

Three kinds: the engine's own channels in memory, which end with their process; the simulated broker; and the SQLite queue
on files of the run's own. Kept separate from the run, which knows only what a world can do.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio
import trio.testing

from factflow_engine.frames import Frame
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.naming import is_topic
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.testing.simulation.broker import Broker, BrokerConnection
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.trace import TraceLog
from factflow_engine.testing.virtual_time import Simulation
from factflow_protocols import QueueClosedError, QueueMessage, QueueProtocol

EXECUTION_ID: Final = "simulated"
"""Id of the execution of every simulated run."""

MOST_TAKEN: Final = 1 << 20
"""Most messages that the outside takes at a time."""

Taken = Callable[[str, QueueMessage, float], None]
"""Taker of a message that has left through a queue, at a time."""


class World(Protocol):
    """Queues of one run."""

    @property
    def outlives_processes(self) -> bool:
        """True if messages outlive the processes."""
        ...

    def connect(self, process: int) -> tuple[QueueProtocol, Callable[[], object]]:
        """Return a provider for one life of a process, and what is called when that process dies."""
        ...

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """Begin to take the messages that leave, in tasks of the nursery, before anything is published."""
        ...

    def publish(self, queue: str, frame: Frame) -> None:
        """Publish a message from outside, at once; only where messages outlive the processes."""
        ...

    async def close(self) -> None:
        """Take what has left by now."""
        ...

    @property
    def fired(self) -> Sequence[Fault]:
        """Faults of queues that have happened."""
        ...


class MemoryWorld:
    """The engine's own channels."""

    outlives_processes: bool = False
    fired: Sequence[Fault] = ()

    def __init__(self) -> None:
        self._provider = MemoryQueue()

    def connect(self, process: int) -> tuple[QueueProtocol, Callable[[], object]]:
        """See `World`."""
        del process
        return self._provider, lambda: None

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """See `World`."""
        for queue in leaving:
            await nursery.start(take_from, self._provider, queue, taken)

    def publish(self, queue: str, frame: Frame) -> None:
        """See `World`."""
        raise AssertionError(f"{frame} for {queue}: messages in memory are published by their process")

    async def close(self) -> None:
        """See `World`."""
        await trio.testing.wait_all_tasks_blocked()


class BrokerWorld:
    """The simulated broker.

    Args:
        simulation: Seams of the run.
        faults: The run's faults.
        trace: The run's trace.
    """

    outlives_processes: bool = True

    def __init__(self, simulation: Simulation, faults: Sequence[Fault], trace: TraceLog) -> None:
        self._trace = trace
        self._clock = simulation.seams.clock
        self._broker = Broker(randomness=simulation.randomness, clock=self._clock, faults=faults, trace=self._note)
        self._leaving: dict[str, str] = {}  # names of the broker by those of the configuration
        self._taken: Taken | None = None
        self._times: dict[tuple[str, bytes], float] = {}
        self._outside = self._broker.connect(-1)

    @property
    def fired(self) -> Sequence[Fault]:
        """See `World`."""
        return self._broker.fired

    def connect(self, process: int) -> tuple[BrokerConnection, Callable[[], object]]:
        """See `World`."""
        connection = self._broker.connect(process)
        return connection, connection.die

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """See `World`. Topics keep nothing for nobody, so a consumer of the outside reads them."""
        self._taken = taken
        for queue in leaving:
            if is_topic(queue):
                await nursery.start(take_from, self._outside, queue, taken)
            else:
                self._leaving[queue] = _scoped(self._outside, queue)

    def publish(self, queue: str, frame: Frame) -> None:
        """See `World`."""
        self._broker.publish_now(_scoped(self._outside, queue), frame)

    async def close(self) -> None:
        """See `World`."""
        await trio.sleep(1)  # for what the consumers of topics have been handed
        assert self._taken is not None, "it was opened"
        for queue, name in self._leaving.items():
            for frame in self._broker.messages(name):
                self._taken(queue, frame, self._times.get((queue, frame.message_id), 0.0))

    def _note(self, event: str, queue: str, message_id: bytes | None, detail: str) -> None:
        if event == "accepted" and queue in self._leaving and message_id is not None:
            self._times.setdefault((queue, message_id), self._clock.monotonic_ns() / 1e9)
        mark = "! fault" if event == "fault" else f"* {event}"
        self._trace.note(mark, detail, route=queue, message_id=message_id)


def world_of(url: str, simulation: Simulation, faults: Sequence[Fault], trace: TraceLog) -> World:
    """Return the queues that a run's URL names."""
    return BrokerWorld(simulation, faults, trace) if url == "broker://" else MemoryWorld()


async def take_from(provider: QueueProtocol, queue: str, taken: Taken, *, task_status: trio.TaskStatus[None]) -> None:
    """Take messages from a queue for the outside, until it ends."""
    async with provider.subscribe(_scoped(provider, queue), "simulation", MOST_TAKEN) as subscription:
        task_status.started()
        while True:
            try:
                deliveries = await subscription.receive(MOST_TAKEN)
            except QueueClosedError:
                return
            for delivery in deliveries:
                taken(queue, delivery.message, trio.current_time())
            await subscription.settle(deliveries)


def _scoped(provider: QueueProtocol, queue: str) -> str:
    return ExecutionScopedQueue(provider, EXECUTION_ID).scope_queue(queue)
