"""Failures while segments are read: each is one clear error, or costs its own segment."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from factflow_engine.lineage.sqlite import LineageStoreError, SqliteLineage, SqliteLineageSettings, reader, superseded
from factflow_engine.lineage.sqlite.folder import segments
from factflow_engine.testing import lineage_entry, lineage_id, lineage_outcome
from factflow_protocols import LineageSelection

ALL = LineageSelection()


async def two_segments(folder):
    """Write one visit pending in the first segment and completed in the second; return a reader."""
    sink = SqliteLineage(SqliteLineageSettings(path=folder, segment_bytes=1))
    await sink.write([lineage_entry(1, status="pending"), lineage_entry(3)], [])
    await sink.write([lineage_entry(1), lineage_entry(2)], [])
    await sink.close()
    assert len(segments(folder)) == 2
    return sink.reader()


async def statuses(found):
    [stage] = (await found.statistics(ALL)).stages
    return stage.statuses


@pytest.mark.parametrize("is_removed", [False, True])
async def test_a_segment_that_cannot_be_opened_meanwhile_is_left_out(tmp_path, monkeypatch, is_removed):
    found = await two_segments(tmp_path / "l")
    assert await statuses(found) == {"completed": 3}
    [first, _] = [each.path for each in segments(tmp_path / "l")]
    noted = []

    def open_read_only(path: Path) -> sqlite3.Connection:
        if path != first:
            return sqlite3.connect(path)
        if is_removed:
            first.unlink()
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(superseded, "open_read_only", open_read_only)
    monkeypatch.setattr(superseded.Pool, "_note", lambda self, name, problem: noted.append((name, problem)))
    assert sum((await statuses(found)).values()) == 4, "both rows of the visit, because they cannot be compared"
    if is_removed:
        assert noted == []
    else:
        assert {name for name, _ in noted} == {first.name}
        assert "unable to open database file" in noted[0][1]
    await found.close()


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), OSError("no such device")])
async def test_a_failure_of_statistics_is_one_error(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    found = await two_segments(tmp_path / "l")
    monkeypatch.setattr(reader, "statistics", fail)
    with pytest.raises(LineageStoreError, match=str(error)):
        await found.statistics(ALL)
    await found.close()


async def test_a_failure_that_is_no_failure_of_files_is_raised_as_it_is(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    found = await two_segments(tmp_path / "l")
    monkeypatch.setattr(reader, "statistics", fail)
    with pytest.raises(MemoryError):
        await found.statistics(ALL)
    await found.close()


@pytest.mark.parametrize("ask", ["visits", "outcomes", "messages", "find", "children", "statistics"])
async def test_damage_behind_the_first_page_is_said_after_the_answer_that_it_spoils(tmp_path, ask):
    sink = SqliteLineage(SqliteLineageSettings(path=tmp_path / "l", segment_bytes=1))
    for start in (0, 2_000):
        numbers = range(start, start + 2_000)
        await sink.write(list(map(lineage_entry, numbers)), list(map(lineage_outcome, numbers)))
    await sink.close()
    [first, _] = [each.path for each in segments(tmp_path / "l")]
    data = bytearray(first.read_bytes())
    data[3 * 4096 : -4096] = b"U" * (len(data) - 4 * 4096)  # all but the schema and the places
    first.write_bytes(data)
    found = sink.reader()
    assert await found.problems() == (), "nothing was asked for yet"
    for _ in range(2):
        asked = {
            "visits": partial(found.visits, ALL, limit=10),
            "outcomes": partial(found.outcomes, ALL, limit=10),
            "messages": partial(found.messages, [lineage_id(1)]),
            "find": partial(found.find, lineage_id(1).hex()[:2], limit=10),
            "children": partial(found.children, lineage_id(1), limit=10),
            "statistics": partial(found.statistics, ALL),
        }[ask]
        await asked()
        [problem] = await found.problems()
        assert first.name in problem
        assert "is damaged" in problem
    assert await found.problems() == (), "said once"
    await found.close()
