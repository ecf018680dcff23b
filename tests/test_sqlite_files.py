"""Errors and transactions of SQLite, and its write-ahead logging."""

import sqlite3
from contextlib import closing

import pytest

from factflow_engine.sqlite_files import Connection, is_busy, is_damage, primary_code, transaction, write_ahead


def connected(path, *, timeout=0.0):
    return closing(sqlite3.connect(path, isolation_level=None, timeout=timeout))


def rows(connection):
    return [value for (value,) in connection.execute("SELECT x FROM t ORDER BY x")]


def error_of(call):
    with pytest.raises(sqlite3.Error) as caught:
        call()
    return caught.value


def test_tables_that_are_no_text_any_more_are_damage(tmp_path):
    path = tmp_path / "x.db"
    with connected(path) as one:
        one.execute("CREATE TABLE t(x)")
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \xff\xffBLE"))
    with closing(sqlite3.connect(path, factory=Connection)) as one:
        damage = error_of(lambda: one.execute("SELECT * FROM t"))
    assert is_damage(damage)


def test_errors_are_told_apart(tmp_path):
    path = tmp_path / "x.db"
    with connected(path) as one, connected(path) as other:
        one.execute("BEGIN IMMEDIATE")
        busy = error_of(lambda: other.execute("BEGIN IMMEDIATE"))
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with connected(path) as one:
        damage = error_of(lambda: one.execute("SELECT * FROM sqlite_master"))
    assert (is_busy(busy), is_damage(busy), primary_code(busy)) == (True, False, sqlite3.SQLITE_BUSY)
    assert (is_busy(damage), is_damage(damage), primary_code(damage)) == (False, True, sqlite3.SQLITE_NOTADB)
    assert (is_busy(OSError()), is_damage(OSError()), primary_code(OSError())) == (False, False, 0)


def test_an_extended_code_is_that_of_its_family():
    error = sqlite3.OperationalError()
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
    assert is_busy(error)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_INDEX
    assert is_damage(error)


def test_a_transaction_is_stored_whole_or_not_at_all(tmp_path):
    with connected(tmp_path / "x.db") as connection, connected(tmp_path / "x.db") as other:
        connection.execute("CREATE TABLE t(x)")
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            assert rows(other) == []
        assert rows(other) == [1]
        with pytest.raises(KeyboardInterrupt), transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
            raise KeyboardInterrupt
        assert not connection.in_transaction
        assert rows(connection) == rows(other) == [1]


def test_a_commit_that_fails_is_rolled_back(tmp_path):
    with connected(tmp_path / "x.db") as connection, connected(tmp_path / "x.db") as reader:
        connection.execute("CREATE TABLE t(x)")
        connection.execute("INSERT INTO t VALUES (1)")
        reader.execute("BEGIN")
        assert rows(reader) == [1]  # which keeps the commit from the lock that it needs
        with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
        assert not connection.in_transaction
        assert rows(connection) == [1]


def test_an_error_that_ends_the_transaction_is_the_one_raised(tmp_path):
    with connected(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t(x UNIQUE ON CONFLICT ROLLBACK)")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("INSERT INTO t VALUES (1)")
        assert rows(connection) == []


def test_a_transaction_that_cannot_be_rolled_back_says_so_beside_the_first_error(tmp_path):
    class Broken(sqlite3.Connection):
        def execute(self, sql, *parameters):
            if sql == "ROLLBACK":
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, factory=Broken)) as connection:
        with pytest.raises(ValueError, match="first") as caught, transaction(connection):
            raise ValueError("first")
        assert caught.value.__notes__ == ["SQLite could not roll back either: disk I/O error"]
        assert connection.in_transaction


def test_an_empty_transaction_on_a_new_file_waits_for_those_that_read_it(tmp_path):
    """A commit writes the first page of a new file, so that it ends after the others have looked at it."""
    with connected(tmp_path / "x.db") as one, connected(tmp_path / "x.db") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(one):
            pass
        reader.execute("ROLLBACK")
        with transaction(one):
            pass
        assert (tmp_path / "x.db").stat().st_size


def test_a_file_is_switched_to_write_ahead_logging_once(tmp_path):
    with connected(tmp_path / "x.db") as one, connected(tmp_path / "x.db") as other:
        assert write_ahead(one) == "wal"
        one.execute("BEGIN IMMEDIATE")
        assert write_ahead(other) == "wal"  # it is, and nobody is waited for
    with connected(":memory:") as memory:
        assert write_ahead(memory) == "memory"


@pytest.mark.parametrize("is_new", [True, False])
def test_a_switch_waits_for_those_that_only_read(tmp_path, is_new):
    with connected(tmp_path / "x.db") as one, connected(tmp_path / "x.db") as reader:
        if not is_new:
            one.execute("CREATE TABLE t(x)")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        assert is_busy(error_of(lambda: write_ahead(one)))
        reader.execute("ROLLBACK")
        assert write_ahead(one) == "wal"
