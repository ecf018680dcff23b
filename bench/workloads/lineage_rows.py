"""Rows of lineage as a pipeline of three stages makes them: 33 messages a millisecond, each with a parent and an end."""

import os
import time

from factflow_protocols import LineageEntry, OutcomeEntry

EXECUTION = "018f3c2a9b7c4d5e8f90a1b2c3d4e5f6"
STAGES = ("markdown", "split", "embed")
ROWS_A_MESSAGE = len(STAGES) + 1

Batch = tuple[list[LineageEntry], list[OutcomeEntry]]


def batch(first: int, messages: int, *, began_ns: int | None = None) -> Batch:
    """Return the rows of so many messages, of which this is the first; ids of a millisecond are in no order."""
    began = time.time_ns() if began_ns is None else began_ns
    entries: list[LineageEntry] = []
    outcomes: list[OutcomeEntry] = []
    random = os.urandom(10 * messages)
    for number in range(messages):
        at = began + (first + number) * 30_000
        when = (at // 1_000_000).to_bytes(6)
        message = when + random[number * 10 : number * 10 + 10]
        parent = when + (first + number // 3).to_bytes(10)
        for position, stage in enumerate(STAGES):
            row = (EXECUTION, "parse", stage, position, message, parent, parent, 1, "completed", at, 1_234_567, 0, None)
            entries.append(LineageEntry(*row, random[:16], random[-16:], None))
        outcomes.append(OutcomeEntry(EXECUTION, "parse", message, parent, parent, "completed", at, 1, 1, None))
    return entries, outcomes


def batches(rows: int, *, at_a_time: int = 2_000) -> list[Batch]:
    """Return so many rows, in batches of so many messages."""
    began = time.time_ns()
    count = max(1, rows // (at_a_time * ROWS_A_MESSAGE))
    return [batch(number * at_a_time, at_a_time, began_ns=began) for number in range(count)]
