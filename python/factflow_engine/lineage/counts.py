"""Counts of an execution's lineage rows, for its statistics and its report.

Kept separate from the recorder because the report is imported where nothing is recorded.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageCounts:
    """Rows of one execution: `recorded` is `written` and `lost` and what still waits for its writer.

    Attributes:
        recorded: Rows that the execution's messages made.
        written: Rows that the store has accepted.
        lost: Rows that did not fit into the buffer, or that the store had not accepted in time.
        errors: Writes that failed; a failed write is repeated.
        last_error: Text of the last such failure; None if there was none.
    """

    recorded: int
    written: int
    lost: int
    errors: int = 0
    last_error: str | None = None
