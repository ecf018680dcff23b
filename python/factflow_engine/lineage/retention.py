"""Retention of a store: how much is kept, as asked for by its URL and by each execution that writes to it.

Kept separate from the stores because each of them, and the process that one runs in, hears of it in the same way.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Limits of what is kept. All that is asked of one store counts: the most generous limit of each kind.

    Attributes:
        days: Days for which a row is kept at least; None for no limit.
        total_bytes: Bytes that the rows may take, approximately; None for no limit.
    """

    days: float | None = None
    total_bytes: int | None = None

    def widened(self, earlier: "Retention | None") -> "Retention":
        """Return what is kept if this is asked for, and was `earlier`, unless nothing was."""
        if earlier is None:
            return self
        return Retention(
            days=None if self.days is None or earlier.days is None else max(self.days, earlier.days),
            total_bytes=None
            if self.total_bytes is None or earlier.total_bytes is None
            else max(self.total_bytes, earlier.total_bytes),
        )


KEEP_ALL: Final = Retention()
