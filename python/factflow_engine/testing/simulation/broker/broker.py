"""The simulated broker, as a simulation and its oracle use it.

Kept separate from the store, whose steps are those of the broker's consumers and producers.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.seams import Clock, Randomness
from factflow_engine.testing.simulation.broker.calls import Latency
from factflow_engine.testing.simulation.broker.connection import BrokerConnection
from factflow_engine.testing.simulation.broker.line import Place
from factflow_engine.testing.simulation.broker.starts import Starts
from factflow_engine.testing.simulation.broker.states import Owners
from factflow_engine.testing.simulation.broker.store import QueueCounts, Store, Trace
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.virtual_time import SimulatedRandomness
from factflow_protocols import MessageStatus

URL: Final = "simulation://broker"


class Broker:
    """Queues and topics in memory and in virtual time, which outlive the simulated processes that use them.

    It keeps what a durable provider promises, and breaks it where a fault says so. Names of queues are those that the
    engine gives to a provider, `exec:ID:/queue/parse` for a queue of an execution; faults and traces have the
    configuration's name, `/queue/parse`.

    Args:
        randomness: Seeds two generators, one for the times of calls, and one for faults that rates draw.
        clock: Clock of the run: its monotonic time counts from the beginning, its wall time dates executions.
        faults: Plan of faults; those that are no queue's are passed over.
        trace: Called as `trace(event, queue, message_id, detail)`. Events are `accepted`, `duplicate`, `delivered`,
            `acked`, `nacked`, `lease_expired`, `refused` and `fault`.
        lease_seconds: Time after which the deliveries of a dead process are handed out again.
        dedup_seconds: Time for which an accepted id is refused as a duplicate; 0 for never.
        call_seconds: Shortest and longest time of a call; half before its effect and half behind it, on average.
        capacity: Capacity of a queue until a consumer sets another.

    Example:
        async def run(simulation: Simulation) -> ExecutionReport:
            broker = Broker(randomness=simulation.randomness, clock=simulation.seams.clock)
            queue, seams = broker.connect(0), simulation.seams
            async with OrchestratorManager(registry=registry, queue=queue, seams=seams) as manager:
                return await (await manager.start(config)).complete()

        report = in_virtual_time(run, seed=7)
    """

    def __init__(
        self,
        *,
        randomness: Randomness,
        clock: Clock,
        faults: Sequence[Fault] = (),
        trace: Trace | None = None,
        lease_seconds: float = 30.0,
        dedup_seconds: float = 600.0,
        call_seconds: tuple[float, float] = (0.001, 0.01),
        capacity: int = 1_000_000,
    ) -> None:
        self._latency = Latency(_stream(randomness), call_seconds)
        self._store = Store(
            clock=clock,
            randomness=_stream(randomness),
            faults=faults,
            trace=trace,
            lease_seconds=lease_seconds,
            dedup_seconds=dedup_seconds,
            capacity=capacity,
        )
        self._owners = Owners(now_ns=self._store.now_ns, wall_ns=self._store.wall_ns, lease_ns=self._store.lease_ns)
        self._starts = Starts(self._store, self._owners)

    def connect(self, process: int) -> BrokerConnection:
        """Return a new connection for a process, numbered from 0; a process that is started again needs another one."""
        return BrokerConnection(
            process, store=self._store, owners=self._owners, starts=self._starts, latency=self._latency, url=URL
        )

    @asynccontextmanager
    async def open(self, process: int = 0) -> AsyncIterator[BrokerConnection]:
        """Connect, and stop the connection on exit: an opener for the checks of providers (`OpenQueue`)."""
        connection = self.connect(process)
        try:
            yield connection
        finally:
            await connection.stop()

    @property
    def fired(self) -> list[Fault]:
        """Faults that have happened, in order. Those that rates drew are here as faults without a rate.

        A run with these in the place of the rates is the same run.
        """
        return list(self._store.mischief.fired)

    def unfired(self) -> list[Fault]:
        """Return the planned faults of queues that have not happened."""
        return self._store.mischief.unfired()

    # -- the outside -----------------------------------------------------------------------------------------------

    def publish_now(self, queue: str, frame: Frame) -> MessageStatus:
        """Publish for a producer outside the simulated processes: at once, and whatever the capacity.

        Must be called within the run. Faults of the queue hit the message as any other.
        """
        status = self._store.accept(queue, frame, bounded=False)
        assert status is not None
        return status

    def queues(self) -> list[str]:
        """Return the names of all queues and topics, in the order of their first use."""
        return list(self._store.queues)

    def messages(self, queue: str) -> list[Frame]:
        """Return the messages of a queue that are not acknowledged, in order; of a topic, those of each subscription."""
        lines = self._store.queues[queue].lines.values() if queue in self._store.queues else ()
        return [entry.frame for line in lines for entry in line.entries.values()]

    def accepted(self, queue: str) -> list[bytes]:
        """Return the ids of all messages that a queue has ever accepted, in order."""
        return list(self._store.queues[queue].accepted) if queue in self._store.queues else []

    def counts(self, queue: str) -> QueueCounts:
        """Return the counts of a queue since the beginning."""
        return self._store.queues[queue].counts if queue in self._store.queues else QueueCounts()

    def places(self, queue: str) -> dict[str, int]:
        """Return the numbers of a queue's messages by place: `fresh`, `ready`, `delayed` and `leased`."""
        lines = list(self._store.queues[queue].lines.values()) if queue in self._store.queues else []
        return {place.value: sum(line.counts[place] for line in lines) for place in Place if place is not Place.GONE}


def _stream(randomness: Randomness) -> SimulatedRandomness:
    return SimulatedRandomness(int.from_bytes(randomness.token(16)))
