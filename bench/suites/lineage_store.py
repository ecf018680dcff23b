"""What a lineage row costs in SQLite segments, stored and found, beside sqlite3 by hand.

Batches of 8,000 rows (2,000 messages of three stages). Rates are the inverse of the wall figures: 10 us a row are
100,000 a second. `python -m bench.programs.lineage_soak` measures ten minutes of it, and look-ups in ten million rows.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench import servers
from bench.model import OURS, Case, Scale, Subject, at_most, within
from bench.timing import CPU, WALL, Stopwatch
from bench.workloads.lineage_rows import ROWS_A_MESSAGE, Batch, batches
from factflow_engine.lineage.sqlite import SqliteLineage, SqliteLineageSettings
from factflow_protocols import LineageReader, LineageSelection, ReadableLineage

PLAIN = "sqlite3 by hand"
POSTGRES = "PostgreSQL"
STORED_US = 1e6 / 100_000
FOUND_US = 2_000.0


def cases(scale: Scale) -> list[Case]:
    """Storing, with and without retention, looking up, and summing."""
    rows = batches(scale.of(400_000, least=scale.asked(40_000, tiny=400)), at_a_time=scale.asked(2_000, tiny=100))
    found = batches(scale.of(2_000_000, least=scale.asked(200_000, tiny=400)), at_a_time=scale.asked(2_000, tiny=100))
    stores = _stores(found)
    return [_storing(rows), _looking_up(stores, scale.asked(500, tiny=5)), _summing(stores)]


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
            *_in_postgres(rows),
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
        if len((await reader.messages([last])).visits) != ROWS_A_MESSAGE - 1:
            raise RuntimeError("the last message is not stored whole")
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


def _in_postgres(rows: Sequence[Batch]) -> list[Subject]:
    if not servers.is_there():
        return []

    async def run(url: str) -> Mapping[str, float]:
        sink = servers.open_store(url)
        with Stopwatch() as watch:
            for entries, outcomes in rows:
                await sink.write(entries, outcomes)
            await sink.close()
        return watch.per(_count(rows))

    def measure() -> Mapping[str, float]:
        with servers.schema() as url:
            return trio.run(run, url)

    return [Subject(name=POSTGRES, measure=measure, note="COPY and upsert; without the server's own processor time")]


class _Stored:
    """Rows that lie in a store, for many readings; the first round, which is a warm-up, stores them."""

    def __init__(self, rows: Sequence[Batch], make: Callable[[], ReadableLineage]) -> None:
        self.rows = rows
        self._make = make
        self._sink: ReadableLineage | None = None

    async def reader(self) -> LineageReader:
        if self._sink is None:
            sink = self._make()
            for entries, outcomes in self.rows:
                await sink.write(entries, outcomes)
            await sink.close()
            self._sink = sink
        return self._sink.reader()

    async def look_up(self, times: int) -> Mapping[str, float]:
        reader, rows = await self.reader(), self.rows
        wanted = [rows[(number * 7919) % len(rows)][0][number % len(rows[0][0])].message_id for number in range(times)]
        await reader.messages(wanted[:1])
        with Stopwatch() as watch:
            for each in wanted:
                if len((await reader.messages([each])).visits) != ROWS_A_MESSAGE - 1:
                    raise RuntimeError("a message is not found whole")
        await reader.close()
        return watch.per(times)

    async def sum(self) -> Mapping[str, float]:
        reader = await self.reader()
        with Stopwatch() as watch:
            found = await reader.statistics(LineageSelection())
        await reader.close()
        if sum(sum(route.outcomes.values()) for route in found.routes) * ROWS_A_MESSAGE != _count(self.rows):
            raise RuntimeError(f"not all messages are in the sum: {found}")
        return watch.per(_count(self.rows))


def _stores(rows: Sequence[Batch]) -> list[tuple[str, str, _Stored]]:
    """Return the stores that are there, with their names and notes."""
    folders: list[TemporaryDirectory[str]] = []

    def in_files() -> ReadableLineage:
        folders.append(TemporaryDirectory())
        return SqliteLineage(SqliteLineageSettings(path=Path(folders[0].name) / "lineage", segment_bytes=32 << 20))

    stores = [(OURS, "an open reader; files in the page cache", _Stored(rows, in_files))]
    if servers.is_there():
        stores.append((POSTGRES, "an open connection on loopback", _Stored(rows, servers.store_until_exit)))
    return stores


def _looking_up(stores: Sequence[tuple[str, str, _Stored]], times: int) -> Case:
    count = _count(stores[0][2].rows)
    return Case(
        name="look up",
        answers=f"What does it cost to look up all rows of a message in {count:,} rows of all segments?",
        metrics=(WALL, CPU),
        subjects=tuple(
            Subject(name=name, measure=lambda store=store: trio.run(store.look_up, times), note=note)  # type: ignore[misc]
            for name, note, store in stores
        ),
        targets=(at_most("wall", FOUND_US, "us"),),
        rounds=5,
    )


def _summing(stores: Sequence[tuple[str, str, _Stored]]) -> Case:
    count = _count(stores[0][2].rows)
    return Case(
        name="statistics",
        answers=f"What does a row cost in the statistics of all {count:,} rows?",
        metrics=(WALL, CPU),
        subjects=tuple(
            Subject(name=name, measure=lambda store=store: trio.run(store.sum), note=note)  # type: ignore[misc]
            for name, note, store in stores
        ),
        rounds=5,
    )
