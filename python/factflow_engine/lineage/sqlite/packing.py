"""Rows as the statements bind them, and these statements.

Python holds its lock while values are bound, which takes longer than SQLite's own work: so few values are bound for a
row, and those that Python's `sqlite3` binds at once, without looking for an adapter: integers, texts and bytearrays,
but neither bytes nor None.

Kept separate from `segment` because this is what a row costs the event loop.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from factflow_engine.lineage.sqlite.schema import NO_STAGE, OUTCOMES, STATUSES, ZERO
from factflow_protocols import LineageEntry, OutcomeEntry

Place = tuple[str, str, str, int]
"""Execution, route, stage and position."""

CHUNKS: Final = (512, 64, 8, 1)
"""Rows of one statement. SQLite runs a statement without Python's lock, so that many rows at a time take it once."""

_STATUS: Final = {status: number for number, status in enumerate(STATUSES)}
_OUTCOME: Final = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_NO_HASHES: Final = b""

VISIT_WIDTH: Final = 10
OUTCOME_WIDTH: Final = 8


@lru_cache(maxsize=16)
def insertion(table: str, width: int, rows: int) -> str:
    """Return the statement that stores so many rows, replacing those of the same keys."""
    row = f"({', '.join('?' * width)})"
    return f"INSERT OR REPLACE INTO {table} VALUES {', '.join([row] * rows)}"


def packed_visits(entries: Iterable[LineageEntry], place_of: Callable[[Place], int]) -> list[Any]:
    """Return the values of the rows, one after the other.

    Raises:
        ValueError: A row has an unknown status.
    """
    values: list[Any] = []
    extend, status_of, join = values.extend, _STATUS.get, bytearray().join
    for entry in entries:
        (
            execution_id,
            route,
            stage,
            position,
            message_id,
            parent_id,
            correlation_id,
            attempt,
            status,
            started_ns,
            duration_ns,
            waited_ns,
            waited_for,
            input_hash,
            output_hash,
            detail,
        ) = entry
        number = status_of(status)
        if number is None:
            raise ValueError(f"expected a status out of {', '.join(STATUSES)}, got {status!r}")
        if input_hash is None and output_hash is None:
            before = after = _NO_HASHES
        else:
            before, after = input_hash or ZERO, output_hash or ZERO
        extend(
            (
                bytearray(message_id),
                place_of((execution_id, route, stage, position)),
                attempt,
                number,
                started_ns,
                duration_ns,
                waited_ns,
                waited_for or "",
                join((parent_id or ZERO, correlation_id, before, after)),
                detail or "",
            )
        )
    return values


def packed_outcomes(outcomes: Iterable[OutcomeEntry], place_of: Callable[[Place], int]) -> list[Any]:
    """Return the values of the rows, one after the other.

    Raises:
        ValueError: A row has an unknown outcome.
    """
    values: list[Any] = []
    extend, join = values.extend, bytearray().join
    for row in outcomes:
        number = _OUTCOME.get(row.outcome)
        if number is None:
            raise ValueError(f"expected an outcome out of {', '.join(OUTCOMES)}, got {row.outcome!r}")
        extend(
            (
                bytearray(row.message_id),
                place_of((row.execution_id, row.route, *NO_STAGE)),
                number,
                row.ended_ns,
                row.attempts,
                row.emitted,
                join((row.parent_id or ZERO, row.correlation_id)),
                row.detail or "",
            )
        )
    return values


def chunks(total: int) -> Iterable[tuple[int, int]]:
    """Yield start and size of the chunks that so many rows are stored in."""
    start = 0
    for size in CHUNKS:
        while total - start >= size:
            yield start, size
            start += size


def encodable(rows: Sequence[Any]) -> list[Any]:
    """Return rows without lone surrogates, which the texts of adapters' errors may have and UTF-8 has not."""
    return [row._replace(**_encodable(row._asdict())) for row in rows]


def _encodable(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in fields.items()
    }
