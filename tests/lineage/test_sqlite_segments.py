"""Segments of the SQLite store: when they begin and end, who writes them, and what is kept."""

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from factflow_engine.lineage.retention import KEEP_ALL, Retention
from factflow_engine.lineage.sqlite import LineageStoreError, SqliteLineage, SqliteLineageSettings
from factflow_engine.lineage.sqlite.folder import SegmentFile, expired, segments, sweep
from factflow_engine.seams import Seams, TrioThreads
from factflow_engine.testing import lineage_entry, lineage_id, lineage_outcome
from factflow_protocols import LineageSelection
from support.internals import lineage_connection_of

ALL = LineageSelection()
DAY_NS = 86_400 * 10**9


class HandClock:
    def __init__(self) -> None:
        self.now_ns = 1_790_000_000 * 10**9

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns


def a_sink(folder: Path, clock: HandClock | None = None, **options) -> SqliteLineage:
    return SqliteLineage(
        SqliteLineageSettings(path=folder, **options),
        seams=Seams.real() if clock is None else replace(Seams.real(), clock=clock),
    )


async def rows_in(sink: SqliteLineage) -> list:
    reader = sink.reader()
    try:
        return list(await reader.visits(ALL, limit=100_000))
    finally:
        await reader.close()


async def test_a_segment_ends_by_its_size(tmp_path):
    sink = a_sink(tmp_path / "l", segment_bytes=1 << 16)
    for number in range(8):
        await sink.write([lineage_entry(number * 1_000 + each, detail="x" * 200) for each in range(200)], [])
    await sink.close()
    found = segments(tmp_path / "l")
    assert len(found) == 8
    assert len(await rows_in(sink)) == 1_600


async def test_a_segment_ends_by_its_age(tmp_path):
    clock = HandClock()
    sink = a_sink(tmp_path / "l", clock, segment_seconds=60)
    for _ in range(3):
        await sink.write([lineage_entry(1)], [])
        clock.now_ns += 59 * 10**9
    await sink.close()
    assert len(segments(tmp_path / "l")) == 2
    assert await rows_in(sink) == [lineage_entry(1)]


async def test_a_reopened_store_goes_on_with_its_segment(tmp_path):
    for number in range(5):
        sink = a_sink(tmp_path / "l")
        await sink.write([lineage_entry(number)], [])
        await sink.close()
    assert len(segments(tmp_path / "l")) == 1


@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from(["pending", "completed", "failed"]), st.integers(0, 2)),
            max_size=5,
        ),
        max_size=6,
    )
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_over_many_segments_read_as_one_store(batches, tmp_path_factory):
    """Each batch in a segment of its own, and all in one: the same answers, but for the order of equal times."""

    async def answers(options) -> tuple:
        sink = a_sink(tmp_path_factory.mktemp("l"), **options)
        for time, batch in enumerate(batches):
            rows = [
                lineage_entry(number, status=status, attempt=attempt + 1, started_ns=time + 1)
                for number, status, attempt in batch
            ]
            await sink.write(rows, [lineage_outcome(row.message_id[-1], ended_ns=time + 1) for row in rows])
            await trio.sleep(0.002 if options else 0)
        await sink.close()
        reader = sink.reader()
        pending = LineageSelection(statuses=frozenset({"pending"}))
        found = (
            await reader.visits(ALL, limit=100),
            await reader.visits(pending, limit=100),
            await reader.outcomes(ALL, limit=100),
            await reader.messages([lineage_id(number) for number in range(4)]),
            await reader.statistics(ALL),
            await reader.statistics(pending),
            (
                await reader.sql("SELECT message_id, attempt, status FROM visits ORDER BY 1, 2", limit=100, seconds=60)
            ).rows,
        )
        await reader.close()
        return found

    # Within a batch the last row of a key counts; a batch has at most one of each key here.
    for batch in batches:
        keys = {(number, attempt): (number, status, attempt) for number, status, attempt in batch}
        batch[:] = list(keys.values())
    assert trio.run(answers, {"segment_seconds": 0.001}) == trio.run(answers, {})


async def test_retention_removes_the_oldest_whole_files_while_rows_are_written_and_read(tmp_path, caplog):
    sink = a_sink(tmp_path / "l", segment_bytes=1 << 16, retention_bytes=1 << 19)
    reader = sink.reader()
    for number in range(40):
        rows = [lineage_entry(number * 1_000 + each, detail="x" * 200) for each in range(200)]
        await sink.write(rows, [])
        newest = await reader.messages([rows[-1].message_id])
        assert list(newest.visits) == rows[-1:]
        total = sum(each.size_bytes for each in segments(tmp_path / "l"))
        assert total <= (1 << 19) + 3 * (1 << 17)
    kept = await reader.visits(ALL, limit=100_000)
    assert 200 <= len(kept) < 8_000
    assert list(kept) == sorted(kept, key=lambda row: row.message_id)
    assert kept[-1].message_id == lineage_id(39_199)
    assert await reader.problems() == ()
    assert caplog.messages == []
    await reader.close()
    await sink.close()
    assert {path.suffix for path in (tmp_path / "l").iterdir()} <= {".db", ".db-wal", ".db-shm"}


async def test_retention_by_days_looks_at_the_last_write(tmp_path):
    clock = HandClock()
    clock.now_ns = 0
    sink = a_sink(tmp_path / "l", clock)
    sink.retain(days=8, total_bytes=None)
    await sink.write([lineage_entry(1)], [])
    clock.now_ns = 2 * DAY_NS
    await sink.write([lineage_entry(2)], [])
    [old, new] = segments(tmp_path / "l")
    os.utime(old.path, ns=(0, 0))
    clock.now_ns = 7 * DAY_NS
    await sink.write([lineage_entry(3)], [])
    assert old.path.exists()
    clock.now_ns = 9 * DAY_NS
    await sink.write([lineage_entry(4)], [])
    assert not old.path.exists()
    assert new.path.exists()
    await sink.close()


async def test_old_lineage_that_cannot_be_removed_is_logged_once_and_tried_again(tmp_path, caplog):
    clock = HandClock()
    sink = a_sink(tmp_path / "l", clock, retention_days=1)
    stuck = tmp_path / "l" / "lineage-000000000001-00000000.db"

    async def write_minutes_later(number):
        clock.now_ns += 300 * 10**9
        await sink.write([lineage_entry(number)], [])

    for again in range(2):
        stuck.mkdir(parents=True)  # which removing a file does not remove
        os.utime(stuck, ns=(0, 0))
        for number in range(3):
            await write_minutes_later(10 * again + number)
        [said] = caplog.messages
        assert said.startswith("old lineage was not removed, which will be tried again: ")
        assert stuck.name in said
        caplog.clear()
        stuck.rmdir()
        stuck.touch()
        os.utime(stuck, ns=(0, 0))
        await write_minutes_later(10 * again + 9)
        assert not stuck.exists()
        assert caplog.messages == []
    assert len(await rows_in(sink)) == 8
    await sink.close()


def test_the_most_generous_of_several_retentions_counts():
    assert Retention(days=1, total_bytes=5).widened(Retention(days=3, total_bytes=4)) == Retention(
        days=3, total_bytes=5
    )
    assert Retention(days=1).widened(KEEP_ALL) == KEEP_ALL
    assert Retention(days=1).widened(None) == Retention(days=1)
    files = [SegmentFile(name=f"{n}", path=Path(f"{n}"), size_bytes=10, written_ns=n * DAY_NS) for n in range(5)]
    assert [each.name for each in expired(files, Retention(total_bytes=25), wall_ns=0)] == ["0", "1", "2"]
    assert [each.name for each in expired(files, Retention(total_bytes=1), wall_ns=0)] == ["0", "1", "2", "3"]
    assert [each.name for each in expired(files, Retention(days=1), wall_ns=4 * DAY_NS)] == ["0", "1", "2"]
    assert list(expired(files, KEEP_ALL, wall_ns=99 * DAY_NS)) == []


def test_what_lies_beside_a_removed_segment_is_swept(tmp_path):
    left = tmp_path / "lineage-000000000001-00000000.db-wal"
    other = tmp_path / "notes.db-wal"
    dead = tmp_path / "lineage-000000000002-00000000.db.new"
    fresh = tmp_path / "lineage-000000000003-00000000.db.new"
    for path in (left, other, dead, fresh):
        path.write_bytes(b"x")
    os.utime(dead, ns=(0, 0))
    sweep(tmp_path, wall_ns=fresh.stat().st_mtime_ns + 1)
    assert {path.name for path in tmp_path.iterdir()} == {other.name, fresh.name}


async def test_a_segment_that_another_process_holds_is_not_waited_for(tmp_path):
    """Two writers that turned to a new segment at once met while one made it: SQLite does not wait for that."""
    sink = a_sink(tmp_path / "l")
    await sink.write([lineage_entry(1)], [])
    await sink.close()
    [first] = segments(tmp_path / "l")
    held = sqlite3.connect(first.path, isolation_level=None)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    held.execute("DELETE FROM visit")
    try:
        sink = a_sink(tmp_path / "l", busy_seconds=0.05)
        await sink.write([lineage_entry(2)], [])
        await sink.close()
    finally:
        held.execute("ROLLBACK")
        held.close()
    assert len(segments(tmp_path / "l")) == 2
    assert await rows_in(sink) == [lineage_entry(1), lineage_entry(2)]


WRITER = """
import sys, trio
from pathlib import Path
from factflow_engine.lineage.sqlite import SqliteLineage, SqliteLineageSettings
from factflow_engine.seams import Seams, TrioThreads
from factflow_engine.testing import lineage_entry
async def main(folder, first):
    sink = SqliteLineage(SqliteLineageSettings(path=Path(folder), segment_bytes=1 << 16))
    for number in range(first, first + 2000, 50):
        await sink.write([lineage_entry(each, detail="x" * 100) for each in range(number, number + 50)], [])
        print(number, flush=True)
    if first: await trio.sleep_forever()  # it is killed: nothing is closed
    await sink.close()
trio.run(main, sys.argv[1], int(sys.argv[2]))
"""


def test_two_processes_write_to_one_folder_and_one_is_killed(tmp_path):
    folder = tmp_path / "l"
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(first)], stdout=subprocess.PIPE, text=True)
        for first in (0, 10_000)
    ]
    try:
        for process in both:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout, 1):
                assert line
                if number == 40:
                    break
        both[1].kill()
        assert [process.wait(60) for process in both] == [0, -9]
    finally:
        for process in both:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    async def check() -> None:
        sink = a_sink(folder)
        found = {row.message_id for row in await rows_in(sink)}
        assert found == {lineage_id(first + number) for first in (0, 10_000) for number in range(2_000)}
        await sink.write([lineage_entry(99_999)], [])
        await sink.close()

    trio.run(check)


async def test_callers_take_turns_however_many_threads_there_are(tmp_path):
    seams = replace(Seams.real(), store_threads=lambda _: TrioThreads(8))
    sink = SqliteLineage(SqliteLineageSettings(path=tmp_path / "l", segment_bytes=1 << 16), seams=seams)
    reader = sink.reader()
    async with trio.open_nursery() as nursery:
        for start in range(0, 2_000, 100):
            nursery.start_soon(sink.write, [lineage_entry(number) for number in range(start, start + 100)], [])
            nursery.start_soon(partial(reader.visits, ALL, limit=10))
    await sink.close()
    assert len(await reader.visits(ALL, limit=10_000)) == 2_000
    assert not await reader.problems()
    await reader.close()


async def test_a_removed_folder_is_made_again(tmp_path):
    sink = a_sink(tmp_path / "l")
    await sink.write([lineage_entry(1)], [])
    for path in (tmp_path / "l").iterdir():
        path.unlink()
    (tmp_path / "l").rmdir()
    await sink.write([lineage_entry(2)], [])
    assert await rows_in(sink) == [lineage_entry(2)]
    await sink.close()


async def test_a_damaged_segment_is_left_and_the_next_begun(tmp_path, caplog):
    sink = a_sink(tmp_path / "l")
    await sink.write([lineage_entry(1)], [])
    await sink.close()
    [first] = segments(tmp_path / "l")
    first.path.write_bytes(b"no database at all" * 1_000)
    sink = a_sink(tmp_path / "l")
    await sink.write([lineage_entry(2)], [])
    await sink.close()
    [record] = caplog.records
    assert record.getMessage().startswith(f"a new lineage segment is begun: lineage '{first.path}' is damaged")
    assert first.path.read_bytes().startswith(b"no database")
    reader = sink.reader()
    assert list(await reader.visits(ALL, limit=10)) == [lineage_entry(2)]
    [problem] = await reader.problems()
    assert first.name in problem
    assert "damaged" in problem
    await reader.close()


@given(damage=st.tuples(st.sampled_from(["flip", "cut", "zero"]), st.integers(0, 1 << 24), st.integers(1, 5_000)))
@example(damage=("flip", 2721, 1))  # SQLite's own words about it are no UTF-8
@example(damage=("flip", 39423, 287))  # lengths beyond all memory
@example(damage=("flip", 36969, 2391))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_costs_that_segment_at_most(damage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("l")

    async def write(numbers) -> None:
        sink = a_sink(folder, segment_seconds=0.001)
        await sink.write([lineage_entry(number) for number in numbers], [lineage_outcome(number) for number in numbers])
        await sink.close()
        await trio.sleep(0.002)

    async def check() -> None:
        await write(range(300))
        await write(range(1_000, 1_010))
        hurt = segments(folder)[0].path
        content = bytearray(hurt.read_bytes())
        kind, number, length = damage
        place = number % len(content)
        if kind == "cut":
            content = content[:place]
        else:
            end = place + length
            content[place:end] = bytes(len(content[place:end])) if kind == "zero" else b"\xff" * len(content[place:end])
        hurt.write_bytes(content)
        sink = a_sink(folder, segment_seconds=0.001)
        reader = sink.reader()
        found = await reader.visits(LineageSelection(newest_first=True), limit=10)
        assert [row.message_id for row in found] == [lineage_id(number) for number in range(1_009, 999, -1)]
        await reader.statistics(ALL)
        await reader.messages([lineage_id(5), lineage_id(1_005)])
        await reader.find("0", limit=5)
        await reader.children(lineage_id(5), limit=5)
        await reader.close()
        await sink.write([lineage_entry(2_000)], [])
        await sink.close()

    trio.run(check)


async def test_later_versions_and_other_files_are_left_alone(tmp_path, caplog):
    folder = tmp_path / "l"
    sink = a_sink(folder)
    await sink.write([lineage_entry(1)], [])
    await sink.close()
    [first] = segments(folder)
    connection = sqlite3.connect(first.path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    other = folder / "lineage-ffffffffffff-00000000.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    (folder / "lineage-fffffffffff0-00000000.db").touch()
    (folder / "README").write_text("mine")
    before = other.read_bytes()
    sink = a_sink(folder)
    await sink.write([lineage_entry(2)], [])
    await sink.close()
    [record] = caplog.records
    assert "another program's" in record.getMessage()
    assert other.read_bytes()[96:] == before[96:] or other.stat().st_size == len(before)
    reader = sink.reader()
    assert list(await reader.visits(ALL, limit=10)) == [lineage_entry(2)]
    problems = " ".join(await reader.problems())
    assert "version 99" in problems
    assert "another program's" in problems
    await reader.close()


async def test_a_file_in_the_folders_place_is_one_clear_error(tmp_path):
    (tmp_path / "l").write_text("x")
    sink = a_sink(tmp_path / "l")
    with pytest.raises(LineageStoreError, match="is a file; expected a folder"):
        await sink.write([lineage_entry(1)], [])
    reader = sink.reader()
    with pytest.raises(LineageStoreError, match="is a file; expected a folder"):
        await reader.visits(ALL, limit=1)
    await reader.close()
    with pytest.raises(LineageStoreError, match="a part of its path is a file"):
        await a_sink(tmp_path / "l" / "deeper").write([lineage_entry(1)], [])


async def test_a_full_disk_stores_nothing_and_the_next_write_all(tmp_path, monkeypatch):
    sink = a_sink(tmp_path / "l")
    await sink.write([lineage_entry(1)], [])
    lineage_connection_of(sink).execute("PRAGMA max_page_count = 1")
    big = [lineage_entry(number, detail="x" * 10_000) for number in range(2, 100)]
    with pytest.raises(LineageStoreError, match="no room left"):
        await sink.write(big, [])
    assert await rows_in(sink) == [lineage_entry(1)]
    await sink.write(big, [])
    assert len(await rows_in(sink)) == 99
    await sink.close()


async def test_values_that_no_row_can_have_are_one_clear_error(tmp_path):
    sink = a_sink(tmp_path / "l")
    for row, said in (
        (lineage_entry(1, duration_ns=1 << 64), "too large"),
        (lineage_entry(1, status="odd"), "expected a status out of"),
    ):
        with pytest.raises(LineageStoreError, match=said):
            await sink.write([lineage_entry(2), row], [])
    with pytest.raises(LineageStoreError, match="expected an outcome out of"):
        await sink.write([lineage_entry(2)], [lineage_outcome(1, outcome="odd")])
    assert await rows_in(sink) == []
    await sink.write([lineage_entry(1, detail="half of a pair: \ud83d")], [])
    assert await rows_in(sink) == [lineage_entry(1, detail="half of a pair: \\ud83d")]
    await sink.close()


async def test_a_sealed_segment_is_read_where_nothing_can_be_written(tmp_path):
    folder = tmp_path / "l"
    sink = a_sink(folder)
    await sink.write([lineage_entry(1)], [])
    await sink.close()
    [segment] = segments(folder)
    assert {path.name for path in folder.iterdir()} == {segment.name}
    segment.path.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert await rows_in(sink) == [lineage_entry(1)]
        assert await rows_in(a_sink(segment.path)) == [lineage_entry(1)], "one segment alone"
        if os.geteuid():  # root may write anywhere
            with pytest.raises(LineageStoreError, match="read-only"):
                await a_sink(folder).write([lineage_entry(2)], [])
    finally:
        folder.chmod(0o700)


async def test_sql_sees_more_segments_than_sqlite_attaches(tmp_path):
    sink = a_sink(tmp_path / "l", segment_seconds=0.001)
    for number in range(15):
        await sink.write([lineage_entry(number, status="pending"), lineage_entry(number + 1)], [])
        await trio.sleep(0.002)
    await sink.close()
    assert len(segments(tmp_path / "l")) == 15
    reader = sink.reader()
    result = await reader.sql("SELECT status, count(*) FROM visits GROUP BY 1 ORDER BY 1", limit=9, seconds=60)
    assert [tuple(row) for row in result.rows] == [("completed", 15), ("pending", 1)]
    for query in (
        "ATTACH 'x.db' AS x", "PRAGMA user_version", "PRAGMA query_only = OFF", "INSERT INTO copied_visits SELECT * FROM visits",
        "SELECT load_extension('x')", "VACUUM INTO 'copy.db'", "BEGIN", "DETACH segment0", "CREATE TEMP TABLE t (x)",
        "WITH x AS (SELECT 1) DELETE FROM segment0.visit", "SELECT zeroblob(1000000000)",
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"expected a query|the query failed"):
            await reader.sql(query, limit=1, seconds=60)
    await reader.close()
    assert len(await rows_in(sink)) == 16
