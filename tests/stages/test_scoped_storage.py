"""An adapter's own store: relative keys, and no way out of the execution."""

import gc
import warnings

import pytest
import trio.testing

from factflow_engine.stages.scoped_storage import ScopedStorage
from factflow_engine.stages.writer import StagePlace
from factflow_engine.storages.memory import MemoryStorage
from factflow_protocols import StageInfo, StorageKeyError, StorageNotFoundError, StorageProtocol
from support.object_stores import FakeStore


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def scoped(store, tmp_path):
    return scope_of(store, tmp_path)


def scope_of(store, tmp_path):
    info = StageInfo(execution_id="e1", route="r", stage="s", directory=tmp_path)
    return ScopedStorage(
        StagePlace(storage=store, info=info, adapter="a", config_hash="h", fields=(), wall_ns=lambda: 0, redacted=None)
    )


async def test_keys_are_relative_in_every_call(store, scoped):
    assert isinstance(scoped, StorageProtocol)
    await store.write("executions/e2/x", b"of another")
    await store.write("executions/e10/x", b"of another")
    written = await scoped.write("r/x", b"abc", content_type="text/plain")
    assert list(store.data("executions/e1/")) == ["executions/e1/r/x"]
    assert await scoped.read("r/x") == (b"abc", written)
    assert await scoped.read_range("r/x", 1, 1) == b"b"
    assert await scoped.metadata("r/x") == written
    assert await scoped.exists("r/x")
    assert not await scoped.exists("x")
    assert [key async for key in scoped.list()] == ["r/x"]
    assert [key async for key in scoped.list("r/")] == ["r/x"]
    assert [key async for key in scoped.list("q")] == []
    await scoped.delete("r/x")
    assert not store.data("executions/e1/")
    await scoped.close()
    assert store.closed == 0, "the store is the execution's"


async def test_what_is_written_says_where_it_is_from(scoped):
    written = await scoped.write("x", b"", custom={"own": 1})
    assert written.custom["own"] == 1
    provenance = written.custom["provenance"]
    assert {name: provenance[name] for name in ("execution", "route", "stage", "adapter", "config_hash")} == {
        "execution": "e1",
        "route": "r",
        "stage": "s",
        "adapter": "a",
        "config_hash": "h",
    }
    assert (await scoped.write("x", b"", custom={"provenance": "own"})).custom["provenance"] == "own"


@pytest.mark.parametrize("key", ["../e2/x", "a/../../e2/x", "/x", "x/", "a//b", "", ".", "a/./b", ".."])
async def test_no_key_leads_out(store, scoped, key):
    await store.write("executions/e2/x", b"of another")
    for call in (scoped.read, scoped.metadata, scoped.exists, scoped.delete):
        with pytest.raises(StorageKeyError, match="relative to its execution"):
            await call(key)
    with pytest.raises(StorageKeyError):
        await scoped.write(key, b"")
    with pytest.raises(StorageKeyError):
        await scoped.read_range(key, 0, 1)
    with pytest.raises(StorageKeyError):
        scoped.stream(key)
    assert list(store.data()) == ["executions/e2/x"]


@pytest.mark.parametrize("prefix", ["../e2/", "..", "a/../", "/", "a//"])
async def test_no_prefix_leads_out(scoped, prefix):
    with pytest.raises(StorageKeyError):
        [key async for key in scoped.list(prefix)]


async def test_a_listing_may_be_left(tmp_path):
    scoped = scope_of(MemoryStorage(), tmp_path)
    for number in range(3):
        await scoped.write(f"{number}", b"")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        async for key in scoped.list():
            assert key == "0"
            break
        gc.collect()
        await trio.testing.wait_all_tasks_blocked()
    assert told == []


async def test_what_is_no_text_is_no_key(scoped):
    with pytest.raises(StorageKeyError, match="got NoneType"):
        await scoped.read(None)
    with pytest.raises(StorageKeyError, match="got bytes"):
        [key async for key in scoped.list(b"r/")]


async def test_a_missing_object_is_named_in_full(scoped):
    with pytest.raises(StorageNotFoundError, match="'executions/e1/x'"):
        await scoped.read("x")
