"""Each conformance check fails on a store that does the wrong thing: none of them passes whatever a store does."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from factflow_engine.lineage.sqlite import SqliteLineage, SqliteLineageReader, SqliteLineageSettings
from factflow_engine.testing import LINEAGE_CHECKS, ConformanceError, check_name, lineage_entry
from factflow_protocols import LineageEntry, QueryResult


class Wrong(SqliteLineage):
    """A store whose writes and answers a test changes."""

    change: ClassVar[dict[str, Callable[..., Any]]] = {}

    async def write(self, entries, outcomes) -> None:
        if "write" in self.change:
            entries, outcomes = self.change["write"](list(entries), list(outcomes))
        if "slow write" in self.change:
            for entry in entries:
                await trio.sleep(0.0002)
                await super().write([entry], [])
            entries = []
        await super().write(entries, outcomes)

    def reader(self):
        return WrongReader(super().reader(), self.change)


class WrongReader:
    def __init__(self, right: SqliteLineageReader, change) -> None:
        self.right, self.change = right, change

    def __getattr__(self, name: str):
        method = getattr(self.right, name)
        if name not in self.change:
            return method

        async def changed(*arguments, **options):
            return self.change[name](await method(*arguments, **options))

        return changed


class Forgetful(Wrong):
    async def close(self) -> None:
        await super().close()
        for path in self.folder.glob("*"):
            path.unlink()


def forget(row: LineageEntry) -> LineageEntry:
    return row._replace(output_hash=None)


async def no_error(*_arguments, **_options) -> QueryResult:
    return QueryResult(["one"], [(1,)], False)


WRONGS = {
    "rows_come_back_as_they_were_written": (Wrong, {"write": lambda e, o: (list(map(forget, e)), o)}),
    "rows_are_there_after_reopening": (Forgetful, {}),
    "a_later_row_replaces_the_former": (Wrong, {"write": lambda e, o: (e[::-1], o)}),
    "rows_of_other_keys_stay": (Wrong, {"write": lambda e, o: ([row._replace(attempt=1) for row in e], o)}),
    "ids_are_found_by_their_beginnings": (Wrong, {"find": lambda found: found[:1]}),
    "children_are_found": (Wrong, {"children": lambda found: found[::-1]}),
    "pages_are_complete_and_in_order": (Wrong, {"visits": lambda found: found[::-1]}),
    "selections_select": (Wrong, {"outcomes": lambda found: found[:1]}),
    "statistics_describe_stages": (
        Wrong,
        {"statistics": lambda found: found._replace(stages=[each._replace(p99_ns=1) for each in found.stages])},
    ),
    "sql_reads_and_only_reads": (Wrong, {"sql": lambda found: found._replace(more=False)}),
    "sql_is_stopped": (Wrong, {"sql": lambda found: found._replace(rows=[])}),
    "two_writers_write_at_once": (Wrong, {"write": lambda e, o: (e[1:], o)}),
    "a_cancelled_write_is_whole": (Wrong, {"slow write": None}),
    "a_reader_of_nothing_finds_nothing": (Wrong, {"visits": lambda _: [lineage_entry(1)]}),
}


def test_each_check_has_a_wrong_store():
    assert set(WRONGS) == set(map(check_name, LINEAGE_CHECKS))


@pytest.mark.parametrize("check", LINEAGE_CHECKS, ids=check_name)
async def test_a_wrong_store_fails_the_check(check, tmp_path: Path):
    kind, change = WRONGS[check_name(check)]

    @asynccontextmanager
    async def opened():
        sink = kind(SqliteLineageSettings(path=tmp_path / "l"))
        sink.change = change
        try:
            yield sink
        finally:
            await sink.close()

    with pytest.raises(ConformanceError):
        await check(opened)
