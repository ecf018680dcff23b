"""The shared connection: transactions, cancellation at any point, servers that go away or hang."""

import os
from contextlib import asynccontextmanager, closing

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from psycopg import OperationalError, Transaction
from psycopg.pq import PGconn
from psycopg.waiting import Ready, Wait

from factflow_engine.postgres import BlockingConnection, PostgresConnection, PostgresError, PostgresSettings
from factflow_engine.postgres.patience import PatientConnection
from support.internals import opened_by
from support.postgres import PASSWORD, Proxy


@asynccontextmanager
async def opened(url, **options):
    connection = PostgresConnection(PostgresSettings.from_url(url), **options)
    try:
        yield connection
    finally:
        await connection.close()


def one(query):
    return lambda connection: connection.execute(query).fetchone()[0]


@pytest.fixture
def table(postgres):
    name = postgres.schema().rpartition("=")[2]
    with postgres.connect() as connection:
        connection.execute(f"CREATE TABLE {name} (value integer)")
    return name


async def test_callers_take_turns_on_one_connection(postgres, table):
    async with opened(postgres.url) as connection, trio.open_nursery() as nursery:
        for value in range(20):
            nursery.start_soon(
                connection.run, lambda c, value=value: c.execute(f"INSERT INTO {table} VALUES ({value})")
            )
    assert opened_by(connection) == 1
    assert postgres.rows(f"SELECT count(DISTINCT value) FROM {table}") == [(20,)]


async def test_an_error_rolls_back_and_the_connection_serves_on(postgres, table):
    def fails(connection):
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        connection.execute("SELECT 1/0")

    async with opened(postgres.url) as connection:
        with pytest.raises(PostgresError, match="division by zero") as caught:
            await connection.run(fails)
        assert caught.value.code == "22012"
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 0
        assert opened_by(connection) == 1


async def test_errors_of_the_function_itself_pass_unchanged(postgres):
    def fails(connection):
        raise KeyError("mine")

    async with opened(postgres.url) as connection:
        with pytest.raises(KeyError, match="mine"):
            await connection.run(fails)


async def test_a_cancelled_statement_ends_on_the_server_too(postgres, table):
    def works(connection):
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        begun.append(connection.info.backend_pid)
        connection.execute(sleep)

    sleep = f"SELECT pg_sleep(600) AS {table}"  # another test's may not have ended yet
    begun = []
    async with opened(postgres.url, patience_seconds=60) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run, works)
            while not postgres.rows("SELECT 1 FROM pg_stat_activity WHERE query = %s", sleep):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert await connection.run(one("SELECT pg_backend_pid()")) == begun[0]  # the same connection
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 0


async def test_a_caller_cancelled_while_it_waits_for_its_turn_does_nothing(postgres, table):
    async with opened(postgres.url, patience_seconds=60) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, one("SELECT pg_sleep(600)"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.01) as scope:
            await connection.run(one(f"INSERT INTO {table} VALUES (1) RETURNING 1"))
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()
    assert postgres.rows(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_cancelled_at_any_moment_all_or_nothing_is_committed(postgres, table):
    def works(connection):
        for part in range(3):
            connection.execute(f"INSERT INTO {table} VALUES ({number * 3 + part})")

    async with opened(postgres.url) as connection:
        for number in range(60):
            with trio.move_on_after(number / 10_000):
                await connection.run(works)
        counts = await connection.run(
            lambda c: c.execute(f"SELECT count(*) FROM {table} GROUP BY value / 3").fetchall()
        )
    assert set(counts) <= {(3,)}


@pytest.mark.parametrize("failing", ["SELECT 1/0", "DO $$ BEGIN RAISE query_canceled; END $$"])
@pytest.mark.parametrize("end", ["rollback", "commit"])
async def test_a_transaction_whose_end_fails_leaves_nothing_behind(postgres, table, monkeypatch, end, failing):
    def works(connection):
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        if end == "rollback":
            connection.execute(failing)

    async with opened(postgres.url) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, f"_get_{end}_commands", lambda _: [failing.encode()])
            with pytest.raises(PostgresError, match=r"division by zero|query_canceled"):
                await connection.run(works)
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 0


async def test_a_hanging_server_is_left_within_the_patience(postgres):
    async with trio.open_nursery() as nursery:
        proxy = Proxy(postgres)
        await nursery.start(proxy.run)
        async with opened(proxy.url, patience_seconds=0.2) as connection:
            assert await connection.run(one("SELECT 1")) == 1
            proxy.block()
            with trio.fail_after(60):
                with trio.move_on_after(0.05) as scope:
                    await connection.run(one("SELECT 2"))
                assert scope.cancelled_caught
                proxy.clear()
                assert await connection.run(one("SELECT 3")) == 3
            assert opened_by(connection) == 2
        nursery.cancel_scope.cancel()


async def test_a_connection_that_was_ended_is_opened_again(postgres, table):
    async with opened(f"{postgres.url}?application_name=ended") as connection:
        for value in range(3):
            await connection.run(lambda c, value=value: c.execute(f"INSERT INTO {table} VALUES ({value})"))
            assert postgres.terminate("ended") == 1
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 3
        assert opened_by(connection) == 4


async def test_a_connection_that_ends_in_the_middle_is_tried_again(postgres, table):
    def works(connection):
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        if connection.info.backend_pid not in ended:
            ended.append(connection.info.backend_pid)
            postgres.rows("SELECT pg_terminate_backend(%s, 10000)", connection.info.backend_pid)
        connection.execute(f"INSERT INTO {table} VALUES (2)")

    ended = [0]
    async with opened(postgres.url) as connection:
        ended.remove(0)
        with pytest.raises(PostgresError):  # each attempt is ended
            await connection.run(works)
        assert len(ended) == 3
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 0


async def test_deadlocks_are_tried_again(postgres, table):
    other = f"{table}_other"
    with postgres.connect() as direct:
        direct.execute(f"INSERT INTO {table} VALUES (0)")
        direct.execute(f"CREATE TABLE {other} AS SELECT 0 AS value")
    barrier = []

    def locker(first, second):
        def works(connection):
            connection.execute(f"UPDATE {first} SET value = value + 1")
            barrier.append(first)
            while len(set(barrier)) < 2:
                connection.execute("SELECT pg_sleep(0.01)")
            connection.execute(f"UPDATE {second} SET value = value + 1")

        return works

    async with opened(postgres.url) as one_, opened(postgres.url) as two, trio.open_nursery() as nursery:
        nursery.start_soon(one_.run, locker(table, other))
        nursery.start_soon(two.run, locker(other, table))
    assert postgres.rows(f"SELECT {table}.value, {other}.value FROM {table}, {other}") == [(2, 2)]


async def test_no_server_is_one_clear_error_without_the_password(postgres):
    wrong = postgres.url.replace(PASSWORD, "wrong-guess")
    async with opened(wrong) as connection:
        with pytest.raises(
            PostgresError, match=r"PostgreSQL at 127\.0\.0\.1:\d+/postgres: cannot connect: .*password"
        ) as caught:
            await connection.run(one("SELECT 1"))
    for text in (str(caught.value), repr(caught.value), str(caught.value.__cause__)):
        assert "wrong-guess" not in text
    async with opened("postgresql://u:hidden@127.0.0.1:1/db") as connection:
        with pytest.raises(PostgresError, match="refused"):
            await connection.run(one("SELECT 1"))


async def test_a_closed_connection_is_opened_by_the_next_call(postgres):
    async with opened(postgres.url) as connection:
        await connection.close()
        await connection.run(one("SELECT 1"))
        await connection.close()
        await connection.close()
        await connection.run(one("SELECT 1"))
        assert opened_by(connection) == 2


async def test_a_crash_of_the_server_costs_nothing_committed(postgres, table):
    async with opened(postgres.url) as connection:
        await connection.run(lambda c: c.execute(f"INSERT INTO {table} VALUES (1)"))
        with postgres.stopped(), pytest.raises(PostgresError, match="cannot connect"):
            await connection.run(one("SELECT 1"))
        assert await connection.run(one(f"SELECT count(*) FROM {table}")) == 1


def test_a_server_that_says_nothing_holds_its_caller_for_a_bounded_time(postgres):
    settings = PostgresSettings.from_url(f"{postgres.url}?connect_timeout=2")
    connection = BlockingConnection(settings, silence_seconds=2)
    assert connection.run(one("SELECT 1")) == 1
    with postgres.frozen(), pytest.raises(PostgresError, match=r"cannot connect: connection timeout expired"):
        connection.run(one("SELECT 1"))
    assert connection.run(one("SELECT 1")) == 1
    connection.close()


def test_a_statement_that_says_nothing_for_too_long_is_given_up_after_one_repetition(postgres, table):
    def works(connection):
        calls.append(connection)
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        connection.execute("SELECT pg_sleep(600)")

    calls = []
    connection = BlockingConnection(PostgresSettings.from_url(postgres.url), silence_seconds=0.3)
    with pytest.raises(PostgresError, match=r"the connection broke: the server said nothing for 0\.3 s"):
        connection.run(works)
    assert len(calls) == 2
    # The server does not know that nobody waits; what sleeps there would hold up whoever removes a partition.
    asleep = "FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    assert postgres.rows(f"SELECT pg_terminate_backend(pid) {asleep}") == [(True,), (True,)]
    assert connection.run(one(f"SELECT count(*) FROM {table}")) == 0
    connection.close()


@given(looks=st.integers(1, 20), silences=st.lists(st.integers(0, 25), min_size=1, max_size=8))
def test_only_so_many_looks_without_anything_to_read_are_a_silence(looks, silences):
    def answer():
        for _ in silences:
            while not (yield Wait.R):
                pass
        return "answer"

    with closing(PatientConnection(PGconn.connect_start(b"host=/nowhere"))) as connection:
        counted = connection._counted(answer(), looks / 10)
        next(counted)
        seen = []
        with pytest.raises((OperationalError, StopIteration)) as ended:
            for silence in silences:
                for ready in [Ready.NONE] * silence + [Ready.R]:
                    seen.append(ready)
                    counted.send(ready)
        if max(silences) < looks:
            assert ended.value.value == "answer"
        else:
            assert str(ended.value) == f"the server said nothing for {looks / 10:g} s"
            assert seen[-looks:] == [Ready.NONE] * looks
        assert connection.was_silent == (max(silences) >= looks)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the parent's connection is not closed here
async def test_a_forked_child_opens_a_connection_of_its_own(postgres, monkeypatch):
    async with opened(postgres.url) as connection:
        pid = await connection.run(one("SELECT pg_backend_pid()"))
        child = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: child)
        assert await connection.run(one("SELECT pg_backend_pid()")) != pid
