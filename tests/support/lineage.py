"""Lineage sinks for tests: one that keeps all, and wrappers of it that fail, wait or die."""

import trio

from factflow_engine.lineage.recorder import rows_of
from factflow_protocols import LineageEntry, LineageError, OutcomeEntry


class KeptLineage:
    """Keeps every row, in the order of writing."""

    def __init__(self):
        self.entries: list[LineageEntry] = []
        self.outcomes: list[OutcomeEntry] = []
        self.writes = 0
        self.is_closed = False

    async def write(self, entries, outcomes):
        await trio.lowlevel.checkpoint()
        self.writes += 1
        self.entries += entries
        self.outcomes += outcomes

    async def close(self):
        self.is_closed = True

    def last_visits(self):
        """Return the last row of each visit."""
        return {(row.message_id, row.route, row.stage, row.attempt): row for row in self.entries}

    def last_outcomes(self):
        """Return the last outcome of each message in each route."""
        return {(row.message_id, row.route): row for row in self.outcomes}


class PackedLineage(KeptLineage):
    """Takes packed rows."""

    async def write(self, entries, outcomes):
        raise AssertionError("this sink takes packed rows")

    async def write_packed(self, parts):
        await KeptLineage.write(self, *await rows_of(parts))


class FailingLineage(KeptLineage):
    """Refuses the first writes."""

    def __init__(self, failures, error=None):
        super().__init__()
        self.failures = failures
        self.error = error or LineageError("the store is away")

    async def write(self, entries, outcomes):
        await trio.lowlevel.checkpoint()
        if self.failures > 0:
            self.failures -= 1
            raise self.error
        await super().write(entries, outcomes)


class SlowLineage(KeptLineage):
    """Takes its time."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    async def write(self, entries, outcomes):
        await trio.sleep(self.seconds)
        await super().write(entries, outcomes)
