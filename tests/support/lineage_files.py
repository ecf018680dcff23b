"""A lineage store for tests of `ProcessLineage`: one line of JSON a row, in a file; its URL may ask for trouble."""

import json
import os
import signal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trio

from factflow_protocols import LineageError


class LineLineage:
    @classmethod
    def from_url(cls, url, *, directory=None):
        return cls(url, directory)

    def __init__(self, url, directory):
        parts = urlsplit(url)
        self.path = Path(directory) / parts.path.lstrip("/")
        self.asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.asked.get("trouble") == "open":
            raise LineageError("cannot be opened")

    def retain(self, *, days, total_bytes):
        if self._is_due("refuse-retention"):
            raise LineageError("refused")
        self._add({"days": days, "total_bytes": total_bytes})

    async def write(self, entries, outcomes):
        await trio.lowlevel.checkpoint()
        if self._is_due("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._is_due("exit"):
            os._exit(3)
        if self._is_due("refuse"):
            raise LineageError("refused")
        if self._is_due("hang"):
            await trio.sleep_forever()
        for row in (*entries, *outcomes):
            self._add(
                {name: value.hex() if isinstance(value, bytes) else value for name, value in row._asdict().items()}
            )

    async def close(self):
        await trio.lowlevel.checkpoint()
        self._add({"closed": True})

    def _is_due(self, trouble):
        """Return whether the URL asks for this, and it has not happened yet."""
        marker = self.path.with_suffix(".once")
        if self.asked.get("trouble") != trouble or marker.exists():
            return False
        marker.touch()
        return True

    def _add(self, row):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
