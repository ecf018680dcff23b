"""The conformance checks on the PostgreSQL store."""

from contextlib import asynccontextmanager

import pytest

from factflow_engine.lineage.providers import open_lineage
from factflow_engine.testing import LINEAGE_CHECKS, check_name


@pytest.mark.parametrize("check", LINEAGE_CHECKS, ids=check_name)
async def test_the_postgres_store_passes(check, postgres) -> None:
    url = postgres.schema()

    @asynccontextmanager
    async def opened():
        sink = open_lineage(url)
        try:
            yield sink
        finally:
            await sink.close()

    await check(opened)
