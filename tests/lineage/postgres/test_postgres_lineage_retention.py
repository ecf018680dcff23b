"""Removal of old days from PostgreSQL: which, while others read and write, and after it was interrupted."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from factflow_engine.lineage.postgres import PostgresLineage
from factflow_engine.postgres import PostgresSettings
from factflow_engine.seams import Seams
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import LineageError
from support.internals import expire
from support.lineage_rows import DAY_NS, HOUR_NS, NOON_NS, entry, outcome


class WallClock(SimulatedClock):
    """A clock whose wall time stands at noon."""

    def wall_ns(self) -> int:
        return NOON_NS

    def monotonic_ns(self) -> int:
        return 0


@asynccontextmanager
async def opened(url, *, days=None, total_bytes=None):
    sink = PostgresLineage(PostgresSettings.from_url(url), seams=replace(Seams.real(), clock=WallClock()))
    sink.retain(days=days, total_bytes=total_bytes)
    try:
        yield sink
    finally:
        await sink.close()


async def fill(url, days=5, rows=1):
    """Write rows of the last days, one day's after the other's."""
    async with opened(url) as sink:
        for day in range(days):
            start = NOON_NS - day * DAY_NS
            await sink.write(
                [entry(day * rows + row, started_ns=start) for row in range(rows)], [outcome(day, ended_ns=start)]
            )


def kept(server, url, table="visits"):
    schema = PostgresSettings.from_url(url).schema
    return [
        age
        for (age,) in server.rows(
            f"SELECT DISTINCT ({NOON_NS} - {'started' if table == 'visits' else 'ended'}_ns) / {DAY_NS} FROM {schema}.{table} ORDER BY 1"
        )
    ]


async def test_days_that_ended_too_long_ago_go_as_a_whole(postgres):
    url = postgres.schema()
    await fill(url)
    async with opened(url, days=2) as sink:
        removed = await expire(sink)
        assert await expire(sink) == []
    assert removed == ["outcomes_20261126", "visits_20261126", "outcomes_20261127", "visits_20261127"]
    assert kept(postgres, url) == kept(postgres, url, "outcomes") == [0, 1, 2]


async def test_the_first_write_removes_them_too(postgres):
    url = postgres.schema()
    await fill(url)
    async with opened(url, days=1) as sink:
        await sink.write([entry(7)], [])
    assert kept(postgres, url) == [0, 1]


async def test_the_oldest_days_go_as_long_as_all_weigh_too_much(postgres):
    url = postgres.schema()
    await fill(url, rows=200)
    schema = PostgresSettings.from_url(url).schema
    (weight,) = postgres.rows(f"SELECT pg_total_relation_size('{schema}.visits_20261130')")[0]
    async with opened(url, total_bytes=2 * weight + weight // 2) as sink:
        await expire(sink)
    assert kept(postgres, url) == [0, 1]
    async with opened(url, total_bytes=0) as sink:
        await expire(sink)
    assert kept(postgres, url) == [0]  # the present day stays


async def test_writers_and_readers_go_on_while_days_are_removed(postgres):
    url = postgres.schema()
    await fill(url)
    schema = PostgresSettings.from_url(url).schema
    with postgres.connect() as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {schema}.visits")  # uses all days until it ends
        async with opened(url, days=1) as sink, opened(url) as writer:
            with pytest.raises(LineageError, match="lock timeout"):
                await expire(sink)
            await writer.write([entry(100)], [])
            assert reader.execute(f"SELECT count(*) FROM {schema}.visits").fetchone()[0] >= 5
            reader.execute("COMMIT")
            await expire(sink)
            await writer.write([entry(101, started_ns=NOON_NS - 4 * DAY_NS)], [])  # a day may come back
    assert kept(postgres, url) == [0, 1, 4]


async def test_a_removal_that_was_interrupted_is_ended_by_the_next(postgres):
    url = postgres.schema()
    await fill(url)
    schema = PostgresSettings.from_url(url).schema
    with postgres.connect() as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {schema}.visits")
        async with opened(url, days=1) as sink:
            with trio.move_on_after(0.3) as scope:
                await expire(sink)
            assert scope.cancelled_caught
        reader.execute("COMMIT")
    postgres.rows(f"ALTER TABLE {schema}.visits DETACH PARTITION {schema}.visits_20261127")
    async with opened(url, days=1) as sink:
        await expire(sink)
    tables = postgres.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'", schema
    )
    assert {name for (name,) in tables} == {
        "lineage_version",
        *(f"{table}_202611{day}" for table in ("visits", "outcomes") for day in (29, 30)),
    }


async def test_a_day_whose_removal_is_pending_can_be_written_again(postgres):
    url = postgres.schema()
    await fill(url)
    schema = PostgresSettings.from_url(url).schema
    with postgres.connect() as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {schema}.visits")
        async with opened(url, days=1) as sink:
            with pytest.raises(LineageError, match="lock timeout"):
                await expire(sink)
        reader.execute("COMMIT")
    late = NOON_NS - 4 * DAY_NS + HOUR_NS
    rows = [entry(50, started_ns=late)], [outcome(50, ended_ns=late)]
    async with opened(url) as sink:
        with postgres.connect() as report:
            report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            report.execute("SELECT 1")
            with pytest.raises(LineageError, match="lock timeout"):
                await sink.write(*rows)
            report.execute("COMMIT")
        await sink.write(*rows)
    assert 3 in kept(postgres, url)
    assert 3 in kept(postgres, url, "outcomes")


async def test_two_removals_at_once_do_not_disturb_each_other(postgres):
    url = postgres.schema()
    await fill(url)
    async with (
        opened(url, days=1) as one,
        opened(url, days=1) as two,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(expire, one)
        nursery.start_soon(expire, two)
    assert kept(postgres, url) == [0, 1]


async def test_a_partition_of_somebody_else_is_left_alone(postgres):
    url = postgres.schema()
    schema = PostgresSettings.from_url(url).schema
    await fill(url, days=3)
    postgres.rows(
        f"CREATE TABLE {schema}.visits_archive PARTITION OF {schema}.visits FOR VALUES FROM (-2147483648) TO (0)"
    )
    async with opened(url, days=1) as sink:
        await sink.write([entry(9, started_ns=NOON_NS + DAY_NS)], [])
        await expire(sink)
    assert postgres.rows(f"SELECT to_regclass('{schema}.visits_archive') IS NOT NULL") == [(True,)]
