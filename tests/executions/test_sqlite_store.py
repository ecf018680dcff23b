"""The SQLite store against the public checks, and what only a file can suffer."""

import inspect
import os
import sqlite3
import stat
import sys
import tempfile
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factflow_engine.executions import (
    ExecutionFilter,
    ExecutionStoreError,
    ExecutionStoreUrlError,
    UnknownRecordError,
    execution_store,
)
from factflow_engine.executions.database import MIGRATIONS
from factflow_engine.executions.sql_store import SqlStore
from factflow_engine.executions.sqlite import APPLICATION_ID, SqliteDatabase
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.seams import Seams
from factflow_engine.testing import Simulation, in_virtual_time
from factflow_engine.testing.conformance.expectations import check_name
from support import execution_conformance
from support.execution_conformance import CONFIG, EXECUTION_CHECKS, draft


def opener(path: Path, seams: Seams | None = None):
    @asynccontextmanager
    async def open_store():
        store = execution_store(f"sqlite:///{path}", seams=seams)
        try:
            yield store
        finally:
            await store.close()

    return open_store


@pytest.mark.parametrize("check", EXECUTION_CHECKS, ids=check_name)
async def test_sqlite(check, tmp_path: Path):
    await check(opener(tmp_path / "executions.db"))


def test_every_check_is_listed():
    found = [
        each
        for each in vars(execution_conformance).values()
        if inspect.iscoroutinefunction(each) and not each.__name__.startswith("_")
    ]
    assert found == list(EXECUTION_CHECKS)


async def test_the_file_is_for_its_owner_alone(tmp_path: Path):
    async with opener(tmp_path / "executions.db")() as store:
        await store.configs()
    assert stat.S_IMODE((tmp_path / "executions.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgres", "the schemes are"),
        ("executions.db", "write sqlite:///executions.db for a file"),
        ("sqlit:///x", "did you mean sqlite://?"),
        ("sqlite://x", "write sqlite:///"),
        ("sqlite:///", "write sqlite:///"),
        ("sqlite:///x?lease=1", "without options"),
        ("sqlite:///%00", "write a plain path"),
        ("sqlite:///%ff", "write a plain path"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused(url: str, says: str):
    with pytest.raises(ExecutionStoreUrlError, match="execution store") as caught:
        execution_store(url)
    assert says in str(caught.value)


def test_a_database_whose_driver_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "factflow_engine.executions.postgres", None)
    with pytest.raises(ExecutionStoreError, match=r"pip install 'factflow-engine\[postgres\]'") as caught:
        execution_store("postgresql://me:secret@host/db")
    assert not isinstance(caught.value, ExecutionStoreUrlError)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown():
    with pytest.raises(ExecutionStoreUrlError) as caught:
        execution_store("nosql://me:secret@host/db")
    assert "secret" not in str(caught.value)


async def refusal(path: Path) -> str:
    async with opener(path)() as store:
        with pytest.raises(ExecutionStoreError) as caught:
            await store.save_config(CONFIG)
    return str(caught.value)


async def test_files_that_are_no_store_are_refused_and_not_touched(tmp_path: Path):
    (tmp_path / "text").write_text("x" * 5_000)
    assert "no SQLite file" in await refusal(tmp_path / "text")
    assert (tmp_path / "text").read_text() == "x" * 5_000
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE mine(x)")
        other.commit()
    assert "another program" in await refusal(tmp_path / "other.db")
    assert "is a folder" in await refusal(tmp_path)
    assert "does not exist" in await refusal(tmp_path / "missing" / "executions.db")


async def test_a_later_version_is_refused(tmp_path: Path):
    path = tmp_path / "executions.db"
    async with opener(path)() as store:
        await store.configs()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 9")
    assert "version 9, this engine knows 2" in await refusal(path)


async def test_an_earlier_version_gets_what_it_lacks(tmp_path: Path):
    path = tmp_path / "executions.db"
    with closing(sqlite3.connect(path)) as other:
        for statement in MIGRATIONS[0]:
            other.execute(statement)
        other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        other.execute("PRAGMA user_version = 1")
    async with opener(path)() as store:
        await store.begin(replace(draft(1), queue="sqlite:////q.db"), lease_seconds=600)
        assert (await store.status(draft(1).id)).queue == "sqlite:////q.db"


async def test_a_damaged_file_says_so(tmp_path: Path):
    path = tmp_path / "executions.db"
    async with opener(path)() as store:
        for number in range(50):
            await store.save_config(replace(CONFIG, name=f"c{number}", text="x" * 2_000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    async with opener(path)() as store:
        problems = list(await store.examine())
        assert problems
        with pytest.raises(ExecutionStoreError):
            await store.configs()


async def test_a_store_that_was_removed_is_made_anew(tmp_path: Path):
    path = tmp_path / "executions.db"
    async with opener(path)() as store:
        await store.save_config(CONFIG)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink()
        assert await store.configs() == []
        await store.save_config(CONFIG)
    async with opener(path)() as store:
        assert len(await store.configs()) == 1


async def test_a_locked_store_is_waited_for_and_then_named(tmp_path: Path):
    path = tmp_path / "executions.db"
    async with opener(path)() as store:
        await store.configs()
    database = SqliteDatabase(path, busy_seconds=0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ExecutionStoreError, match=r"locked for 0\.1 s"):
            database.transact(lambda session: None, writes=True)
        assert database.transact(lambda session: session.rows("SELECT 1"), writes=False) == [(1,)]
    database.close()


async def test_a_full_disk_leaves_the_record_as_it_was(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "executions.db")
    store = SqlStore(database, seams=Seams.real())
    try:
        await store.begin(draft(1), lease_seconds=600)
        database.transact(lambda session: session.rows("PRAGMA max_page_count = 1"), writes=False)  # a full disk
        with pytest.raises(ExecutionStoreError, match="disk is full"):
            await store.finish(
                draft(1).id, ExecutionStatus.COMPLETED, ended_ns=1, error=None, report={"x": "y" * 1_000_000}
            )
        assert (await store.status(draft(1).id)).status is ExecutionStatus.RUNNING
    finally:
        await store.close()


async def test_leases_of_an_earlier_boot_have_run_out(tmp_path: Path):
    now = ("boot-1", 10**18)
    seams = replace(Seams.real(), machine_instant=lambda: now)
    async with opener(tmp_path / "executions.db", seams)() as store:
        await store.begin(draft(1), lease_seconds=600)
        assert (await store.status(draft(1).id)).status is ExecutionStatus.RUNNING
        now = ("boot-2", 5)
        assert (await store.status(draft(1).id)).status is ExecutionStatus.INTERRUPTED


def test_leases_run_out_in_simulated_time(tmp_path: Path):
    async def run(simulation: Simulation) -> list[ExecutionStatus]:
        found = []
        async with opener(tmp_path / "executions.db", simulation.seams)() as store:
            await store.begin(draft(1), lease_seconds=600)
            for seconds in (590, 20):
                await trio.sleep(seconds)
                found.append((await store.status(draft(1).id)).status)
        return found

    assert in_virtual_time(run, seed=1) == [ExecutionStatus.RUNNING, ExecutionStatus.INTERRUPTED]


@given(damage=st.tuples(st.sampled_from([b"\xff", b"\0"]), st.integers(0, 1 << 24), st.integers(1, 5_000)))
@example(damage=(b"\0", 143361, 4))  # an index has a row that its table lacks
@settings(max_examples=25, deadline=None)
def test_damage_anywhere_is_the_stores_error(damage):
    """A table, a text, JSON or the name of a status may be damaged: callers handle one error."""
    byte, number, length = damage

    async def check(path: Path) -> None:
        async with opener(path)() as store:
            for each in range(1, 6):
                await store.begin(replace(draft(each), metadata={"by": "cron"}), lease_seconds=600)
        content = bytearray(path.read_bytes())
        first = number % len(content)
        content[first : first + length] = byte * len(content[first : first + length])
        path.write_bytes(content)
        async with opener(path)() as store:
            for call in (
                lambda: store.executions(ExecutionFilter()),
                lambda: store.execution("latest"),
                lambda: store.begin(draft(9), lease_seconds=1),
                store.examine,
            ):
                with suppress(ExecutionStoreError, UnknownRecordError):
                    await call()

    with tempfile.TemporaryDirectory() as folder:
        trio.run(check, Path(folder) / "executions.db")


@pytest.mark.parametrize("column", ["metadata", "status", "statistics", "report", "limits"])
async def test_a_damaged_record_says_so(tmp_path: Path, column: str):
    path = tmp_path / "executions.db"
    async with opener(path)() as store:
        await store.begin(draft(1), lease_seconds=600)
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"UPDATE execution SET {column} = '[{{'")
            other.commit()
        with pytest.raises(ExecutionStoreError, match="a record in it is damaged"):
            await store.execution("latest")
