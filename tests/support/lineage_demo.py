"""Rows of a small run, for tests of the commands and of the page that shows them: three pages, of which one failed."""

import json
from pathlib import Path

from factflow_engine.lineage.providers import open_lineage
from factflow_protocols import LineageEntry, OutcomeEntry

EXECUTION = "01a0c4506a8f7d3e9b52c6f18e04d7a1"
ROOT_ID = bytes.fromhex("01a0c4506bf45d2e8a917c3b60f4e218")
PAGES = [
    ROOT_ID[:6] + bytes.fromhex(each)
    for each in ("1f6e02d94ab75c83e610", "8b3d5ce07f1294a6d35b", "d2940a6ef83b571c4e97")
]
BEGIN_NS = 1_790_000_000_500_000_000
SECOND = 10**9
TIMEOUT = json.dumps(
    {"type": "TimeoutError", "error": "the model did not answer within 30 s", "place": "adapters.py:12"}
)
SKIPPED = json.dumps({"field": "lang", "operator": "neq", "value": "en", "actual": "en"})


def visit(message_id: bytes, route: str, stage: str, position: int, **fields) -> LineageEntry:
    row = LineageEntry(
        EXECUTION, route, stage, position, message_id, None if message_id == ROOT_ID else ROOT_ID, ROOT_ID, 1,
        "completed", BEGIN_NS, 1_234_567, 0, None, None, None, None,
    )  # fmt: skip
    return row._replace(**fields)


def end(message_id: bytes, route: str, **fields) -> OutcomeEntry:
    parent = None if message_id == ROOT_ID else ROOT_ID
    row = OutcomeEntry(EXECUTION, route, message_id, parent, ROOT_ID, "completed", BEGIN_NS + SECOND, 1, 0, None)
    return row._replace(**fields)


def rows() -> tuple[list[LineageEntry], list[OutcomeEntry]]:
    entries = [
        visit(
            ROOT_ID, "fetch", "http_request", 0, duration_ns=123_456_789, waited_ns=2_100_000_000, waited_for="permit"
        )
    ]
    outcomes = [end(ROOT_ID, "fetch", emitted=3, detail=json.dumps({"outbounds": ["parse"]}))]
    for number, page in enumerate(PAGES):
        started = BEGIN_NS + (1 + number) * SECOND
        fails = number == 1
        at = started
        for attempt in range(1, 4 if fails else 2):
            waited = attempt * SECOND if attempt > 1 else 0
            at += waited
            entries += [
                visit(
                    page, "parse", "markdown", 0, attempt=attempt, started_ns=at,
                    waited_ns=waited, waited_for="retry" if waited else None,
                ),
                visit(
                    page, "parse", "translate", 1, attempt=attempt, status="skipped", started_ns=at + 1, duration_ns=0,
                    detail=SKIPPED,
                ),
                visit(
                    page, "parse", "summarize", 2, attempt=attempt, status="failed" if fails else "completed",
                    started_ns=at + 2, duration_ns=30 * SECOND if fails else 812_000_000,
                    detail=TIMEOUT if fails else None,
                ),
            ]  # fmt: skip
            at += 30 * SECOND if fails else SECOND
        ending = (
            {"outcome": "dead_lettered", "attempts": 3, "detail": TIMEOUT}
            if fails
            else {"detail": json.dumps({"outbounds": ["/queue/done"]})}
        )
        outcomes.append(end(page, "parse", ended_ns=at, **ending))
    return entries, outcomes


async def record(folder: Path) -> None:
    sink = open_lineage(f"sqlite:///{folder}")
    await sink.write(*rows())
    await sink.close()
