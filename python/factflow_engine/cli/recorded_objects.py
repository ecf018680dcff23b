"""The records of a home that point to objects in it, for the commands that look for missing ones.

Kept separate from the commands, several of which use it, and from `home_store`, whose users need no lineage. Nothing here
changes the home.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import click
import trio

from factflow_engine.cli.home_store import read_only
from factflow_engine.cli.text import clean
from factflow_engine.executions import Home
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.lineage.providers import open_lineage_reader
from factflow_protocols import LineageError, LineageSelection


@asynccontextmanager
async def recorded_objects(
    home: Home | None, unread: Callable[[str], None]
) -> AsyncIterator[Sequence[RecordedObjects]]:
    """Open what a home has recorded of its objects: executions and lineage; nothing if it has not both.

    Args:
        home: The home; None for none.
        unread: Called at the end of the block with each part of the lineage that could not be read.

    Raises:
        ExecutionStoreError: The executions cannot be read.
        LineageError: The lineage cannot be read.
    """
    if home is None or not home.executions.exists() or not home.lineage.exists():
        yield ()
        return
    async with read_only(home) as executions:
        reader = open_lineage_reader(home.lineage_url)
        try:
            yield [RecordedObjects(executions, reader)]
            for problem in await reader.problems():
                unread(problem)
        finally:
            with trio.CancelScope(shield=True):
                await reader.close()


@asynccontextmanager
async def known_objects(home: Home) -> AsyncIterator[RecordedObjects | None]:
    """Open the same for a replay, which needs no lineage: None if there is none. What of it cannot be read is said.

    Raises:
        ExecutionStoreError: The executions cannot be read.
    """

    def warn(problem: str) -> None:
        click.echo(f"factflow: {clean(problem)}; objects that only it knows of are not missed", err=True)

    try:
        if home.lineage.exists():
            await lineage_problems(home, reads_rows=False)
    except LineageError as error:
        warn(str(error))
        yield None
        return
    async with recorded_objects(home, warn) as sources:
        yield next(iter(sources), None)


async def lineage_problems(home: Home, *, reads_rows: bool) -> Sequence[str]:
    """Return what of a home's lineage cannot be read, a line each.

    Args:
        home: The home.
        reads_rows: True to read every row; a million take a second or two.

    Raises:
        LineageError: Nothing of it can.
    """
    reader = open_lineage_reader(home.lineage_url)
    try:
        if reads_rows:
            await reader.statistics(LineageSelection())
        return await reader.problems()
    finally:
        with trio.CancelScope(shield=True):
            await reader.close()
