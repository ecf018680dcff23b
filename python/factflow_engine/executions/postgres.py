"""The store in a PostgreSQL schema: several machines, several processes.

Its clock is the server's, which all processes share. It is a wall clock: if it steps by more than a lease, executions are
misjudged until their processes renew their leases. Kept separate from `sqlite` because only the URL decides.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from factflow_engine.executions.database import MIGRATIONS, Instant, Session, storable
from factflow_engine.executions.errors import ExecutionStoreError, ExecutionStoreUrlError
from factflow_engine.postgres import BlockingConnection, PostgresError, PostgresSettings, PostgresUrlError
from factflow_engine.seams import Seams

T = TypeVar("T")

Row = tuple[Any, ...]

_EPOCH: Final = "server"
_BUSY_SECONDS: Final = 5
"""Longest wait for another process's transaction; the server ends it."""

_STATEMENT_SECONDS: Final = 8
"""Longest statement; the server ends it."""

_SILENCE_SECONDS: Final = 10.0
"""Time after which a server that has not even done that counts as gone."""


class PostgresDatabase:
    """A schema of a PostgreSQL database as a `Database`, which documents the methods. Opened at the first call.

    Works behind poolers that change the server's session between transactions: nothing is kept in the session.

    Args:
        settings: Server, database and schema.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._schema = settings.schema
        self._connection = BlockingConnection(settings, prepare=self._prepare, silence_seconds=_SILENCE_SECONDS)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        directory: Path | None = None,  # noqa: ARG003 - of a protocol
        seams: Seams | None = None,  # noqa: ARG003 - of a protocol; the server's clock is that of leases
    ) -> "PostgresDatabase":
        """Read `postgresql://user:password@host/database?schema=NAME`; see `PostgresSettings.from_url`.

        Raises:
            ExecutionStoreUrlError: The URL is malformed.
        """
        try:
            return cls(PostgresSettings.from_url(url))
        except PostgresUrlError as error:
            raise ExecutionStoreUrlError(error.url, error.problem) from None

    @property
    def name(self) -> str:
        """URL of the schema, without user and password."""
        return f"postgresql://{self._connection.settings.place}?schema={self._schema}"

    def transact(
        self, work: Callable[[Session], T], *, writes: bool, durable: bool = True, repeatable: bool = False
    ) -> T:
        """See `Database`."""

        def whole(connection: psycopg.Connection[Row]) -> T:
            if not writes:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._begin(connection)
            if writes:
                _lock(connection, self._schema)
                if not durable:
                    connection.execute("SET LOCAL synchronous_commit = off")
            return work(_Transaction(connection))

        return self._run(whole, repeats_commit=repeatable or not writes)

    def examine(self) -> Sequence[str]:
        """See `Database`: that the schema can be read is all that a client can say of a server."""
        self._run(self._begin)
        return ()

    def close(self) -> None:
        """See `Database`."""
        self._connection.close()

    def _run(self, work: Callable[[psycopg.Connection[Row]], T], *, repeats_commit: bool = True) -> T:
        try:
            return self._connection.run(work, repeats_commit=repeats_commit)
        except PostgresError as error:
            raise ExecutionStoreError(self.name, str(error)) from error

    def _begin(self, connection: psycopg.Connection[Row]) -> None:
        connection.execute("SELECT set_config('search_path', %s, true)", (f'"{self._schema}"',))
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{_BUSY_SECONDS}s",))
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (f"{_STATEMENT_SECONDS}s",))

    def _prepare(self, connection: psycopg.Connection[Row]) -> None:
        """Make the tables that are missing, unless another process was faster."""
        self._begin(connection)
        version = _version(connection, self._schema)
        if version < len(MIGRATIONS):
            _lock(connection, self._schema)
            version = _version(connection, self._schema)
            if version == 0:
                self._make_schema(connection)
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement.replace(" TEXT", ' TEXT COLLATE "C"').encode())
            connection.execute("UPDATE executions_version SET version = %s", (max(version, len(MIGRATIONS)),))
        elif version > len(MIGRATIONS):
            raise ExecutionStoreError(
                self.name,
                f"has tables of version {version}, this engine knows {len(MIGRATIONS)}; use the engine that made it",
            )

    def _make_schema(self, connection: psycopg.Connection[Row]) -> None:
        there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,)).fetchone()
        if there is None:
            connection.execute(f'CREATE SCHEMA "{self._schema}"'.encode())
        connection.execute("CREATE TABLE executions_version (version integer NOT NULL)")
        connection.execute("INSERT INTO executions_version VALUES (0)")


def _version(connection: psycopg.Connection[Row], schema: str) -> int:
    """Return the version of the tables; 0 if there are none."""
    there = connection.execute(
        "SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = %s AND relname = 'executions_version'",
        (schema,),
    )
    if there.fetchone() is None:
        return 0
    row = connection.execute("SELECT version FROM executions_version").fetchone()
    return 0 if row is None else int(row[0])


def _lock(connection: psycopg.Connection[Row], schema: str) -> None:
    """Wait until no other transaction writes; the next one waits for this one's end."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"factflow.executions.{schema}",))


class _Transaction:
    """A transaction of a connection, as `Session` documents it."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        row = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint").fetchone()
        self.now: Final = Instant(_EPOCH, int(row[0]) if row is not None else 0)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._execute(statement, parameters).fetchall()

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._execute(statement, parameters).rowcount

    def _execute(self, statement: str, parameters: Sequence[Any]) -> psycopg.Cursor[Row]:
        values = [int(value) if isinstance(value, bool) else value for value in storable(parameters)]
        return self._connection.execute(statement.replace("?", "%s").encode(), values)
