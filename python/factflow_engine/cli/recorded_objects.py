"""The records of a home that point to objects in it, for the commands that look for missing ones.

Kept separate from the commands, several of which use it, and from `home_store`, whose users need no lineage. Nothing here
changes the home.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from factflow_engine.cli.home_store import read_only
from factflow_engine.executions import Home
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.lineage.providers import open_lineage_reader


@asynccontextmanager
async def recorded_objects(home: Home | None) -> AsyncIterator[Sequence[RecordedObjects]]:
    """Open what a home has recorded of its objects: executions and lineage; nothing if it has not both.

    Raises:
        ExecutionStoreError: The executions cannot be read.
        LineageError: The lineage cannot be read; part of it: see the command `factflow doctor`.
    """
    if home is None or not home.executions.exists() or not home.lineage.exists():
        yield ()
        return
    async with read_only(home) as executions:
        reader = open_lineage_reader(home.lineage_url)
        try:
            yield [RecordedObjects(executions, reader)]
        finally:
            with trio.CancelScope(shield=True):
                await reader.close()


async def lineage_problems(home: Home) -> Sequence[str]:
    """Return what of a home's lineage cannot be read, a line each.

    Raises:
        LineageError: Nothing of it can.
    """
    reader = open_lineage_reader(home.lineage_url)
    try:
        return await reader.problems()
    finally:
        with trio.CancelScope(shield=True):
            await reader.close()
