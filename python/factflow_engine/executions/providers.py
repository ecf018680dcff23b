"""Databases of the store by the scheme of their URLs.

Kept separate from the databases because each is imported when a URL first needs it.
"""

from pathlib import Path
from typing import Final

from factflow_engine.executions.database import Database
from factflow_engine.executions.errors import ExecutionStoreError, ExecutionStoreUrlError
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.sql_store import SqlStore
from factflow_engine.schemes import SchemeTable
from factflow_engine.seams import Seams


def _provider_error(scheme: str, _distribution: str, problem: str) -> ExecutionStoreError:
    return ExecutionStoreError(f"{scheme}://", problem)


def _file_hint(url: str) -> str:
    return f"write sqlite:///{url} for a file; " if url else ""


_TABLE: Final[SchemeTable[Database]] = SchemeTable(
    noun="execution store",
    built_in={
        "postgres": "factflow_engine.executions.postgres:PostgresDatabase[postgres]",
        "postgresql": "factflow_engine.executions.postgres:PostgresDatabase[postgres]",
        "sqlite": "factflow_engine.executions.sqlite:SqliteDatabase",
    },
    group=None,
    protocol=Database,  # type: ignore[type-abstract]  # it is only asked for with isinstance
    url_error=ExecutionStoreUrlError,
    provider_error=_provider_error,
    hint=_file_hint,
)


def execution_store(url: str, *, directory: Path | None = None, seams: Seams | None = None) -> ExecutionStore:
    """Return the store that a URL names, such as `sqlite:///executions.db`. Nothing is opened yet.

    Args:
        url: The URL; its scheme selects the database.
        directory: Folder that relative paths start from; the working directory by default.
        seams: Ids, threads and the clock of leases; the machine's own by default.

    Raises:
        ExecutionStoreUrlError: The URL cannot be read.
        ExecutionStoreError: The database needs an extra that is not installed.
    """
    seams = seams or Seams.real()
    return SqlStore(_TABLE.open(url, directory=directory, seams=seams), seams=seams)
