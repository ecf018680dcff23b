"""Checks for every lineage store whose rows can be read, for authors of one.

Each check is an async function that takes a function to open an empty store, tests one behaviour, and raises
`ConformanceError` with the expected and the actual value. They are free of any test framework; `check_lineage_sink`
runs all of them, and this makes each a test of its own:

    @pytest.mark.parametrize("check", LINEAGE_CHECKS, ids=check_name)
    async def test_conformance(check):
        await check(lambda: open_my_store())

Kept separate from the checks of queues because a deployment may have only one of them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import trio

from factflow_engine.testing.conformance.expectations import SOON_SECONDS, ConformanceError, expect
from factflow_engine.testing.conformance.lineage_rows import lineage_entry, lineage_id, lineage_outcome
from factflow_protocols import (
    LineageEntry,
    LineageError,
    LineageReader,
    LineageSelection,
    LineageSink,
    OutcomeEntry,
    ReadableLineage,
    StageStatus,
)

OpenLineage: TypeAlias = Callable[[], AbstractAsyncContextManager[LineageSink]]
"""Opener of a store, which is closed on exit. It is empty at the first opening of a check, and the same one at the
next."""

LineageCheck: TypeAlias = Callable[[OpenLineage], Awaitable[None]]

_ALL: Final = LineageSelection()
_HOSTILE: Final = "x'); DROP TABLE visit; -- \" % _ \\N \t \n é 😀 \u202e"


def _child(number: int, parent: int, salt: int) -> LineageEntry:
    """Return a visit of a child, whose id has its parent's time."""
    child = lineage_id(parent)[:6] + salt.to_bytes(10)
    return lineage_entry(number, message_id=child, parent_id=lineage_id(parent), correlation_id=lineage_id(parent))


async def rows_come_back_as_they_were_written(open_lineage: OpenLineage) -> None:
    """Check all fields, with every optional one there and missing, and with texts of any kind."""
    full = lineage_entry(
        1,
        route=_HOSTILE,
        stage=_HOSTILE,
        position=7,
        parent_id=lineage_id(0),
        attempt=3,
        status="failed",
        duration_ns=1 << 60,
        waited_ns=1 << 60,
        waited_for=_HOSTILE,
        input_hash=b"\xff" * 16,
        output_hash=b"\x01" * 16,
        detail=_HOSTILE * 1_000,
    )
    entries = [full, lineage_entry(2), lineage_entry(3, output_hash=b"o" * 16), lineage_entry(4, input_hash=b"i" * 16)]
    entries += [lineage_entry(5, stage=status.value, status=status.value) for status in StageStatus]
    outcomes = [
        lineage_outcome(number, outcome=outcome, attempts=2, emitted=1 << 40, detail=detail)
        for number, (outcome, detail) in enumerate(
            [("completed", None), ("filtered", "{}"), ("dead_lettered", _HOSTILE), ("failed", None)], start=1
        )
    ]
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write(entries, outcomes)
        for number in range(1, 6):
            found = await reader.messages([lineage_id(number)])
            expect(
                sorted(found.visits),
                sorted(row for row in entries if row.message_id == lineage_id(number)),
                "the visits",
            )
            expect(
                list(found.outcomes), [row for row in outcomes if row.message_id == lineage_id(number)], "the outcomes"
            )
        expect(tuple(map(list, await reader.messages([lineage_id(99)]))), ([], []), "rows of an unknown message")
        expect(await reader.problems(), (), "problems")


async def rows_are_there_after_reopening(open_lineage: OpenLineage) -> None:
    """Check that closing loses nothing, and that nothing to write is not an error."""
    async with open_lineage() as sink:
        await sink.write([lineage_entry(1)], [])
        await sink.write([], [lineage_outcome(1)])
        await sink.write([], [])
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(2)], [])
        expect(list(await reader.visits(_ALL, limit=10)), [lineage_entry(1), lineage_entry(2)], "the visits")
        expect(list(await reader.outcomes(_ALL, limit=10)), [lineage_outcome(1)], "the outcomes")


async def a_later_row_replaces_the_former(open_lineage: OpenLineage) -> None:
    """Check it within a batch, in a later batch and after reopening."""
    pending, ended = lineage_entry(1, status="pending", duration_ns=0), lineage_entry(1)
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([pending, ended], [lineage_outcome(1, outcome="failed"), lineage_outcome(1)])
        expect(list(await reader.visits(_ALL, limit=10)), [ended], "a visit that ended within the batch")
        expect(list(await reader.outcomes(_ALL, limit=10)), [lineage_outcome(1)], "an outcome that came twice")
        await sink.write([lineage_entry(2, status="pending")], [])
        await sink.write([lineage_entry(2)], [])
        await sink.write([lineage_entry(3, status="pending")], [lineage_outcome(3)])
    again = lineage_outcome(3, outcome="failed", ended_ns=lineage_outcome(3).ended_ns + 1)
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(3)], [again])
        found = await reader.visits(_ALL, limit=10)
        expect(list(found), [lineage_entry(number) for number in (1, 2, 3)], "the visits")
        expect(list((await reader.messages([lineage_id(3)])).outcomes), [again], "the later outcome")
        selection = LineageSelection(statuses=frozenset({"pending"}))
        expect(list(await reader.visits(selection, limit=10)), [], "visits that are still pending")
        statistics = await reader.statistics(_ALL)
        expect([stage.statuses for stage in statistics.stages], [{"completed": 3}], "counts of visits")
        expect([route.outcomes for route in statistics.routes], [{"completed": 1, "failed": 1}], "counts of outcomes")


async def rows_of_other_keys_stay(open_lineage: OpenLineage) -> None:
    """Check that another execution, route, stage or attempt is another row."""
    entries = [
        lineage_entry(1),
        lineage_entry(1, execution_id="e2"),
        lineage_entry(1, route="other"),
        lineage_entry(1, stage="other", position=1),
        lineage_entry(1, attempt=2),
    ]
    outcomes = [lineage_outcome(1), lineage_outcome(1, execution_id="e2"), lineage_outcome(1, route="other")]
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write(entries, outcomes)
        found = await reader.messages([lineage_id(1)])
        expect(sorted(found.visits), sorted(entries), "the visits")
        expect(sorted(found.outcomes), sorted(outcomes), "the outcomes")


async def ids_are_found_by_their_beginnings(open_lineage: OpenLineage) -> None:
    """Check prefixes of odd and even length, ids with only an outcome, and texts that are no prefix."""
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(1), lineage_entry(1, attempt=2)], [lineage_outcome(2)])
        both = [lineage_id(1), lineage_id(2)]
        for length in (1, 8, 11):
            found = await reader.find(lineage_id(1).hex()[:length], limit=10)
            expect(list(found), both, f"ids that begin with {length} digits")
        expect(list(await reader.find(lineage_id(1).hex()[:8], limit=1)), both[:1], "the first id")
        expect(list(await reader.find(lineage_id(2).hex().upper(), limit=10)), both[1:], "a whole id in capitals")
        expect(list(await reader.find("f" * 32, limit=10)), [], "an unknown id")
        for text in ("", "xyz", "0" * 33, "' OR 1", "é"):
            await _refused(reader.find(text, limit=1), f"the prefix {text!r}")


async def children_are_found(open_lineage: OpenLineage) -> None:
    """Check children in order, by pages, with and without an end, and none that are others'."""
    visits = [_child(1, 1, salt) for salt in (9, 3, 5)]
    ended = lineage_outcome(1, message_id=lineage_id(1)[:6] + b"\xff" * 10, parent_id=lineage_id(1))
    stranger = _child(1, 2, 4)
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(1), lineage_entry(2), *visits, stranger], [ended])
        ids = sorted([*(row.message_id for row in visits), ended.message_id])
        expect(list(await reader.children(lineage_id(1), limit=10)), ids, "children")
        expect(list(await reader.children(lineage_id(1), limit=2)), ids[:2], "the first children")
        expect(list(await reader.children(lineage_id(1), after=ids[1], limit=10)), ids[2:], "the others")
        expect(list(await reader.children(stranger.message_id, limit=10)), [], "children of a message that has none")


async def pages_are_complete_and_in_order(open_lineage: OpenLineage) -> None:
    """Check that pages of any size have each row once, in both directions."""
    entries = [
        lineage_entry(number, stage=stage, position=position, attempt=attempt, execution_id=execution)
        for number in range(4)
        for position, stage in enumerate(("a", "b"))
        for attempt in (1, 2)
        for execution in ("e1", "e2")
    ]
    outcomes = [lineage_outcome(number, route=route) for number in range(5) for route in ("a", "b")]
    async with open_lineage() as sink, _reader(sink) as reader:
        for start in range(4):
            await sink.write(entries[start::4], [])
        await sink.write([], outcomes)
        for newest_first in (False, True):
            selection = LineageSelection(newest_first=newest_first)
            for size in (1, 3, 1_000):
                visits = [row async for row in _paged(reader.visits, selection, size)]
                expect(visits, sorted(entries, key=_visit_key, reverse=newest_first), f"visits in pages of {size}")
                ends = [row async for row in _paged(reader.outcomes, selection, size)]
                expect(ends, sorted(outcomes, key=_end_key, reverse=newest_first), f"outcomes in pages of {size}")


async def selections_select(open_lineage: OpenLineage) -> None:
    """Check each field of a selection, on pages and on statistics."""
    entries = [
        lineage_entry(1),
        lineage_entry(2, execution_id="e2", status="failed"),
        lineage_entry(3, route="other", status="skipped", duration_ns=0),
        lineage_entry(4, stage=_HOSTILE, position=1),
        _child(5, 1, 7),
    ]
    outcomes = [lineage_outcome(1), lineage_outcome(2, execution_id="e2", outcome="failed")]
    outcomes.append(lineage_outcome(3, route="other", outcome="dead_lettered"))
    cases: list[tuple[LineageSelection, list[int], list[int]]] = [
        (LineageSelection(execution_id="e2"), [1], [1]),
        (LineageSelection(route="other"), [2], [2]),
        (LineageSelection(stage=_HOSTILE), [3], [0, 1, 2]),
        (LineageSelection(statuses=frozenset({"failed", "skipped"})), [1, 2], [0, 1, 2]),
        (LineageSelection(statuses=frozenset({"failed"})), [1], [0, 1, 2]),
        (LineageSelection(outcomes=frozenset({"completed", "failed"})), [0, 1, 2, 3, 4], [0, 1]),
        (LineageSelection(outcomes=frozenset({"failed", "dead_lettered"})), [0, 1, 2, 3, 4], [1, 2]),
        (LineageSelection(correlation_id=lineage_id(1)), [0, 4], [0]),
        (LineageSelection(since_ns=entries[1].started_ns), [1, 2, 3, 4], [1, 2]),
        (LineageSelection(until_ns=entries[1].started_ns), [0], [0]),
        (LineageSelection(execution_id="x' OR '1'='1"), [], []),
    ]
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write(entries, outcomes)
        for selection, visits, ends in cases:
            expected = sorted((entries[place] for place in visits), key=_visit_key)
            expect(list(await reader.visits(selection, limit=100)), expected, f"visits of {selection}")
            found = list(await reader.outcomes(selection, limit=100))
            expect(found, [outcomes[place] for place in ends], f"outcomes of {selection}")
            statistics = await reader.statistics(selection)
            counted = sum(sum(stage.statuses.values()) for stage in statistics.stages)
            expect(counted, len(visits), f"number of visits of {selection}")
            counted = sum(sum(route.outcomes.values()) for route in statistics.routes)
            expect(counted, len(ends), f"number of outcomes of {selection}")


async def statistics_describe_stages(open_lineage: OpenLineage) -> None:
    """Check counts, durations and waits; durations to two digits."""
    entries = [lineage_entry(number, duration_ns=number * 1_000_000) for number in range(1, 101)]
    entries += [lineage_entry(200, status="failed", duration_ns=10_000_000_000, waited_ns=5, waited_for="permit")]
    entries += [lineage_entry(200, attempt=2, duration_ns=1_000_000, waited_ns=7, waited_for="retry")]
    entries += [lineage_entry(201, stage="next", position=1, status="skipped", duration_ns=0)]
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write(entries, [lineage_outcome(1), lineage_outcome(2, outcome="filtered")])
        statistics = await reader.statistics(_ALL)
        expect(
            [(each.stage, each.position) for each in statistics.stages], [("markdown", 0), ("next", 1)], "the stages"
        )
        first, second = statistics.stages
        expect(first.statuses, {"completed": 101, "failed": 1}, "states")
        expect((first.retried, first.calls, first.waited_ns), (1, 102, 12), "retried, calls and waits")
        expect(first.waits, {"permit": 1, "retry": 1}, "what was waited for")
        for got, exact in ((first.p50_ns, 50e6), (first.p99_ns, 99e6), (first.most_ns, 10e9)):
            if not 0.95 * exact <= got <= 1.05 * exact:
                raise ConformanceError(f"a duration: expected about {exact:,.0f} ns, got {got:,} ns")
        expect((second.statuses, second.calls, second.p50_ns), ({"skipped": 1}, 0, 0), "a stage that was skipped")
        expect([each.outcomes for each in statistics.routes], [{"completed": 1, "filtered": 1}], "the routes")


async def sql_reads_and_only_reads(open_lineage: OpenLineage) -> None:
    """Check a query, its limits, and that nothing but reading is possible."""
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(number) for number in range(5)], [lineage_outcome(1, outcome="failed")])
        result = await reader.sql(
            "SELECT route, count(*) AS visits FROM visits GROUP BY route", limit=10, seconds=SOON_SECONDS
        )
        expect(
            (list(result.columns), [tuple(row) for row in result.rows]),
            (["route", "visits"], [("parse", 5)]),
            "a result",
        )
        result = await reader.sql("SELECT message_id FROM visits ORDER BY message_id", limit=2, seconds=SOON_SECONDS)
        found = [bytes(row[0]) for row in result.rows if isinstance(row[0], (bytes, memoryview))]
        expect((found, result.more), ([lineage_id(0), lineage_id(1)], True), "a result that was cut")
        failed = await reader.sql("SELECT outcome FROM outcomes", limit=2, seconds=SOON_SECONDS)
        expect(([tuple(row) for row in failed.rows], failed.more), ([("failed",)], False), "outcomes")
        for query in (
            "DELETE FROM visits",
            "DROP VIEW visits",
            "CREATE TABLE x (y int)",
            "SELECT 1; SELECT 2",
            "",
            "nonsense",
        ):
            await _refused(reader.sql(query, limit=1, seconds=SOON_SECONDS), f"the query {query!r}")
        expect(len(await reader.visits(_ALL, limit=10)), 5, "visits after all that")


async def sql_is_stopped(open_lineage: OpenLineage) -> None:
    """Check that a query without end is stopped by its time, and by cancellation, and that others run after it."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    async with open_lineage() as sink, _reader(sink) as reader:
        await sink.write([lineage_entry(1)], [])
        with trio.fail_after(SOON_SECONDS):
            await _refused(reader.sql(endless, limit=1, seconds=0.05), "a query without end")
            with trio.move_on_after(0.05) as scope:
                await reader.sql(endless, limit=1, seconds=SOON_SECONDS * 10)
            expect(scope.cancelled_caught, True, "cancellation")
        result = await reader.sql("SELECT 1 AS one", limit=1, seconds=SOON_SECONDS)
        expect([tuple(row) for row in result.rows], [(1,)], "the next result")


async def two_writers_write_at_once(open_lineage: OpenLineage) -> None:
    """Check that two openings write side by side and lose nothing."""

    async def write(sink: LineageSink, first: int) -> None:
        for number in range(first, first + 200, 10):
            await sink.write(
                [lineage_entry(each) for each in range(number, number + 10)],
                [lineage_outcome(each) for each in range(number, number + 10)],
            )

    async with open_lineage() as one, open_lineage() as other, _reader(one) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, one, 0)
            nursery.start_soon(write, other, 200)
        visits = [row async for row in _paged(reader.visits, _ALL, 150)]
        expect(visits, [lineage_entry(number) for number in range(400)], "the visits of both")
        expect(len(await reader.outcomes(_ALL, limit=1_000)), 400, "outcomes of both")


async def a_cancelled_write_is_whole(open_lineage: OpenLineage) -> None:
    """Check that all rows of a cancelled write are stored, or none, and that the next one is stored."""
    async with open_lineage() as sink, _reader(sink) as reader:
        for turn in range(8):
            rows = [lineage_entry(turn * 1_000 + number, execution_id=f"t{turn}") for number in range(500)]
            with trio.move_on_after(0.001 * turn):
                await sink.write(rows, [])
            found = await reader.visits(LineageSelection(execution_id=f"t{turn}"), limit=1_000)
            if len(found) not in (0, 500):
                raise ConformanceError(f"a cancelled write: expected 0 or 500 rows, got {len(found)}")
        await sink.write([lineage_entry(1)], [])
        expect(list((await reader.messages([lineage_id(1)])).visits)[:1], [lineage_entry(1)], "the next write")


async def a_reader_of_nothing_finds_nothing(open_lineage: OpenLineage) -> None:
    """Check that a store without rows can be read."""
    async with open_lineage() as sink, _reader(sink) as reader:
        expect(list(await reader.find("0", limit=1)), [], "ids")
        expect(list(await reader.visits(_ALL, limit=1)), [], "visits")
        expect(tuple(map(list, await reader.statistics(_ALL))), ([], []), "statistics")
        result = await reader.sql("SELECT count(*) FROM outcomes", limit=1, seconds=SOON_SECONDS)
        expect([tuple(row) for row in result.rows], [(0,)], "a count")


LINEAGE_CHECKS: Final[tuple[LineageCheck, ...]] = (
    rows_come_back_as_they_were_written,
    rows_are_there_after_reopening,
    a_later_row_replaces_the_former,
    rows_of_other_keys_stay,
    ids_are_found_by_their_beginnings,
    children_are_found,
    pages_are_complete_and_in_order,
    selections_select,
    statistics_describe_stages,
    sql_reads_and_only_reads,
    sql_is_stopped,
    two_writers_write_at_once,
    a_cancelled_write_is_whole,
    a_reader_of_nothing_finds_nothing,
)
"""All checks."""


@asynccontextmanager
async def _reader(sink: LineageSink) -> AsyncIterator[LineageReader]:
    if not isinstance(sink, ReadableLineage):
        raise ConformanceError(f"expected a store that can be read (ReadableLineage), got {type(sink).__name__}")
    reader = sink.reader()
    try:
        yield reader
    finally:
        await reader.close()


async def _paged(page: Any, selection: LineageSelection, size: int) -> AsyncIterator[Any]:
    after = None
    while found := await page(selection, after=after, limit=size):
        if len(found) > size:
            raise ConformanceError(f"a page: expected at most {size} rows, got {len(found)}")
        for row in found:
            yield row
        after = found[-1]


async def _refused(call: Awaitable[object], what: str) -> None:
    try:
        came = await call
    except LineageError:
        return
    raise ConformanceError(f"{what}: expected LineageError, got {came!r}")


def _visit_key(row: LineageEntry) -> tuple[Any, ...]:
    return row.message_id, row.route, row.stage, row.attempt, row.execution_id


def _end_key(row: OutcomeEntry) -> tuple[Any, ...]:
    return row.message_id, row.route, row.execution_id
