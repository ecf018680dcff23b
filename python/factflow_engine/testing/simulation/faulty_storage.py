"""Object stores whose calls fail by a plan and by rates, before or after they have had their effect.

Calls of all processes are counted together, from 1, and each fault that happens is noted as one without a rate, so that a
run with these for its plan is the same run. Kept separate from the faults of queues, because a store has no deliveries.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import trio

from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.faults import FailStorage, Fault, FaultRates
from factflow_protocols import ObjectMetadata, StorageError, StorageProtocol


class StorageFaults:
    """Faults of the object stores of one run.

    Attributes:
        fired: The faults that have happened, in order, those of rates as faults without a rate.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        *,
        randomness: Randomness,
        seconds: Callable[[], float],
        note: Callable[[str, FailStorage], None],
    ) -> None:
        """Prepare.

        Args:
            faults: The plan; what is no fault of a store is passed over.
            randomness: Decides what rates draw; nothing is drawn without a rate.
            seconds: Returns the present time, from the beginning of the run.
            note: Called with the key of the call, and each fault that happens.
        """
        self.fired: Final[list[FailStorage]] = []
        self._randomness = randomness
        self._seconds = seconds
        self._note = note
        self._counts: Counter[str] = Counter()
        self._planned = {(fault.operation, fault.nth): fault for fault in faults if isinstance(fault, FailStorage)}
        self._rates = [fault for fault in faults if isinstance(fault, FaultRates) and fault.fail_storage]

    def unfired(self) -> list[FailStorage]:
        """Return the planned faults that have not happened yet."""
        return [fault for fault in self._planned.values() if fault not in self.fired]

    def of_call(self, operation: str, key: str) -> FailStorage | None:
        """Count a call of an operation; return its fault."""
        self._counts[operation] += 1
        nth = self._counts[operation]
        fault = self._planned.get((operation, nth))
        for rates in self._rates:
            is_on = rates.until is None or self._seconds() < rates.until
            if is_on and self._randomness.uniform(0, 1) < rates.fail_storage:
                done = self._randomness.uniform(0, 1) < 0.5
                fault = fault or FailStorage(operation=operation, nth=nth, done=done)
        if fault is not None:
            self.fired.append(fault)
            self._note(key, fault)
        return fault


class FaultyStorage:
    """An object store some of whose calls fail; see `factflow_protocols.StorageProtocol` for its methods.

    A call whose fault is `done` has its effect before it fails: an object is stored, or read to its end. Closing it
    never fails.

    Args:
        storage: The store.
        faults: What fails; one for all processes of a run.
    """

    def __init__(self, storage: StorageProtocol, faults: StorageFaults) -> None:
        self.storage: Final = storage
        self._faults = faults

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """See `StorageProtocol.write`."""
        fault = self._faults.of_call("write", key)
        if fault is not None and not fault.done and isinstance(data, AsyncGenerator):
            await data.aclose()
        async with _failing(fault, key):
            return await self.storage.write(key, data, content_type=content_type, custom=custom)

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        async with _failing(self._faults.of_call("read", key), key):
            return await self.storage.read(key)

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        async with _failing(self._faults.of_call("read_range", key), key):
            return await self.storage.read_range(key, start, length)

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`; a fault that is `done` is raised after the last part."""
        fault = self._faults.of_call("stream", key)
        if fault is not None and not fault.done:
            await _fail(fault, key)
        async with self.storage.stream(key) as parts, aclosing(_until_the_end(parts, fault, key)) as all_parts:
            yield all_parts

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        async with _failing(self._faults.of_call("metadata", key), key):
            return await self.storage.metadata(key)

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        async with _failing(self._faults.of_call("exists", key), key):
            return await self.storage.exists(key)

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`; a fault that is `done` is raised after the last key."""
        return _FaultyListing(self.storage.list(prefix), self._faults.of_call("list", prefix), prefix)

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        async with _failing(self._faults.of_call("delete", key), key):
            await self.storage.delete(key)

    async def close(self) -> None:
        """See `StorageProtocol.close`; never fails by a fault."""
        await self.storage.close()


class _FaultyListing:
    """The keys of a store; no async generator, so that it may be left half-way like those of others."""

    def __init__(self, keys: AsyncIterator[str], fault: FailStorage | None, prefix: str) -> None:
        self._keys = keys
        self._fault = fault
        self._prefix = prefix

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        fault = self._fault
        if fault is not None and not fault.done:
            await _fail(fault, self._prefix)
        try:
            return await anext(self._keys)
        except StopAsyncIteration:
            if fault is not None:
                await _fail(fault, self._prefix)
            raise


async def _fail(fault: FailStorage, key: str) -> None:
    await trio.lowlevel.checkpoint()
    raise StorageError(key, f"simulated failure of {fault.operation} number {fault.nth}")


@asynccontextmanager
async def _failing(fault: FailStorage | None, key: str) -> AsyncIterator[None]:
    if fault is not None and not fault.done:
        await _fail(fault, key)
    yield
    if fault is not None:
        await _fail(fault, key)


async def _until_the_end(
    parts: AsyncIterator[bytes], fault: FailStorage | None, key: str
) -> AsyncGenerator[bytes, None]:
    async for part in parts:
        yield part
    if fault is not None:
        await _fail(fault, key)
