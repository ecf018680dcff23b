"""Object stores that fail by a plan or by rates: what is done and what is not, and the same again from what happened."""

from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import STORAGE_CHECKS, SimulatedRandomness, check_name
from factflow_engine.testing.simulation.faults import STORAGE_OPERATIONS, FailStorage, FaultRates
from factflow_engine.testing.simulation.faulty_storage import FaultyStorage, StorageFaults
from factflow_protocols import StorageError, StorageProtocol


def faults(*plan, seed=0, seconds=lambda: 0.0, noted=None):
    noted = [] if noted is None else noted
    return StorageFaults(
        plan, randomness=SimulatedRandomness(seed), seconds=seconds, note=lambda key, fault: noted.append((key, fault))
    )


async def call(storage, operation, key="a/b"):
    """Call an operation to its end, and give what it returned."""
    if operation == "write":
        return await storage.write(key, b"new")
    if operation == "read_range":
        return await storage.read_range(key, 0, 2)
    if operation == "stream":
        async with storage.stream(key) as parts:
            return b"".join([part async for part in parts])
    if operation == "list":
        return [key async for key in storage.list("a")]
    return await getattr(storage, operation)(key)


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=check_name)
async def test_without_faults_it_is_the_store(check):
    store = MemoryStorage()

    @asynccontextmanager
    async def open_storage():
        yield FaultyStorage(store, faults())

    await check(open_storage)


def test_it_is_a_store():
    assert isinstance(FaultyStorage(MemoryStorage(), faults()), StorageProtocol)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("operation", STORAGE_OPERATIONS)
async def test_the_nth_call_over_all_processes_fails_and_no_other(operation, done):
    store, noted = MemoryStorage(), []
    fault = FailStorage(operation=operation, nth=3, done=done)
    shared = faults(fault, noted=noted)
    processes = [FaultyStorage(store, shared) for _ in range(2)]
    for number in range(4):
        await store.write("a/b", b"old")
        storage = processes[number % 2]
        if number == 2:
            assert shared.unfired() == [fault]
            with pytest.raises(StorageError, match=f"simulated failure of {operation} number 3"):
                await call(storage, operation)
            if operation == "write":
                assert (await store.read("a/b"))[0] == (b"new" if done else b"old")
            elif operation == "delete":
                assert await store.exists("a/b") is not done
        else:
            await call(storage, operation)
    assert shared.fired == [fault]
    assert shared.unfired() == []
    assert [found for _, found in noted] == [fault]


@pytest.mark.parametrize(("done", "parts"), [(False, 0), (True, 2)])
async def test_a_source_is_closed_and_consumed_only_if_the_write_is_done(done, parts):
    seen = []

    async def source():
        try:
            for part in (b"x", b"y"):
                seen.append(part)
                yield part
        finally:
            seen.append("closed")

    storage = FaultyStorage(MemoryStorage(), faults(FailStorage(done=done)))
    with pytest.raises(StorageError):
        await storage.write("a", source())
    assert len(seen) == (parts + 1 if parts else 0)  # one that was never begun has nothing to close


async def test_a_reader_of_parts_gets_all_of_them_before_a_failure_that_is_done():
    store = MemoryStorage()
    await store.write("a/b", b"old")
    storage = FaultyStorage(
        store, faults(FailStorage(operation="stream", done=True), FailStorage(operation="list", done=True))
    )
    got = []
    with pytest.raises(StorageError):
        async with storage.stream("a/b") as parts:
            async for part in parts:
                got.append(part)  # noqa: PERF401 - a comprehension that fails gives nothing
    with pytest.raises(StorageError):
        async for key in storage.list():
            got.append(key)  # noqa: PERF401 - the same
    assert got == [b"old", "a/b"]


calls = st.lists(st.sampled_from(STORAGE_OPERATIONS), max_size=60)


@given(
    calls=calls, rate=st.sampled_from([0.05, 0.5, 1.0]), seed=st.integers(0, 100), until=st.sampled_from([None, 20.0])
)
def test_what_rates_have_drawn_is_a_plan_that_does_the_same(calls, rate, seed, until):
    async def run(storage_faults):
        storage, failures = FaultyStorage(MemoryStorage(), storage_faults), []
        for number, operation in enumerate(calls):
            now[0] = number
            try:
                await call(storage, operation)
            except StorageError as error:
                failures.append((number, str(error)))
        return failures, sorted(storage.storage._objects)

    now = [0.0]
    drawn = faults(FaultRates(fail_storage=rate, until=until), seed=seed, seconds=lambda: now[0])
    first = trio.run(run, drawn)
    if rate == 1:
        assert len(drawn.fired) == min(len(calls), until or 1000)
    again = faults(*drawn.fired)
    assert trio.run(run, again) == first
    assert again.fired == drawn.fired
