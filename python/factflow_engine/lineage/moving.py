"""`MovingLineage`: a store that works in a thread, and in a process of its own once rows come fast.

Kept separate from `process`, which always has a process: that costs some tenths of a second of work, more than a short
run has. A thread costs nothing until it competes with the event loop for the interpreter's lock; at some ten thousand rows
a second it makes the loop's slowest messages several times slower.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from factflow_engine.lineage.process import ProcessLineage
from factflow_engine.lineage.providers import is_built_in, open_lineage
from factflow_engine.lineage.recorder import rows_of
from factflow_engine.seams import Seams
from factflow_protocols import LineageEntry, LineageError, LineageSink, OutcomeEntry, RetainingLineage

logger = logging.getLogger("factflow_engine.lineage")

MOST_IN_THREAD: Final = 128 << 10
"""Bytes of one write up to which a thread is used, some thousand rows: one write comes each tenth of a second."""


class MovingLineage:
    """Sink of the store that a URL names. See `factflow_protocols.LineageSink` for the contract of its methods.

    It must be a store that two processes may write to, one after the other, as those of this distribution are.

    Args:
        url: URL of the store.
        directory: Folder that a relative path in the URL starts from; the working directory by default.
        seams: What the store gets of its execution. Without a starter of processes, as in a simulation, it does not move.

    Raises:
        LineageUrlError: No provider has this scheme, or the provider cannot read the URL.
        LineageProviderError: The provider cannot be used.
    """

    def __init__(self, url: str, *, directory: Path | None = None, seams: Seams) -> None:
        self._near: LineageSink = open_lineage(url, directory=directory, seams=seams)
        self._far: ProcessLineage | None = None
        if seams.processes is not None:
            self._far = ProcessLineage(url, directory=directory, processes=seams.processes)
        self._has_moved = False  # rows go to the process

    def retain(self, *, days: float | None, total_bytes: int | None) -> None:
        """See `RetainingLineage`."""
        near: object = self._near
        if isinstance(near, RetainingLineage):
            near.retain(days=days, total_bytes=total_bytes)
        if self._far is not None:
            self._far.retain(days=days, total_bytes=total_bytes)

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """See `LineageSink.write`."""
        far = await self._process() if self._has_moved else None
        await (self._near if far is None else far).write(entries, outcomes)

    async def write_packed(self, parts: Sequence[bytes]) -> None:
        """See `PackedLineageSink.write_packed`."""
        if self._has_moved or sum(map(len, parts)) > MOST_IN_THREAD:
            far = await self._process()
            if far is not None:
                await far.write_packed(parts)
                return
        await self._near.write(*await rows_of(parts))

    async def _process(self) -> ProcessLineage | None:
        """Return the store in its process, which runs; None if there is none, and from then on there is none.

        Cancellation: the store has moved or not.
        """
        far = self._far
        if far is None:
            return None
        try:
            await far.start()
        except LineageError as error:
            logger.warning("lineage is written in a thread of this process from now on: %s", error)
            self._far = None
            self._has_moved = False
            return None
        if not self._has_moved:
            await self._near.close()
            self._has_moved = True
        return far

    async def close(self) -> None:
        """See `LineageSink.close`."""
        try:
            await self._near.close()
        finally:
            if self._far is not None:
                await self._far.close()


def open_movable(url: str, *, directory: Path | None, seams: Seams) -> LineageSink:
    """Return the store that a URL names, as one that moves if it is of this distribution; see `MovingLineage`."""
    if is_built_in(url):
        return MovingLineage(url, directory=directory, seams=seams)
    return open_lineage(url, directory=directory)
