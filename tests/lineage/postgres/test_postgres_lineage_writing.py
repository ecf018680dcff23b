"""Rows written to PostgreSQL: what replaces what, two writers, breakage and cancellation at any moment."""

import dataclasses
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.lineage.postgres import PostgresLineage
from factflow_engine.lineage.postgres.schema import OUTCOME_COLUMNS, OUTCOME_KEY, VISIT_COLUMNS, VISIT_KEY
from factflow_engine.postgres import PostgresSettings
from factflow_protocols import LineageEntry, LineageError, LineageSink, OutcomeEntry
from support.lineage_rows import DAY_NS, NOON_NS, an_id, entries, entry, outcome, outcomes


@asynccontextmanager
async def opened(url, **options):
    sink = PostgresLineage(PostgresSettings.from_url(url), **options)
    try:
        yield sink
    finally:
        await sink.close()


def stored(server, url):
    """The newest rows of a schema, by key."""
    schema = PostgresSettings.from_url(url).schema
    found = []
    for table, columns, key, row in (
        ("visits", VISIT_COLUMNS, VISIT_KEY, LineageEntry),
        ("outcomes", OUTCOME_COLUMNS, OUTCOME_KEY, OutcomeEntry),
    ):
        keys = ", ".join(key)
        rows = server.rows(
            f"SELECT DISTINCT ON ({keys}) {', '.join(columns)} FROM {schema}.{table} ORDER BY {keys}, batch DESC"
        )
        found.append({tuple(getattr(row(*values), name) for name in key): row(*values) for values in rows})
    return found


def test_it_is_a_sink():
    assert isinstance(PostgresLineage.from_url("postgresql://host/db"), LineageSink)


async def test_rows_come_back_as_they_were_written(postgres):
    url = postgres.schema()
    row = entry(parent_id=an_id(9), input_hash=b"\0" * 16, detail='{"error": "h\u00e4\\n\t\\\\N"}', waited_for="permit")
    end = outcome(emitted=1 << 40, detail="{}")
    async with opened(url) as sink:
        await sink.write([row], [end])
        await sink.write([], [])
    visits, ends = stored(postgres, url)
    assert list(visits.values()) == [row]
    assert list(ends.values()) == [end]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.lists(entries, max_size=6), st.lists(outcomes, max_size=6), st.booleans()), max_size=4))
async def test_the_newest_row_of_a_key_is_the_one_that_is_read(postgres, batches):
    url = f"{postgres.url}?schema=newest"
    model = {}
    async with opened(url) as sink:
        await sink.write([], [])
        postgres.rows("TRUNCATE newest.visits, newest.outcomes")
        for visits, ends, again in batches:
            await sink.write(visits, ends)
            if again:
                await sink.write(visits, ends)
            for row in (*visits, *ends):
                key = VISIT_KEY if isinstance(row, LineageEntry) else OUTCOME_KEY
                model[tuple(getattr(row, name) for name in key)] = storable(row)
    found = {}
    for rows in stored(postgres, url):
        found |= rows
    assert found == model


def storable(row):
    return type(row)(*(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row))


async def test_text_that_postgres_cannot_hold_is_written_with_replacements(postgres):
    url = postgres.schema()
    async with opened(url) as sink:
        await sink.write([entry(1, detail="a\0b"), entry(2, detail="c\udc80d"), entry(3, detail="e")], [])
    assert sorted(row.detail for row in stored(postgres, url)[0].values()) == ["a\ufffdb", "c?d", "e"]


async def test_a_row_that_no_table_can_hold_fails_its_batch_alone(postgres):
    url = postgres.schema()
    async with opened(url) as sink:
        with pytest.raises(LineageError, match="a row cannot be stored: OverflowError"):
            await sink.write([entry(1), entry(2, started_ns=1 << 70)], [])
        await sink.write([entry(3)], [])
    assert [row.message_id for row in stored(postgres, url)[0].values()] == [an_id(3)]


async def test_two_writers_at_once_lose_and_double_nothing(postgres):
    async def writes(sink, first):
        for batch in range(10):
            numbers = range(first + batch * 50, first + batch * 50 + 60)  # ten of them are written twice
            await sink.write([entry(number) for number in numbers], [outcome(number) for number in reversed(numbers)])

    url = postgres.schema()
    async with opened(url) as one, opened(url) as two, trio.open_nursery() as nursery:
        nursery.start_soon(writes, one, 0)
        nursery.start_soon(writes, two, 100)  # most of the first one's messages
    schema = PostgresSettings.from_url(url).schema
    assert postgres.rows(f"SELECT count(*), count(DISTINCT message_id) FROM {schema}.visits") == [(610, 610)]
    assert postgres.rows(f"SELECT count(*), count(DISTINCT message_id) FROM {schema}.outcomes") == [(610, 610)]


async def test_a_server_that_went_away_loses_and_doubles_no_rows_of_a_batch(postgres):
    url = postgres.schema() + "&application_name=lost"
    async with opened(url) as sink:
        for number in range(5):
            await sink.write([entry(number)], [outcome(number)])
            postgres.terminate("lost")
        with postgres.stopped(), pytest.raises(LineageError, match="cannot connect"):
            await sink.write([entry(5)], [])
        await sink.write([entry(5)], [])
    assert sorted(row.message_id for row in stored(postgres, url)[0].values()) == [an_id(number) for number in range(6)]
    assert len(stored(postgres, url)[1]) == 5


async def test_cancelled_at_any_moment_a_batch_is_stored_as_a_whole_or_not_at_all(postgres):
    url = postgres.schema()
    cancelled = 0
    async with opened(url) as sink:
        await sink.write([entry(0)], [])
        for number in range(1, 41):
            with trio.move_on_after(number / 2_000) as scope:
                await sink.write([entry(number * 100 + part) for part in range(100)], [outcome(number)])
            cancelled += scope.cancelled_caught
    visits, ends = stored(postgres, url)
    families = {int.from_bytes(row.message_id) // 100 for row in visits.values()} - {0}
    assert len(visits) == 1 + 100 * len(families)
    assert {int.from_bytes(row.message_id) for row in ends.values()} == families
    assert cancelled


async def test_rows_lie_in_the_partition_of_their_day(postgres):
    url = postgres.schema()
    async with opened(url) as sink:
        await sink.write([entry(1), entry(2, started_ns=NOON_NS - DAY_NS)], [outcome(1, ended_ns=NOON_NS + DAY_NS)])
    schema = PostgresSettings.from_url(url).schema
    found = postgres.rows(
        "SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid"
        " WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' ORDER BY 1",
        schema,
    )
    assert [name for (name,) in found] == ["outcomes_20261201", "visits_20261129", "visits_20261130"]


async def test_tables_of_another_version_are_left_alone(postgres):
    url = postgres.schema()
    async with opened(url) as sink:
        await sink.write([entry()], [])
        schema = sink.settings.schema
    postgres.rows(f"UPDATE {schema}.lineage_version SET version = 7")
    async with opened(url) as sink:
        with pytest.raises(LineageError, match=f"schema '{schema}' has version 7, this one reads 1; use the newer"):
            await sink.write([entry()], [])


async def test_a_user_without_rights_gets_one_clear_error(postgres):
    postgres.rows("CREATE ROLE guest LOGIN PASSWORD 'guest-password'")
    url = (
        postgres.schema()
        .replace("tester:", "guest:")
        .replace(postgres.url.split(":")[2].split("@")[0], "guest-password")
    )
    async with opened(url) as sink:
        with pytest.raises(LineageError, match="permission denied for database") as caught:
            await sink.write([entry()], [])
    assert "guest-password" not in str(caught.value)


def test_settings_show_no_password():
    settings_ = PostgresSettings.from_url("postgresql://u:hidden@host/db")
    assert "hidden" not in repr(settings_)
    assert "url" in {field.name for field in dataclasses.fields(settings_)}
