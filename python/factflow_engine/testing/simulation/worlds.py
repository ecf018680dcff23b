"""Queues of a simulated run, as its processes and its outside use them.

Three kinds: the engine's own channels in memory, which end with their process; the simulated broker; and the SQLite queue
on files of the run's own. Kept separate from the run, which knows only what a world can do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory  # noqa: TID251 - the folder's name is kept out of the trace
from typing import Final, Protocol

import trio
import trio.testing

from factflow_engine.frames import Frame
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.naming import is_topic
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.seams import Seams
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing.simulation.broker import Broker, BrokerConnection
from factflow_engine.testing.simulation.faults import Fault, PowerCut
from factflow_engine.testing.simulation.power import PowerCuts
from factflow_engine.testing.simulation.trace import TraceLog
from factflow_engine.testing.virtual_time import SimulatedRandomness, Simulation
from factflow_protocols import QueueClosedError, QueueMessage, QueueProtocol, StorageProtocol

EXECUTION_ID: Final = "simulated"
"""Id of the execution of every simulated run."""

MOST_TAKEN: Final = 1 << 20
"""Most messages that the outside takes at a time."""

Taken = Callable[[str, Sequence[QueueMessage], float], None]
"""Taker of messages that have left through a queue, at a time."""


class World(Protocol):
    """Queues of one run, and the object store of its stages."""

    @property
    def outlives_processes(self) -> bool:
        """True if messages outlive the processes."""
        ...

    def seams(self, seams: Seams) -> Seams:
        """Return the seams of one life of a process as this world needs them."""
        ...

    def connect(self, process: int, seams: Seams) -> tuple[QueueProtocol, Callable[[], object]]:
        """Return a provider for one life of a process, and what is called when that process dies."""
        ...

    def storage(self, seams: Seams) -> StorageProtocol:
        """Return the object store for one life of a process."""
        ...

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """Begin to take the messages that leave, in tasks of the nursery, before anything is published."""
        ...

    async def publish(self, queue: str, frame: Frame) -> None:
        """Publish a message from outside; only where messages outlive the processes. It is accepted on return."""
        ...

    def cut_power(self) -> None:
        """Lose what the files had not made durable; every process has died."""
        ...

    async def close(self) -> None:
        """Take what has left by now."""
        ...

    @property
    def fired(self) -> Sequence[Fault]:
        """Faults of queues that have happened."""
        ...


class _InMemory:
    """Part of worlds without files: one object store in memory, of all processes."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def seams(self, seams: Seams) -> Seams:
        """See `World`."""
        return seams

    def storage(self, seams: Seams) -> StorageProtocol:
        """See `World`."""
        del seams
        return self._storage

    def cut_power(self) -> None:
        """See `World`."""
        raise AssertionError("there are no files: refused before, in `settings`")


class MemoryWorld(_InMemory):
    """The engine's own channels."""

    outlives_processes: bool = False
    fired: Sequence[Fault] = ()

    def __init__(self) -> None:
        super().__init__()
        self._provider = MemoryQueue()

    def connect(self, process: int, seams: Seams) -> tuple[QueueProtocol, Callable[[], object]]:
        """See `World`."""
        del process, seams
        return self._provider, lambda: None

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """See `World`."""
        for queue in leaving:
            await nursery.start(self._take, queue, taken)

    async def _take(self, queue: str, taken: Taken, *, task_status: trio.TaskStatus[None]) -> None:
        """Take messages from a channel itself, which costs a fraction of a subscription.

        The end of a life closes its channels. The next life has others, under the same names.
        """
        names = ExecutionScopedQueue(self._provider, EXECUTION_ID)
        subscription = names.scope_subscription(queue, "simulation")
        arrival = trio.lowlevel.ParkingLot()

        def listener() -> None:
            arrival.unpark_all()

        while True:
            channel = self._provider.channel(names.scope_queue(queue), subscription, MOST_TAKEN)
            channel.listen(listener)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            while True:
                if frames := channel.take_some(MOST_TAKEN):
                    taken(queue, frames, trio.current_time())
                if channel.closed:
                    break
                await arrival.park()

    async def publish(self, queue: str, frame: Frame) -> None:
        """See `World`."""
        raise AssertionError(f"{frame} for {queue}: messages in memory are published by their process")

    async def close(self) -> None:
        """See `World`."""
        await trio.testing.wait_all_tasks_blocked()


class BrokerWorld(_InMemory):
    """The simulated broker.

    Args:
        simulation: Seams of the run.
        faults: The run's faults.
        trace: The run's trace.
    """

    outlives_processes: bool = True

    def __init__(self, simulation: Simulation, faults: Sequence[Fault], trace: TraceLog) -> None:
        super().__init__()
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

    def connect(self, process: int, seams: Seams) -> tuple[BrokerConnection, Callable[[], object]]:
        """See `World`."""
        del seams
        connection = self._broker.connect(process)
        return connection, connection.die

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """See `World`. Nothing is received, for faults would hit the outside's calls, too: it looks at the end."""
        self._taken = taken
        for queue in leaving:
            self._leaving[queue] = _scoped(self._outside, queue)
            if is_topic(queue):
                await nursery.start(_subscribe, self._outside, queue)

    async def publish(self, queue: str, frame: Frame) -> None:
        """See `World`."""
        self._broker.publish_now(_scoped(self._outside, queue), frame)

    async def close(self) -> None:
        """See `World`."""
        assert self._taken is not None, "it was opened"
        for queue, name in self._leaving.items():
            for frame in self._broker.messages(name):
                self._taken(queue, [frame], self._times.get((queue, frame.message_id), 0.0))

    def _note(self, event: str, queue: str, message_id: bytes | None, detail: str) -> None:
        if event == "accepted" and queue in self._leaving and message_id is not None:
            self._times.setdefault((queue, message_id), self._clock.monotonic_ns() / 1e9)
        mark = "! fault" if event == "fault" else f"* {event}"
        self._trace.note(mark, detail, route=queue, message_id=message_id)


class SqliteWorld:
    """The SQLite queue on a file of the run's own, and, if power is cut, an object store in a folder beside it.

    Args:
        simulation: Seams of the run.
        faults: The run's faults.
        folder: The run's own.
    """

    outlives_processes: bool = True
    fired: Sequence[Fault] = ()

    def __init__(self, simulation: Simulation, faults: Sequence[Fault], folder: Path) -> None:
        self._seams = simulation.seams
        self._folder = folder
        cuts = any(isinstance(fault, PowerCut) for fault in faults)
        self._settings = SqliteSettings(
            path=folder / "queue.db", durability=Durability.POWER if cuts else Durability.PROCESS
        )
        self._power = PowerCuts(SimulatedRandomness(f"{simulation.seed}, power")) if cuts else None
        if self._power is not None:
            self._power.sqlite(self._settings.path)
        self._storage = MemoryStorage()
        self._outside = self._queue(self.seams(self._seams))
        self._cuts = 0
        self._leaving: Sequence[str] = ()
        self._taken: Taken | None = None

    def seams(self, seams: Seams) -> Seams:
        """See `World`."""
        return seams if self._power is None else self._power.seams(seams)

    def connect(self, process: int, seams: Seams) -> tuple[QueueProtocol, Callable[[], object]]:
        """See `World`. A dead process needs no call: its leases end, and its work on the file was whole."""
        del process
        return self._queue(seams), lambda: None

    def storage(self, seams: Seams) -> StorageProtocol:
        """See `World`."""
        if self._power is None:
            return self._storage
        return self._power.storage("file://./objects", seams=seams, directory=self._folder)

    async def open(self, nursery: trio.Nursery, leaving: Sequence[str], taken: Taken) -> None:
        """See `World`."""
        self._leaving, self._taken = leaving, taken
        for queue in leaving:
            if is_topic(queue):  # it keeps nothing for nobody
                await nursery.start(take_from, self._outside, queue, taken)

    async def publish(self, queue: str, frame: Frame) -> None:
        """See `World`. What a power cut may have undone is published again."""
        while True:
            cuts = self._cuts
            await self._outside.publish(_scoped(self._outside, queue), frame)
            if cuts == self._cuts:
                return

    def cut_power(self) -> None:
        """See `World`."""
        assert self._power is not None, "it was asked for"
        self._power.cut()
        self._cuts += 1
        self._outside = self._queue(self.seams(self._seams))  # the other one has open what is no more

    async def close(self) -> None:
        """See `World`."""
        assert self._taken is not None, "it was opened"
        for queue in self._leaving:
            with trio.move_on_after(1):  # for what is there already
                await take_from(self._outside, queue, self._taken)
        await self._outside.stop()

    def _queue(self, seams: Seams) -> SqliteQueue:
        return SqliteQueue(self._settings, threads=seams.store_threads(1), clock=seams.clock)


@contextmanager
def world_of(url: str, simulation: Simulation, faults: Sequence[Fault], trace: TraceLog) -> Iterator[World]:
    """Give the queues that a run's URL names, and their files as long as the block lasts."""
    if url == "memory://":
        yield MemoryWorld()
    elif url == "broker://":
        yield BrokerWorld(simulation, faults, trace)
    else:
        with TemporaryDirectory(prefix="factflow-") as folder:
            trace.hide(lambda text: text.replace(folder, "the run's folder"))
            yield SqliteWorld(simulation, faults, Path(folder))


async def take_from(
    provider: QueueProtocol, queue: str, taken: Taken, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Take messages from a queue for the outside, until it ends."""
    async with provider.subscribe(_scoped(provider, queue), "simulation", MOST_TAKEN) as subscription:
        task_status.started()
        while True:
            try:
                deliveries = await subscription.receive(MOST_TAKEN)
            except QueueClosedError:
                return
            taken(queue, [delivery.message for delivery in deliveries], trio.current_time())
            await subscription.settle(deliveries)


async def _subscribe(provider: QueueProtocol, queue: str, *, task_status: trio.TaskStatus[None]) -> None:
    """Subscribe to a topic, which keeps nothing for nobody, until cancelled."""
    async with provider.subscribe(_scoped(provider, queue), "simulation", MOST_TAKEN):
        task_status.started()
        await trio.sleep_forever()


def _scoped(provider: QueueProtocol, queue: str) -> str:
    return ExecutionScopedQueue(provider, EXECUTION_ID).scope_queue(queue)
