"""Port of `sql_store` to a database: transactions, a clock, and two ways of running a statement.

Kept separate because it is all that a store on another database has to implement. Statements have `?` for parameters and
neither a literal `?` nor a literal `%`; their SQL is what SQLite and PostgreSQL have in common.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class Instant(NamedTuple):
    """Time by the store's clock, which all its processes share and nobody sets.

    Attributes:
        epoch: Name of the clock's run, such as the machine's boot: leases of another one have run out.
        ns: Nanoseconds in it.
    """

    epoch: str
    ns: int


class Session(Protocol):
    """Transaction that is under way."""

    @property
    def now(self) -> Instant:
        """Time of the transaction, read after it got its lock."""
        ...

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        ...

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement, and return the number of rows that it changed."""
        ...


@runtime_checkable
class Database(Protocol):
    """One process's connection to a database that may be used by several. Blocking; one call at a time.

    Attributes:
        name: Path or URL, for errors; without a password.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    def transact(
        self, work: Callable[[Session], T], *, writes: bool, durable: bool = True, repeatable: bool = False
    ) -> T:
        """Run some work in one transaction; opens the database, and makes or migrates its tables, at the first call.

        An error of `work` rolls it back and leaves unchanged.

        Args:
            work: The work; may be called again, after a rollback.
            writes: True if it changes anything: such transactions follow one after the other.
            durable: False if a power cut may undo it.
            repeatable: True if the work does no harm when it is done again after it was stored, and only the answer of
                the database got lost.

        Raises:
            ExecutionStoreError: The database failed.
        """
        ...

    def examine(self) -> Sequence[str]:
        """Return what is wrong with the database; empty if nothing is.

        Raises:
            ExecutionStoreError: It could not be opened.
        """
        ...

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        ...


def storable(parameters: Sequence[Any]) -> list[Any]:
    """Return parameters whose texts every database can store: halves of characters and NULs are escaped."""
    return [
        value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") if isinstance(value, str) else value
        for value in parameters
    ]


TABLES: Final = (
    """CREATE TABLE config(
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, active INTEGER NOT NULL, version INTEGER NOT NULL,
        created_ns BIGINT NOT NULL)""",
    """CREATE TABLE config_version(
        config_id TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT, yaml TEXT NOT NULL, directory TEXT NOT NULL,
        file TEXT NOT NULL, errors INTEGER NOT NULL, saved_ns BIGINT NOT NULL, PRIMARY KEY(config_id, version))""",
    """CREATE TABLE execution(
        id TEXT PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
        config_id TEXT, config_version INTEGER, config_hash TEXT NOT NULL,
        tag TEXT NOT NULL, metadata TEXT NOT NULL, parent TEXT, replay_source TEXT, idempotency_key TEXT UNIQUE,
        started_ns BIGINT NOT NULL, ended_ns BIGINT, seen_ns BIGINT NOT NULL, host TEXT NOT NULL, pid BIGINT NOT NULL,
        cancel_seconds DOUBLE PRECISION, error TEXT,
        is_presumed INTEGER NOT NULL DEFAULT 0, -- 1: cancelled while nobody renewed its lease
        lease_epoch TEXT NOT NULL, lease_ns BIGINT NOT NULL,
        snapshot TEXT NOT NULL, directory TEXT NOT NULL, statistics TEXT, report TEXT, limits TEXT)""",
    "CREATE INDEX execution_running ON execution(lease_ns) WHERE status = 'running'",
    "CREATE INDEX execution_by_start ON execution(started_ns)",
    "CREATE INDEX execution_by_scope ON execution(scope)",
    "CREATE INDEX execution_by_parent ON execution(parent)",
    "CREATE INDEX execution_by_config ON execution(config_id)",
)
"""Statements of version 1, for a database that keeps a number of its version."""

MIGRATIONS: Final = (TABLES, ("ALTER TABLE execution ADD COLUMN queue TEXT",))
"""Statements from each version to the next, beginning with an empty database."""
