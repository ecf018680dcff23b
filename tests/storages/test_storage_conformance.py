"""The stores against the public suite. Those of buckets are in `test_buckets.py`, because they need a server."""

import inspect
from contextlib import asynccontextmanager

import pytest

from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS, check_name
from factflow_engine.testing.conformance import storage as conformance


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=check_name)
async def test_memory(check):
    storage = MemoryStorage()

    @asynccontextmanager
    async def open_storage():
        yield storage
        await storage.close()

    await check(open_storage)


@pytest.mark.parametrize("check", STORAGE_CHECKS + DURABLE_STORAGE_CHECKS, ids=check_name)
async def test_file(check, tmp_path):
    @asynccontextmanager
    async def open_storage():
        storage = FileStorage(tmp_path / "new" / "objects")
        yield storage
        await storage.close()

    await check(open_storage)
    left = [path.name for path in tmp_path.rglob(".factflow-tmp-*")]
    assert left == [], "no temporary file is left"


def test_every_check_is_listed():
    found = [
        each
        for each in vars(conformance).values()
        if inspect.iscoroutinefunction(each) and not each.__name__.startswith("_")
    ]
    assert found == [*STORAGE_CHECKS, *DURABLE_STORAGE_CHECKS]
