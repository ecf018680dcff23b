"""`write_jsonl` where messages outlive the process: what is acknowledged is in the file, once, whatever dies."""

import os
import sqlite3

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import _staging, write_jsonl
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from support.internals import connection_of_staging, staging_connection

REGISTRY = ValidatingAdapterRegistry()


async def opened(folder, *, resumed=False, existing="replace", **where):
    adapter = REGISTRY.create("write_jsonl", {"path": "out.jsonl", "existing": existing})
    await open_stage(adapter, folder, durable=True, resumed=resumed, **where)
    return adapter


async def handle(adapter, *numbers):
    for number in numbers:
        await outputs(adapter, FakeContext(number, message_id=f"{number:032x}"))


def die(adapter):
    """Lose what is in the process's memory, as a kill does; the system closes its files."""
    staging_connection(adapter).close()


def numbers_in(folder):
    return [int(line) for line in (folder / "out.jsonl").read_text().split()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Fleet:
    """Processes that share one execution: handle, acknowledge, die, leave and come."""

    def __init__(self, folder, existing):
        self.folder, self.existing = folder, existing
        self.held = {}  # by process, what it has handled and not had acknowledged
        self.pending = []  # what is to be delivered again
        self.acknowledged = []
        self.next_number = 1

    async def join(self, *, resumed):
        self.held[await opened(self.folder, resumed=resumed, existing=self.existing)] = []

    async def deliver(self, process, number):
        await handle(process, number)
        self.held[process].append(number)

    async def new(self, process):
        self.next_number += 1
        await self.deliver(process, self.next_number - 1)

    async def again(self, process, choice):
        candidates = self.pending + self.acknowledged
        if candidates:
            await self.deliver(process, candidates[choice % len(candidates)])

    async def acknowledge(self, process):
        await process.flush()
        self.acknowledged.extend(self.held[process])
        self.held[process] = []

    async def lose(self, process, *, orderly):
        self.pending.extend(self.held.pop(process))
        if orderly:
            await process.close()
        else:
            die(process)
        if not self.held:
            await self.join(resumed=True)

    async def complete(self):
        *others, last = self.held
        for process in others:
            await self.lose(process, orderly=True)
        for number in self.pending:
            await self.deliver(last, number)
        await self.acknowledge(last)
        await last.finish()
        await last.finish()
        await last.discard()
        await last.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["new", "new", "new", "again", "acknowledge", "finish", "crash", "leave", "join"]),
        st.integers(0, 20),
    ),
    max_size=30,
)


@settings(max_examples=40)
@given(STEPS, st.sampled_from(["replace", "append"]), st.sampled_from([1, 40, 100_000]))
def test_each_message_has_one_line_whatever_comes_between(tmp_path_factory, steps, existing, buffer_bytes):
    folder = tmp_path_factory.mktemp("staged")
    (folder / "out.jsonl").write_text("1000\n1001")
    fleet = Fleet(folder, existing)

    async def run():
        await fleet.join(resumed=False)
        for step, choice in steps:
            process = list(fleet.held)[choice % len(fleet.held)]
            match step:
                case "new":
                    await fleet.new(process)
                case "again":
                    await fleet.again(process, choice)
                case "acknowledge":
                    await fleet.acknowledge(process)
                case "finish":  # it turns out that there is more to do
                    await process.finish()
                    await fleet.new(process)
                case "join":
                    await fleet.join(resumed=True)
                case _:
                    await fleet.lose(process, orderly=step == "leave")
        await fleet.complete()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_jsonl, "BUFFER_BYTES", buffer_bytes)
        trio.run(run)
    old = [1000, 1001] if existing == "append" else []
    found = numbers_in(folder)
    assert found[: len(old)] == old
    assert sorted(found[len(old) :]) == list(range(1, fleet.next_number))
    assert names(folder) == ["out.jsonl"]


async def test_what_was_not_finished_stays_for_who_goes_on(tmp_path):
    (tmp_path / "out.jsonl").write_text("old\n")
    first = await opened(tmp_path)
    await handle(first, 1, 2)
    await first.flush()
    await first.close()
    assert (tmp_path / "out.jsonl").read_text() == "old\n"
    second = await opened(tmp_path, resumed=True)
    await handle(second, 2, 3)
    await second.finish()
    await second.discard()
    await second.close()
    assert numbers_in(tmp_path) == [1, 2, 3]
    assert names(tmp_path) == ["out.jsonl"]


async def test_an_execution_that_begins_anew_forgets_what_a_dead_one_left(tmp_path):
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.flush()
    die(first)
    second = await opened(tmp_path)
    await handle(second, 2)
    await second.finish()
    await second.close()
    assert numbers_in(tmp_path) == [2]


async def test_appending_again_after_a_death_in_the_middle_of_finish_doubles_nothing(tmp_path):
    (tmp_path / "out.jsonl").write_text("7")
    first = await opened(tmp_path, existing="append")
    await handle(first, 1)
    await first.finish()
    die(first)
    assert numbers_in(tmp_path) == [7, 1]
    second = await opened(tmp_path, resumed=True, existing="append")
    await second.finish()
    await second.close()
    assert numbers_in(tmp_path) == [7, 1]


async def test_whoever_leaves_after_the_end_takes_no_lines_from_one_that_still_works(tmp_path):
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.finish()
    second = await opened(tmp_path, resumed=True)
    await first.discard()
    await first.close()
    await handle(second, 2)
    await second.flush()
    die(second)
    third = await opened(tmp_path, resumed=True)
    await third.finish()
    await third.discard()
    await third.close()
    assert numbers_in(tmp_path) == [1, 2]
    assert names(tmp_path) == ["out.jsonl"]


async def test_the_last_of_several_removes_what_those_before_it_are_about_to_close(tmp_path, monkeypatch):
    monkeypatch.setattr(write_jsonl, "RELEASE_SECONDS", 60)
    first = await opened(tmp_path)
    second = await opened(tmp_path, resumed=True)
    await handle(first, 1)
    await handle(second, 2)
    await second.flush()
    await first.finish()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.discard)
        await trio.sleep(0.1)
        assert len(names(tmp_path)) > 1
        await second.close()
    await first.close()
    assert sorted(numbers_in(tmp_path)) == [1, 2]
    assert names(tmp_path) == ["out.jsonl"]


async def test_lines_of_one_that_came_and_died_after_the_end_are_not_removed(tmp_path):
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.finish()
    second = await opened(tmp_path, resumed=True)
    await handle(second, 2)
    await second.flush()
    die(second)
    await first.discard()
    await first.close()
    third = await opened(tmp_path, resumed=True, kept=True)
    await third.finish()
    await third.discard()
    await third.close()
    assert numbers_in(tmp_path) == [1, 2]
    assert names(tmp_path) == ["out.jsonl"]


async def test_removing_leaves_half_of_its_time_to_the_close(tmp_path, monkeypatch):
    monkeypatch.setattr(write_jsonl, "RELEASE_SECONDS", 60)
    first = await opened(tmp_path)
    second = await opened(tmp_path, resumed=True)
    with trio.fail_after(20):
        await first.discard()
        await first.close()
    await handle(second, 1)
    await second.finish()
    await second.discard()
    await second.close()
    assert numbers_in(tmp_path) == [1]


async def test_one_that_comes_when_all_is_done_leaves_the_file_as_it_is(tmp_path):
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.finish()
    await first.discard()
    await first.close()
    second = await opened(tmp_path, resumed=True)
    await second.finish()
    await second.close()
    assert numbers_in(tmp_path) == [1]


async def test_what_was_finished_is_there_for_who_goes_on_because_another_stage_could_not(tmp_path):
    first = await opened(tmp_path)
    await handle(first, 1, 2)
    await first.finish()
    await first.close()
    second = await opened(tmp_path, resumed=True, kept=True)
    await handle(second, 3)
    await second.finish()
    await second.discard()
    await second.close()
    assert numbers_in(tmp_path) == [1, 2, 3]
    assert names(tmp_path) == ["out.jsonl"]


async def test_an_execution_that_gets_more_after_its_end_adds_to_its_own_lines(tmp_path):
    """A dead letter was put back; what is begun anew replaces them all the same."""
    (tmp_path / "out.jsonl").write_text("7\n")
    for resumed, number, expected in ((False, 1, [1]), (True, 2, [1, 2]), (False, 3, [3])):
        adapter = await opened(tmp_path, resumed=resumed)
        await handle(adapter, number)
        await adapter.finish()
        await adapter.discard()
        await adapter.close()
        assert numbers_in(tmp_path) == expected


@pytest.mark.parametrize("lost", ["deleted", "emptied", "elsewhere"])
async def test_acknowledged_lines_that_are_not_there_any_more_are_not_begun_anew(tmp_path, lost):
    (tmp_path / "out.jsonl").write_text("old\n")
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.close()
    [staging] = tmp_path.glob(".out.jsonl.*.staging")
    if lost == "emptied":
        staging.write_bytes(b"")
    else:
        staging.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(OSError, match="should hold the lines of messages that an earlier process"):
            await opened(tmp_path, resumed=True, kept=True)
    if lost == "elsewhere":
        (tmp_path / "away").rename(staging)
        second = await opened(tmp_path, resumed=True, kept=True)
        await second.finish()
        await second.close()
        assert numbers_in(tmp_path) == [1]


async def test_an_execution_without_lines_still_replaces_the_file(tmp_path):
    (tmp_path / "out.jsonl").write_text("old\n")
    first = await opened(tmp_path)
    await first.finish()
    await first.close()
    assert (tmp_path / "out.jsonl").read_text() == ""


async def test_what_is_flushed_after_the_close_was_stored_by_it(tmp_path):
    """Cancelled executions close their stages before they acknowledge what had ended."""
    first = await opened(tmp_path)
    await handle(first, 1)
    await first.close()
    await first.flush()
    second = await opened(tmp_path, resumed=True)
    await second.finish()
    await second.close()
    assert numbers_in(tmp_path) == [1]


async def test_what_could_not_be_stored_at_the_close_is_not_acknowledged_after_it(tmp_path):
    adapter = await opened(tmp_path)
    staging_connection(adapter).execute("PRAGMA max_page_count = 1")
    await outputs(adapter, FakeContext("x" * 100_000))
    with pytest.raises(OSError, match="full"):
        await adapter.close()
    with pytest.raises(RuntimeError, match=r"after close\(\)"):
        await adapter.flush()


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_staging_file_that_is_deleted_meanwhile_takes_nothing_more(tmp_path, suffix):
    adapter = await opened(tmp_path)
    await handle(adapter, 1)
    await adapter.flush()
    for path in tmp_path.glob(f".out.jsonl.*.staging{suffix}"):
        path.unlink()
    await handle(adapter, 2)
    for call in (adapter.flush, adapter.finish):
        with pytest.raises(OSError, match="removed or replaced while it was in use"):
            await call()
    with pytest.raises(OSError, match="removed or replaced while it was in use"):
        await adapter.close()
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_damaged_staging_file_is_named_where_its_lines_are_needed(tmp_path, resumed):
    first = await opened(tmp_path)
    await handle(first, *range(1, 50))
    await first.close()
    [staging] = tmp_path.glob(".out.jsonl.*.staging")
    staging.write_bytes(b"not SQLite at all" * 1000)
    if resumed:
        with pytest.raises(OSError, match=r"staging file '.*': file is not a database; if it is damaged"):
            await opened(tmp_path, resumed=True)
    else:
        second = await opened(tmp_path)
        await handle(second, 1)
        await second.finish()
        await second.close()
        assert numbers_in(tmp_path) == [1]


async def test_a_file_of_another_program_is_left_alone(tmp_path):
    first = await opened(tmp_path)
    await first.close()
    [staging] = tmp_path.glob(".out.jsonl.*.staging")
    connection = sqlite3.connect(staging)
    connection.execute("PRAGMA application_id = 7")
    connection.close()
    with pytest.raises(OSError, match="a SQLite file of another program"):
        await opened(tmp_path, resumed=True)


async def test_a_target_that_became_shorter_is_named(tmp_path):
    (tmp_path / "out.jsonl").write_text("1\n2\n")
    adapter = await opened(tmp_path, existing="append")
    await handle(adapter, 3)
    (tmp_path / "out.jsonl").write_text("1\n")
    with pytest.raises(OSError, match="had 4 bytes to append to when the execution began and has 2 now"):
        await adapter.finish()
    await adapter.close()
    assert numbers_in(tmp_path) == [1]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a folder that root cannot write to does not exist")
async def test_a_folder_that_cannot_be_written_to_fails_the_start(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        await opened(tmp_path)


async def test_in_memory_a_second_execution_of_the_same_id_is_refused_while_the_first_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(write_jsonl, "HELD_SECONDS", 0)
    adapters = [REGISTRY.create("write_jsonl", {"path": "out.jsonl"}) for _ in range(2)]
    await open_stage(adapters[0], tmp_path)
    await handle(adapters[0], 1)
    await adapters[0].flush()
    with pytest.raises(OSError, match="another execution of this id"):
        await open_stage(adapters[1], tmp_path)
    await adapters[0].finish()
    await adapters[0].close()
    assert numbers_in(tmp_path) == [1]


async def test_what_flush_returned_for_is_stored_with_full_synchronisation(tmp_path):
    adapter = await opened(tmp_path)
    connection = staging_connection(adapter)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    await adapter.close()


def test_a_write_that_fails_in_the_middle_stores_nothing(tmp_path):
    staging = _staging.open_staging(tmp_path / ".s", tmp_path / "out", append=False, resumed=False, durable=True)
    staging.add({b"1": b"one\n"})
    connection_of_staging(staging).execute(
        "CREATE TEMP TRIGGER no BEFORE INSERT ON block BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(OSError, match="no"):
        staging.add({b"1": b"again\n", b"2": b"two\n"})
    connection_of_staging(staging).execute("DROP TRIGGER no")
    staging.add({b"1": b"again\n", b"2": b"two\n"})
    staging.publish()
    staging.remove()
    assert (tmp_path / "out").read_text() == "one\ntwo\n"
