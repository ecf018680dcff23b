"""The stores against the public suite. Those of buckets are in `test_buckets.py`, because they need a server."""

from contextlib import asynccontextmanager

import pytest

from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS, check_name


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
