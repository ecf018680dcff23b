"""The conformance checks on the SQLite store, with one large segment, and with a new segment for nearly every write."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from factflow_engine.lineage.providers import open_lineage
from factflow_engine.testing import LINEAGE_CHECKS, check_name


@pytest.mark.parametrize("options", ["", "?segment_seconds=0.001"], ids=["one segment", "many segments"])
@pytest.mark.parametrize("check", LINEAGE_CHECKS, ids=check_name)
async def test_the_sqlite_store_passes(check, options: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened():
        sink = open_lineage(f"sqlite:///{tmp_path}/lineage{options}")
        try:
            yield sink
        finally:
            await sink.close()

    await check(opened)
