"""Power cuts: what the engine promised is there afterwards, what it did not may be gone, and a forgetful file is noticed."""

import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.queues.sqlite import Durability, SqliteQueue, schema
from factflow_engine.queues.sqlite.location import QueueFileError
from factflow_engine.queues.sqlite.store import Look
from factflow_engine.storages.file.disk import Disk
from factflow_engine.testing import (
    CRASHED,
    SimulatedClock,
    SimulatedProcesses,
    SimulatedRandomness,
    SimulatedThreads,
    in_virtual_time,
)
from factflow_engine.testing.simulation.power import PowerCutFiles, PowerCuts
from factflow_engine.testing.simulation.power.sectors import SECTOR_BYTES, torn
from factflow_protocols import StorageNotFoundError
from support.internals import writer_of
from support.sqlite_queues import message
from support.sqlite_queues import settings as queue_settings

# -- sectors ---------------------------------------------------------------------------------------------------------


@given(synced=st.binary(max_size=3000), written=st.binary(max_size=3000), seed=st.integers(0, 1000))
def test_each_sector_is_the_old_one_or_the_new_one(synced, written, seed):
    left = torn(synced, written, SimulatedRandomness(seed))
    assert len(left) <= max(len(synced), len(written))
    for start in range(0, len(left), SECTOR_BYTES):
        part = slice(start, start + SECTOR_BYTES)
        old = synced[part].ljust(len(left[part]), b"\0")[: len(left[part])]
        new = written[part].ljust(len(left[part]), b"\0")[: len(left[part])]
        mixed = written[part] + synced[part][len(written[part]) :]
        assert left[part] in (old, new, mixed[: len(left[part])])


def test_every_choice_is_made():
    found = {torn(b"a" * 1024, b"b" * 1024, SimulatedRandomness(seed))[::512] for seed in range(50)}
    assert found == {b"aa", b"ab", b"ba", b"bb"}


# -- the SQLite queue ------------------------------------------------------------------------------------------------

LARGE = b"x" * 5000


@dataclass
class History:
    """Sets of messages that the file has after each operation of the queue, the last one not answered."""

    states: list = field(default_factory=lambda: [frozenset()])
    begun: frozenset = frozenset()

    def begin(self, state):
        self.begun = frozenset(state)

    def end(self):
        self.states.append(self.begun)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.integers(1, 6)),
        st.tuples(st.just("checkpoint"), st.sampled_from(["PASSIVE", "RESTART", "TRUNCATE"])),
    ),
    min_size=3,
    max_size=14,
)

SYNCHRONOUS = {Durability.POWER: "FULL", Durability.PROCESS: "NORMAL"}


async def live(queue, history, numbers, given_operations):
    """Do the operations on a queue, and note what the file then has."""
    async with queue.subscribe("/queue/a", "s", 100) as subscription:
        for operation, argument in given_operations:
            present = history.states[-1]
            if operation == "publish":
                messages = [message(next(numbers), headers={"x": LARGE.decode()}) for _ in range(argument)]
                history.begin(present | {each.message_id for each in messages})
                await queue.publish_batch("/queue/a", messages)
            elif operation == "settle":
                if not present:
                    continue
                deliveries = (await subscription.receive(100))[:argument]
                history.begin(present - {each.message.message_id for each in deliveries})
                await subscription.settle(deliveries)
            else:
                history.begin(present)
                pragma = f"PRAGMA wal_checkpoint({argument})"
                await writer_of(queue).submit(
                    Look(lambda store, pragma=pragma: store.connection.execute(pragma).fetchall())
                )
            history.end()
        await trio.sleep_forever()


def stored(path):
    """Ids of the messages in the file, which the queue opens; looked at in a copy."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(f"copy.db{suffix}").unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        if (original := path.with_name(f"{path.name}{suffix}")).exists():
            shutil.copy(original, copy.with_name(f"copy.db{suffix}"))
    connection = schema.open_file(queue_settings(copy))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return frozenset(each for (each,) in connection.execute("SELECT message_id FROM message"))
    finally:
        connection.close()


def after_cuts(path, *, lives, seed, durability, synchronous):
    """Run lives on a file, each ended by a power cut; give each life's history, and what the file then had."""
    found = []

    async def main(simulation):
        numbers = iter(range(1, 10_000))
        power = PowerCuts(SimulatedRandomness(seed))
        power.sqlite(path, synchronous=synchronous)
        threads = power.threads(SimulatedThreads(simulation.randomness))
        async with SimulatedProcesses() as processes:
            for given_operations, seconds in lives:
                history = History([found[-1][1]] if found else [frozenset()])
                history.begun = history.states[0]

                async def program(process, given_operations=given_operations, history=history):
                    options = queue_settings(path, durability=durability, dedup_seconds=0)
                    queue = SqliteQueue(options, threads=threads, clock=SimulatedClock())
                    await live(queue, history, numbers, given_operations)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(processes.run, 0, program)
                    await trio.sleep(seconds)
                    processes.crash_nowait(0)
                power.cut()
                found.append((history, stored(path)))
                await trio.sleep(5)

    in_virtual_time(main, seed=seed)
    return found


def lost(history, left, durability):
    """True if a power cut left what it may not leave."""
    may_be = {history.states[-1], history.begun}
    if durability is Durability.PROCESS:
        may_be |= set(history.states)
    return left not in may_be


several_lives = st.lists(st.tuples(operations, st.floats(0.02, 0.5)), min_size=1, max_size=3)


@settings(max_examples=60)
@given(lives=several_lives, seed=st.integers(0, 10_000), durability=st.sampled_from(list(Durability)))
def test_the_queue_keeps_what_it_promised(tmp_path_factory, lives, seed, durability):
    path = tmp_path_factory.mktemp("power") / "q.db"
    for history, left in after_cuts(
        path, lives=lives, seed=seed, durability=durability, synchronous=SYNCHRONOUS[durability]
    ):
        assert not lost(history, left, durability)


PLAIN = [
    ([("publish", 3), ("publish", 2), ("settle", 2), ("publish", 4), ("checkpoint", "PASSIVE"), ("publish", 2)], 0.4)
]


def losses(tmp_path, *, durability, synchronous, judged=Durability.POWER):
    """Number of seeds for which something is lost that was accepted, or the file is damaged."""
    count = 0
    for seed in range(30):
        try:
            found = after_cuts(
                tmp_path / f"{seed}.db", lives=PLAIN, seed=seed, durability=durability, synchronous=synchronous
            )
        except (AssertionError, QueueFileError, sqlite3.DatabaseError):
            count += 1
        else:
            count += any(lost(history, left, judged) for history, left in found)
    return count


def test_a_queue_that_syncs_nothing_loses_accepted_messages(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "SYNCHRONOUS", dict.fromkeys(Durability, "OFF"))
    assert losses(tmp_path, durability=Durability.POWER, synchronous="OFF") > 15


def test_a_queue_without_the_durable_setting_loses_accepted_messages(tmp_path):
    assert losses(tmp_path, durability=Durability.PROCESS, synchronous="NORMAL") > 5


CHECKPOINTS = [
    ([("publish", 3), ("checkpoint", "PASSIVE"), ("settle", 1), ("checkpoint", "RESTART"), ("publish", 2)] * 2, seconds)
    for seconds in (0.1, 0.05, 0.08)
]


@pytest.mark.parametrize("durability", Durability)
def test_cuts_fall_into_commits_checkpoints_and_beginnings_of_the_log(tmp_path, monkeypatch, durability):
    seen = Counter()

    def seeing(name):
        inner = getattr(PowerCutFiles, name)

        def call(self, synced, written, **options):
            left = inner(self, synced, written, **options)
            seen[name, options.get("anew", False), left not in (synced, written)] += 1
            return left

        monkeypatch.setattr(PowerCutFiles, name, call)

    seeing("_torn_file")
    seeing("_torn_log")
    for seed in range(25):
        path = tmp_path / f"{seed}.db"
        for history, left in after_cuts(
            path, lives=CHECKPOINTS, seed=seed, durability=durability, synchronous=SYNCHRONOUS[durability]
        ):
            assert not lost(history, left, durability)
    for torn_one in [("_torn_file", False, True), ("_torn_log", False, True), ("_torn_log", True, True)]:
        assert seen[torn_one] > 0, seen


def test_what_a_dead_connection_does_later_does_not_touch_the_files(tmp_path):
    path = tmp_path / "q.db"
    power = PowerCuts(SimulatedRandomness(0))
    power.sqlite(path)
    dead = sqlite3.connect(path, isolation_level=None)
    dead.execute("PRAGMA journal_mode = WAL")
    dead.execute("CREATE TABLE t(n)")
    power.note_answer(power.note_work())
    power.cut()
    living = sqlite3.connect(path, isolation_level=None)
    living.execute("INSERT INTO t VALUES (1)")
    dead.execute("INSERT INTO t VALUES (2)")
    dead.close()
    assert living.execute("SELECT n FROM t").fetchall() == [(1,)]
    living.execute("INSERT INTO t VALUES (3)")
    living.close()
    again = sqlite3.connect(path)
    assert again.execute("SELECT n FROM t").fetchall() == [(1,), (3,)]
    again.close()


# -- the object store ------------------------------------------------------------------------------------------------

writes = st.lists(
    st.tuples(st.sampled_from(["a", "b/c", "b/d"]), st.integers(0, 3000), st.sampled_from(["write", "delete"])),
    min_size=1,
    max_size=8,
)


def after_a_cut(folder, *, steps, seconds, seed, wrapped=lambda disk: disk):
    """Write and delete objects until a cut; give what was answered, what was begun, and what is there."""
    answered, begun, there = {}, {}, {}

    async def main(simulation):
        power = PowerCuts(SimulatedRandomness(seed))
        seams = power.seams(simulation.seams)

        def opened():
            storage = power.storage(f"file://{folder}", seams=seams)
            storage.disk = wrapped(storage.disk)
            return storage

        async def program(process):
            storage = opened()
            for number, (key, size, what) in enumerate(steps):
                content = None if what == "delete" else bytes([number]) * size
                begun.clear()
                begun[key] = content
                if content is None:
                    await storage.delete(key)
                else:
                    await storage.write(key, content)
                answered[key] = content
            begun.clear()
            await trio.sleep_forever()

        async with SimulatedProcesses() as processes:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(processes.run, 0, program)
                await trio.sleep(seconds)
                processes.crash_nowait(0)
            power.cut()
            storage = opened()
            for key in ("a", "b/c", "b/d"):
                try:
                    there[key] = (await storage.read(key))[0]
                except StorageNotFoundError:
                    there[key] = None

    in_virtual_time(main, seed=seed)
    return answered, begun, there


@settings(max_examples=80)
@given(steps=writes, seconds=st.floats(0.001, 0.2), seed=st.integers(0, 10_000))
def test_the_object_store_keeps_what_it_promised(tmp_path_factory, steps, seconds, seed):
    folder = tmp_path_factory.mktemp("power") / "objects"
    answered, begun, there = after_a_cut(folder, steps=steps, seconds=seconds, seed=seed)
    for key, content in there.items():
        assert content in {answered.get(key), begun.get(key, answered.get(key))}, key


class Forgetful:
    """A disk that syncs no bytes, around a `PowerCutDisk`."""

    def __init__(self, disk):
        self._disk = disk

    def __getattr__(self, name):
        return getattr(self._disk, name)

    def sync(self, file):
        Disk().sync(file)


def test_a_store_that_syncs_no_bytes_loses_objects(tmp_path):
    count = 0
    for seed in range(20):
        try:
            answered, _, there = after_a_cut(
                tmp_path / str(seed),
                steps=[("a", 2000, "write"), ("b/c", 2000, "write")],
                seconds=1,
                seed=seed,
                wrapped=Forgetful,
            )
        except Exception:  # damaged
            count += 1
        else:
            count += any(there[key] != content for key, content in answered.items())
    assert count > 10


def test_the_same_seed_leaves_the_same_files(tmp_path):
    def run(name):
        path = tmp_path / f"{name}.db"
        return [
            left
            for _, left in after_cuts(path, lives=PLAIN, seed=4, durability=Durability.PROCESS, synchronous="NORMAL")
        ]

    assert run("one") == run("other")


def test_a_process_that_crashes_without_a_power_cut_keeps_everything(tmp_path):
    path = tmp_path / "q.db"

    async def main(simulation):
        power = PowerCuts(simulation.randomness)
        power.sqlite(path)
        threads = power.threads(SimulatedThreads(simulation.randomness))
        history = History()

        async def program(process):
            queue = SqliteQueue(queue_settings(path), threads=threads, clock=SimulatedClock())
            await live(queue, history, iter(range(1, 100)), [("publish", 3), ("settle", 1), ("publish", 2)])

        async with SimulatedProcesses() as processes, trio.open_nursery() as nursery:

            async def run():
                assert await processes.run(0, program) is CRASHED

            nursery.start_soon(run)
            await trio.sleep(10)
            processes.crash_nowait(0)
        assert stored(path) == history.states[-1]
        assert len(history.states) == 4

    in_virtual_time(main, seed=0)


@pytest.mark.parametrize("sizes", [(10, 5), (5, 10), (0, 5), (5, 0)])
def test_lengths_are_of_the_old_file_or_of_the_new_one(sizes):
    old, new = (b"a" * sizes[0], b"b" * sizes[1])
    assert {len(torn(old, new, SimulatedRandomness(seed))) for seed in range(40)} == set(sizes)
