"""What a lineage row costs in SQLite segments, stored and found, beside sqlite3 by hand.

Batches of 8,000 rows (2,000 messages of three stages). Rates are the inverse of the wall figures: 10 us a row are
100,000 a second. `python -m bench.programs.lineage_soak` measures ten minutes of it, and look-ups in ten million rows.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench.model import OURS, Case, Scale, Subject, at_most, within
from bench.timing import CPU, WALL, Stopwatch
from bench.workloads.lineage_rows import ROWS_A_MESSAGE, Batch, batches
from factflow_engine.lineage.sqlite import SqliteLineage, SqliteLineageSettings

PLAIN = "sqlite3 by hand"
STORED_US = 1e6 / 100_000
FOUND_US = 2_000.0


def cases(scale: Scale) -> list[Case]:
    """Storing, with and without retention, and looking up."""
    rows = batches(scale.of(400_000, least=scale.asked(40_000, tiny=400)), at_a_time=scale.asked(2_000, tiny=100))
    found = batches(scale.of(2_000_000, least=scale.asked(200_000, tiny=400)), at_a_time=scale.asked(2_000, tiny=100))
    return [_storing(rows), _finding(found, scale.asked(500, tiny=5))]


def _storing(rows: Sequence[Batch]) -> Case:
    return Case(
        name="store",
        answers="What does a row cost that is stored in batches, found by its message id, and replaced by a later one?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_ours(rows)),
            Subject(
                name="ours, retention",
                measure=_ours(rows, segment_bytes=4 << 20, retention_bytes=16 << 20),
                note="a segment begins, and another is removed, every 30,000 rows or so",
            ),
            Subject(name=PLAIN, measure=_plain(rows), note="the same key and fields, executemany, one thread"),
        ),
        targets=(
            at_most("wall", STORED_US, "us (100,000/s)"),
            at_most("wall", STORED_US, "us (100,000/s)", of="ours, retention"),
            within("cpu", [PLAIN], 1),
        ),
        rounds=5,
    )


def _count(rows: Sequence[Batch]) -> int:
    return sum(len(entries) + len(outcomes) for entries, outcomes in rows)


def _ours(rows: Sequence[Batch], **options: int) -> Callable[[], Mapping[str, float]]:
    async def run(folder: Path) -> Mapping[str, float]:
        sink = SqliteLineage(SqliteLineageSettings(path=folder, **options))  # type: ignore[arg-type]
        with Stopwatch() as watch:
            for entries, outcomes in rows:
                await sink.write(entries, outcomes)
            await sink.close()
        reader = sink.reader()
        last = rows[-1][0][-1].message_id
        if len((await reader.messages([last])).visits) != ROWS_A_MESSAGE - 1 or sink.removal_failure:
            raise RuntimeError(f"the last message is not stored whole: {sink.removal_failure}")
        await reader.close()
        return watch.per(_count(rows))

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            return trio.run(run, Path(folder) / "lineage")

    return measure


def _plain(rows: Sequence[Batch]) -> Callable[[], Mapping[str, float]]:
    """The rows as they are, in two tables keyed as ours are."""

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)
            for pragma in (
                "journal_mode = WAL",
                "synchronous = NORMAL",
                "cache_size = -32768",
                "wal_autocheckpoint = 4000",
            ):
                connection.execute(f"PRAGMA {pragma}")
            columns = [", ".join(row[0]._fields) for row in rows[0]]
            connection.execute(
                f"CREATE TABLE visit ({columns[0]}, PRIMARY KEY (message_id, route, stage, attempt, execution_id)) WITHOUT ROWID"
            )
            connection.execute(
                f"CREATE TABLE outcome ({columns[1]}, PRIMARY KEY (message_id, route, execution_id)) WITHOUT ROWID"
            )
            with Stopwatch() as watch:
                for entries, outcomes in rows:
                    connection.execute("BEGIN IMMEDIATE")
                    for table, part in (("visit", entries), ("outcome", outcomes)):
                        marks = ", ".join("?" * len(part[0]))
                        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", part)
                    connection.execute("COMMIT")
                connection.close()
            return watch.per(_count(rows))

    return measure


def _finding(rows: Sequence[Batch], times: int) -> Case:
    stored: list[TemporaryDirectory[str]] = []

    async def run() -> Mapping[str, float]:
        if not stored:  # once: the first round, which is a warm-up, stores them
            stored.append(TemporaryDirectory())
        settings = SqliteLineageSettings(path=Path(stored[0].name) / "lineage", segment_bytes=32 << 20)
        sink = SqliteLineage(settings)
        if not settings.path.exists():
            for entries, outcomes in rows:
                await sink.write(entries, outcomes)
            await sink.close()
        reader = sink.reader()
        wanted = [rows[(number * 7919) % len(rows)][0][number % len(rows[0][0])].message_id for number in range(times)]
        await reader.messages(wanted[:1])
        with Stopwatch() as watch:
            for each in wanted:
                if len((await reader.messages([each])).visits) != ROWS_A_MESSAGE - 1:
                    raise RuntimeError("a message is not found whole")
        await reader.close()
        return watch.per(times)

    return Case(
        name="look up",
        answers=f"What does it cost to look up all rows of a message in {_count(rows):,} rows of all segments?",
        metrics=(WALL, CPU),
        subjects=(Subject(name=OURS, measure=lambda: trio.run(run), note="an open reader; files in the page cache"),),
        targets=(at_most("wall", FOUND_US, "us"),),
        rounds=5,
    )
