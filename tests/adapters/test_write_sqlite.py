import sqlite3

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import write_sqlite
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import Ext, Reject, Timestamp
from support.internals import table_connection, table_of

REGISTRY = ValidatingAdapterRegistry()


async def opened(folder, *, table="rows", durable=False, resumed=False, **config):
    adapter = REGISTRY.create("write_sqlite", {"path": "out.db", "table": table, **config})
    await open_stage(adapter, folder, durable=durable, resumed=resumed)
    return adapter


async def handle(adapter, message, number=1):
    assert await outputs(adapter, FakeContext(message, message_id=f"{number:032x}")) == [message]


async def store(folder, *messages, **config):
    adapter = await opened(folder, **config)
    for number, message in enumerate(messages, start=1):
        await handle(adapter, message, number)
    await adapter.finish()
    await adapter.close()


def rows(folder, query='SELECT * FROM "rows"'):
    connection = sqlite3.connect(folder / "out.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def execute(folder, sql):
    connection = sqlite3.connect(folder / "out.db")
    connection.execute(sql)
    connection.commit()
    connection.close()


async def test_columns_hold_fields_as_sqlite_has_them(tmp_path):
    message = {
        "n": 1, "x": 1.5, "t": "text", "b": b"\x00", "yes": True, "none": None, "deep": {"er": "here"},
        "list": [1, {"a": b"x"}], "at": Timestamp(0, 5), "ext": Ext(7, b"x"),
    }  # fmt: skip
    columns = {name: name for name in message} | {"deep": "deep.er", "gone": "gone"}
    await store(tmp_path, message, columns=columns)
    assert rows(tmp_path) == [
        (
            f"{1:032x}", 1, 1.5, "text", b"\x00", 1, None, "here", '[1,{"a":{"$bin":"eA=="}}]',
            "1970-01-01T00:00:00.000000005Z", '{"$ext":[7,"eA=="]}', None,
        )
    ]  # fmt: skip


async def test_without_columns_the_whole_message_is_stored(tmp_path):
    await store(tmp_path, {"a": [1]}, "text")
    assert rows(tmp_path, "SELECT message_id, message FROM rows") == [
        (f"{1:032x}", '{"a":[1]}'),
        (f"{2:032x}", '"text"'),
    ]


async def test_names_and_values_are_never_taken_for_sql(tmp_path):
    table, column = 'x"; DROP TABLE rows; --', "a\"b'c; select"
    await store(tmp_path, {"v": "'); DROP TABLE rows; --"}, table=table, columns={column: "v"})
    [(_, value)] = rows(tmp_path, 'SELECT * FROM "x""; DROP TABLE rows; --"')
    assert value == "'); DROP TABLE rows; --"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"table": ""}, "at least 1"),
        ({"table": " "}, "cannot name a table"),
        ({"table": "a\0b"}, "cannot name a table"),
        ({"table": "SQLite_x"}, "belong to SQLite"),
        ({"columns": {"Message_Id": "a"}}, "holds the message's id"),
        ({"columns": {"a": "x", "A": "y"}}, "is the same column as 'a'"),
        ({"columns": {"a": "x."}}, "not a field path"),
    ],
)
def test_names_that_cannot_be_are_found_when_the_configuration_is(config, problem):
    with pytest.raises(ValidationError, match=problem):
        REGISTRY.validate_config("write_sqlite", {"path": "x.db", "table": "t", **config})


async def test_a_message_that_comes_again_adds_no_row(tmp_path, monkeypatch):
    for buffer_rows in (1, 100):
        monkeypatch.setattr(write_sqlite, "BUFFER_ROWS", buffer_rows)
        adapter = await opened(tmp_path, columns={"n": "n"})
        for value, number in ((1, 1), (2, 2), (9, 1), (3, 3), (9, 2)):
            await handle(adapter, {"n": value}, number)
        await adapter.finish()
        await adapter.close()
        assert [row[1] for row in rows(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "problem"),
    [(2**63, "integers end at"), (float("nan"), "holds NaN"), (Timestamp(10**15), "years 1 to 9999")],
)
async def test_a_value_that_sqlite_cannot_hold_rejects_its_message_alone(tmp_path, value, problem):
    adapter = await opened(tmp_path, columns={"n": "n"})
    await handle(adapter, {"n": 1}, 1)
    with pytest.raises(Reject, match=problem):
        await handle(adapter, {"n": value}, 2)
    await handle(adapter, {"n": -(2**63)}, 3)
    await adapter.finish()
    await adapter.close()
    assert [row[1] for row in rows(tmp_path)] == [1, -(2**63)]


@pytest.mark.parametrize(
    ("sql", "bad"),
    [
        ("CREATE TABLE rows(message_id TEXT PRIMARY KEY, n INTEGER NOT NULL)", None),
        ("CREATE TABLE rows(message_id TEXT PRIMARY KEY, n CHECK (n < 10))", 10),
        ("CREATE TABLE rows(message_id TEXT PRIMARY KEY, n INTEGER) STRICT", "text"),
        ("CREATE TABLE rows(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, message_id UNIQUE, note)", None),
    ],
)
async def test_what_a_tables_constraints_refuse_rejects_its_message_alone(tmp_path, sql, bad):
    execute(tmp_path, sql)
    adapter = await opened(tmp_path, columns={"n": "n"})
    await handle(adapter, {"n": 1}, 1)
    with pytest.raises(Reject, match="cannot be a row of table 'rows'"):
        await handle(adapter, {"n": bad}, 2)
    await handle(adapter, {"n": 3}, 3)
    await adapter.finish()
    await adapter.close()
    assert rows(tmp_path, "SELECT n FROM rows ORDER BY n") == [(1,), (3,)]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("CREATE TABLE rows(message_id TEXT PRIMARY KEY, other)", "has no column 'n'"),
        ("CREATE TABLE rows(n)", "has no column 'message_id'"),
        ("CREATE TABLE rows(message_id, n)", "primary key or as a unique column"),
        ("CREATE TABLE rows(message_id, n, PRIMARY KEY (message_id, n))", "primary key or as a unique column"),
        ("CREATE TABLE rows(message_id INTEGER PRIMARY KEY, n)", "a column 'message_id' of integers"),
        ("CREATE TABLE rows(message_id PRIMARY KEY, n, o NOT NULL)", "needs a value for column 'o'"),
        ("CREATE TABLE rows(message_id PRIMARY KEY, n UNIQUE)", r"wants \(n\) to be unique"),
        ("CREATE TABLE rows(message_id PRIMARY KEY, n AS (1))", "computes column 'n'"),
        ("CREATE VIEW rows AS SELECT 1 AS message_id, 2 AS n", "is a view"),
    ],
)
async def test_a_table_of_another_shape_fails_the_start_and_is_left_alone(tmp_path, sql, problem):
    execute(tmp_path, sql)
    with pytest.raises((ValueError, OSError), match=problem):
        await opened(tmp_path, columns={"n": "n"})
    assert rows(tmp_path, "SELECT count(*) FROM sqlite_master WHERE name = 'rows'") == [(1,)]


async def test_a_file_that_is_none_of_sqlites_fails_the_start(tmp_path):
    (tmp_path / "out.db").write_text("text " * 1000)
    with pytest.raises(OSError, match="not a database"):
        await opened(tmp_path)
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        await opened(tmp_path, path=".")


async def test_in_memory_a_cancelled_execution_keeps_what_was_handled(tmp_path):
    adapter = await opened(tmp_path)
    await handle(adapter, "a")
    await adapter.close()
    assert rows(tmp_path, "SELECT message FROM rows") == [('"a"',)]


async def test_a_file_that_takes_no_rows_fails_the_flush_and_keeps_them(tmp_path):
    adapter = await opened(tmp_path, durable=True)
    await handle(adapter, "x" * 100_000, 1)
    table_connection(adapter).execute("PRAGMA max_page_count = 1")  # what a full disk looks like
    with pytest.raises(OSError, match=r"out\.db: database or disk is full"):
        await adapter.flush()
    table_connection(adapter).execute("PRAGMA max_page_count = 1000000")
    await adapter.flush()
    assert len(rows(tmp_path)) == 1
    await adapter.close()


async def test_a_file_that_is_deleted_meanwhile_takes_nothing_more(tmp_path):
    adapter = await opened(tmp_path, durable=True)
    await handle(adapter, "a")
    (tmp_path / "out.db").unlink()
    with pytest.raises(OSError, match="removed or replaced while it was in use"):
        await adapter.flush()
    with pytest.raises(OSError, match="removed or replaced while it was in use"):
        await adapter.close()


async def test_what_is_flushed_after_the_close_was_committed_by_it(tmp_path):
    adapter = await opened(tmp_path, durable=True)
    await handle(adapter, "a")
    await adapter.close()
    await adapter.flush()
    assert len(rows(tmp_path)) == 1


async def test_another_programs_transaction_is_waited_for(tmp_path):
    adapter = await opened(tmp_path, durable=True)
    await handle(adapter, "a")
    other = sqlite3.connect(tmp_path / "out.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = []

    async def flush():
        await adapter.flush()
        done.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flush)
        await trio.sleep(0.05)
        assert not done
        other.execute("COMMIT")
    other.close()
    await adapter.close()
    assert len(rows(tmp_path)) == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["new", "new", "again", "flush", "crash", "leave", "join"]), st.integers(0, 20)),
    max_size=25,
)


@settings(max_examples=30)
@given(STEPS)
def test_each_acknowledged_message_has_one_row_whatever_comes_between(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("table")

    async def run():
        processes = {await opened(folder, durable=True): []}
        pending, acknowledged, count = [], [], 0

        async def deliver(process, number):
            await handle(process, number, number)
            processes[process].append(number)

        async def acknowledge(process):
            await process.flush()
            acknowledged.extend(processes[process])
            processes[process] = []

        for step, choice in steps:
            process = list(processes)[choice % len(processes)]
            if step == "new":
                count += 1
                await deliver(process, count)
            elif step == "again" and pending + acknowledged:
                await deliver(process, (pending + acknowledged)[choice % len(pending + acknowledged)])
            elif step == "flush":
                await acknowledge(process)
            elif step == "join":
                processes[await opened(folder, durable=True, resumed=True)] = []
            elif step in {"crash", "leave"}:
                pending.extend(processes.pop(process))
                if step == "leave":
                    await process.close()
                else:
                    table_of(process).close()
                if not processes:
                    processes[await opened(folder, durable=True, resumed=True)] = []
        *others, last = processes
        for process in others:
            await acknowledge(process)
            await process.close()
        for number in pending:
            await deliver(last, number)
        await last.finish()
        await last.close()
        return count

    count = trio.run(run)
    assert sorted(rows(folder, "SELECT message FROM rows"), key=lambda row: int(row[0])) == [
        (str(number),) for number in range(1, count + 1)
    ]
