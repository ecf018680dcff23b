"""Reading lineage from PostgreSQL: pages against a model, queries that may only read, stores without tables."""

from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.lineage.postgres import PostgresLineage
from factflow_engine.lineage.postgres.schema import OUTCOME_KEY, VISIT_KEY
from factflow_protocols import (
    LineageEntry,
    LineageError,
    LineageReader,
    LineageSelection,
    ReadableLineage,
    RetainingLineage,
)
from support.lineage_rows import DAY_NS, NOON_NS, an_id, entries, entry, outcome, outcomes


@asynccontextmanager
async def opened(url, entries_=(), outcomes_=()):
    sink = PostgresLineage.from_url(url)
    reader = sink.reader()
    try:
        if entries_ or outcomes_:
            await sink.write(entries_, outcomes_)
        yield sink, reader
    finally:
        await reader.close()
        await sink.close()


selections = st.builds(
    LineageSelection,
    execution_id=st.none() | st.sampled_from(["e1", "e\0"]),
    route=st.none() | st.sampled_from(["a", "b"]),
    stage=st.none() | st.sampled_from(["s", "t\t\\N"]),
    statuses=st.frozensets(st.sampled_from(["pending", "completed", "failed"])),
    outcomes=st.frozensets(st.sampled_from(["completed", "failed"])),
    correlation_id=st.none() | st.integers(0, 3).map(an_id),
    since_ns=st.none() | st.integers(NOON_NS - 2 * DAY_NS, NOON_NS + DAY_NS),
    until_ns=st.none() | st.integers(NOON_NS - 2 * DAY_NS, NOON_NS + DAY_NS),
    newest_first=st.booleans(),
)


def key_of(row):
    return tuple(getattr(row, name) for name in (VISIT_KEY if isinstance(row, LineageEntry) else OUTCOME_KEY))


def selected(rows, selection):
    """The rows that a selection selects, in order."""

    def fits(row):
        visit = isinstance(row, LineageEntry)
        time = row.started_ns if visit else row.ended_ns
        states = selection.statuses if visit else selection.outcomes
        return (
            selection.execution_id in (None, row.execution_id)
            and selection.route in (None, row.route)
            and (not visit or selection.stage in (None, row.stage))
            and (not states or (row.status if visit else row.outcome) in states)
            and selection.correlation_id in (None, row.correlation_id)
            and (selection.since_ns is None or time >= selection.since_ns)
            and (selection.until_ns is None or time < selection.until_ns)
        )

    return sorted((row for row in rows if fits(row)), key=key_of, reverse=selection.newest_first)


async def pages(read, selection, limit):
    found, after = [], None
    while page := await read(selection, after=after, limit=limit):
        assert len(page) <= limit
        found += page
        after = page[-1]
    return found


def storable(row):
    return type(row)(*(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row))


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.lists(entries, max_size=8), st.lists(outcomes, max_size=8)), max_size=3),
    st.lists(selections, min_size=3, max_size=6),
    st.integers(1, 5),
)
async def test_pages_hold_what_is_selected_in_its_latest_form(postgres, batches, selections_, limit):
    async with opened(f"{postgres.url}?schema=pages") as (sink, reader):
        await sink.write([], [])
        postgres.rows("TRUNCATE pages.visits, pages.outcomes")
        visits, ends = {}, {}
        for new_visits, new_ends in batches:
            await sink.write(new_visits, new_ends)
            visits |= {key_of(row): storable(row) for row in new_visits}
            ends |= {key_of(row): storable(row) for row in new_ends}
        for selection in selections_:
            assert await pages(reader.visits, selection, limit) == selected(visits.values(), selection)
            assert await pages(reader.outcomes, selection, limit) == selected(ends.values(), selection)
            counts = await reader.statistics(selection)
            assert sum(sum(stage.statuses.values()) for stage in counts.stages) == len(
                selected(visits.values(), selection)
            )
            assert sum(sum(route.outcomes.values()) for route in counts.routes) == len(
                selected(ends.values(), selection)
            )
        rows = await reader.messages([an_id(1), an_id(2), an_id(99)])
        assert set(rows.visits) == {row for row in visits.values() if row.message_id in (an_id(1), an_id(2))}
        assert set(rows.outcomes) == {row for row in ends.values() if row.message_id in (an_id(1), an_id(2))}


def test_it_is_readable_and_retains():
    sink = PostgresLineage.from_url("postgresql://host/db")
    assert isinstance(sink, ReadableLineage)
    assert isinstance(sink, RetainingLineage)
    assert isinstance(sink.reader(), LineageReader)


async def test_ids_are_found_by_their_beginning_and_by_their_parent(postgres):
    family = [
        entry(16 + n, message_id=bytes([0xAB, n]) * 8, parent_id=an_id(1), attempt=a) for n in range(5) for a in (1, 2)
    ]
    async with opened(postgres.schema(), [entry(1), *family], [outcome(9, parent_id=an_id(1))]) as (_, reader):
        ids = [bytes([0xAB, n]) * 8 for n in range(5)]
        assert await reader.find("ab", limit=10) == ids
        assert await reader.find("AB0", limit=2) == ids[:2]
        assert await reader.find("ab03" * 8, limit=9) == [ids[3]]
        assert await reader.find("cd", limit=9) == []
        assert await reader.children(an_id(1), limit=3) == [an_id(9), *ids[:2]]
        assert await reader.children(an_id(1), after=ids[1], limit=9) == ids[2:]
        for wrong in ("", "x1", "a" * 33, "ab' OR 1=1 --"):
            with pytest.raises(LineageError, match="hexadecimal"):
                await reader.find(wrong, limit=1)


async def test_statistics_count_by_stage_and_route(postgres):
    rows = [entry(n, duration_ns=n * 10, waited_ns=5, waited_for="permit") for n in range(1, 101)]
    rows += [
        entry(200, status="failed", attempt=2, duration_ns=10_000),
        entry(201, stage="next", position=1, status="skipped"),
    ]
    ends = [outcome(1), outcome(2), outcome(200, outcome="failed")]
    async with opened(postgres.schema(), rows, ends) as (_, reader):
        counted = await reader.statistics(LineageSelection())
    first, second = counted.stages
    assert (first.stage, first.statuses, first.retried, first.calls) == (
        "markdown",
        {"completed": 100, "failed": 1},
        1,
        101,
    )
    assert (first.p50_ns, first.p99_ns, first.most_ns) == (510, 1000, 10_000)
    assert (first.waited_ns, first.waits) == (500, {"permit": 100})
    assert (second.stage, second.statuses, second.calls, second.p99_ns) == ("next", {"skipped": 1}, 0, 0)
    assert [(route.route, route.outcomes) for route in counted.routes] == [("parse", {"completed": 2, "failed": 1})]


async def test_sql_reads_the_views_of_the_latest_rows(postgres):
    rows = [entry(1, status="pending", started_ns=NOON_NS - DAY_NS), entry(2), entry(3)]
    async with opened(postgres.schema(), rows) as (sink, reader):
        await sink.write([entry(1)], [])
        result = await reader.sql("SELECT status, count(*) AS n FROM visits GROUP BY status;", limit=10, seconds=10)
        assert (result.columns, result.rows, result.more) == (["status", "n"], [("completed", 3)], False)
        result = await reader.sql("SELECT message_id FROM visits ORDER BY 1 -- all", limit=2, seconds=10)
        assert (result.rows, result.more) == ([(an_id(1),), (an_id(2),)], True)
        result = await reader.sql("SELECT 1.5, 3::numeric, NULL, '5 % 2', DATE '2026-11-30'", limit=1, seconds=10)
        assert result.rows == [(1.5, 3, None, "5 % 2", "2026-11-30")]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("DELETE FROM {schema}.visits", "syntax error"),
        ("SELECT 1; DELETE FROM {schema}.visits", "multiple commands"),
        ("WITH gone AS (DELETE FROM {schema}.visits RETURNING 1) SELECT * FROM gone", "data-modifying"),
        ("SELECT nextval('{schema}.lineage_batches')", "read-only transaction"),
        ("SELECT * INTO copy FROM visits", "INTO"),
        ("COPY visits TO STDOUT", "syntax error"),
        ("COMMIT", "syntax error"),
        ("SELECT nothing FROM visits", '"nothing" does not exist'),
        ("SELECT 1\0; DROP SCHEMA {schema}", "NUL"),
        ("SELECT '\udc80", "unterminated"),
        ("", "syntax error"),
    ],
)
async def test_sql_that_does_more_than_read_is_refused(postgres, query, text):
    async with opened(postgres.schema(), [entry(1)], [outcome(1)]) as (sink, reader):
        with pytest.raises(LineageError, match=text):
            await reader.sql(query.format(schema=sink.settings.schema), limit=5, seconds=60)
        assert len(await reader.visits(LineageSelection(), limit=5)) == 1


async def test_sql_that_takes_too_long_is_ended(postgres):
    async with opened(postgres.schema(), [entry(1)], [outcome(1)]) as (_, reader):
        with pytest.raises(LineageError, match=r"took longer than 0\.2 s"):
            await reader.sql("SELECT pg_sleep(600)", limit=5, seconds=0.2)
        assert len(await reader.visits(LineageSelection(), limit=5)) == 1


async def test_a_cancelled_query_ends_and_the_reader_serves_on(postgres):
    async with opened(postgres.schema(), [entry(1)]) as (_, reader):
        with trio.move_on_after(0.2) as scope:
            await reader.sql("SELECT pg_sleep(600)", limit=1, seconds=1000)
        assert scope.cancelled_caught
        assert await reader.find("00", limit=1) == [an_id(1)]


async def test_a_store_without_tables_reads_as_empty_and_nothing_is_made(postgres):
    async with opened(postgres.schema()) as (sink, reader):
        assert await reader.find("0", limit=1) == []
        assert await reader.visits(LineageSelection(), limit=1) == []
        assert await reader.messages([an_id(1)]) == ([], [])
        assert await reader.statistics(LineageSelection()) == ([], [])
        assert (await reader.sql("SELECT count(message_id) FROM visits", limit=1, seconds=1)).rows == [(0,)]
        assert list(await reader.problems()) == []
        assert postgres.rows("SELECT to_regnamespace(%s)", sink.settings.schema) == [(None,)]
        await sink.write([entry(1)], [])
        assert len(await reader.visits(LineageSelection(), limit=1)) == 1  # the same connection


async def test_a_reader_of_another_version_says_so(postgres):
    async with opened(postgres.schema(), [entry(1)]) as (sink, reader):
        postgres.rows(f"UPDATE {sink.settings.schema}.lineage_version SET version = 0")
        with pytest.raises(LineageError, match="has version 0, this one reads 1; name another schema"):
            await reader.visits(LineageSelection(), limit=1)
