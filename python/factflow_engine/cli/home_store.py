"""Access of a command to the store of executions in its home.

Kept separate from `home` because it imports what records executions.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from factflow_engine.cli.home import existing, home_of, made, operators_errors
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.executions import Executions, ExecutionStore, Home, StoredExecution, open_executions
from factflow_engine.executions.sql_store import SqlStore
from factflow_engine.executions.sqlite import SqliteDatabase
from factflow_engine.seams import Seams

T = TypeVar("T")


@asynccontextmanager
async def read_only(home: Home) -> AsyncIterator[ExecutionStore]:
    """Open the store of executions of a home, which must have one, and leave every byte of the home as it is."""
    store = SqlStore(SqliteDatabase(home.executions, read_only=True), seams=Seams.real())
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def in_store(home: Home, call: Callable[[Executions], Awaitable[T]]) -> T:
    """Run a call with the executions of a home, which is made if it is missing.

    Raises:
        InvalidInputError: What the operator named is not there, or cannot be one.
    """

    async def main() -> T:
        async with open_executions(home.executions_url) as executions:
            return await call(executions)

    with operators_errors():
        made(home)
        with python_interrupts():
            return trio.run(main)


def execution_of(home: Path | None, named: str) -> StoredExecution:
    """Return the execution that an operator names.

    Raises:
        InvalidInputError: There is none, or several.
    """

    async def look(executions: Executions) -> StoredExecution:
        return await executions.store.execution(named)

    return in_store(existing(home_of(home)), look)
