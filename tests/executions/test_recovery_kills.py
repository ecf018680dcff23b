"""Executions that are killed with SIGKILL in real processes, and recovered: in the end their objects are those of a run
that nobody disturbed, byte for byte, with their declared metadata; ids, times and attempts apart.
"""

import random
import signal
import sqlite3
import time

import pytest

from support.factflow_process import factflow, let_leases_run_out, started
from support.recovered import __file__ as ADAPTERS
from support.recovered import calls_of, contents, write_pipeline

QUEUE = ("--queue", "sqlite:///queue.db?lease=1")
OPTIONS = ("--adapters", ADAPTERS, "--progress", "none")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Returns what an undisturbed run over so many numbers leaves."""
    known = {}

    def of(count):
        if count not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            write_pipeline(folder, count)
            result = factflow(folder, "run", "pipeline.yaml", *OPTIONS)
            assert result.returncode == 0, result.stderr
            known[count] = contents(folder)
        return known[count]

    return of


def has_a_record(folder):
    """True if the store has an execution."""
    path = folder / ".factflow" / "executions.db"
    if not path.exists():
        return False
    connection = sqlite3.connect(path, timeout=30)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'execution'").fetchone()[0]
        return bool(tables and connection.execute("SELECT count(*) FROM execution").fetchone()[0])
    finally:
        connection.close()


def first(folder, count, queue):
    """Begin the execution."""
    write_pipeline(folder, count)
    return ["run", "pipeline.yaml", *OPTIONS, *queue]


def again(folder, queue):
    """Recover it, once its lease has run out."""
    let_leases_run_out(folder / ".factflow")
    return ["execution", "recover", "latest", *OPTIONS, *queue]


DEATHS = ["square 1", "square 9", "describe 1", "describe 9", "finish"]


@pytest.mark.parametrize("queue", [(), QUEUE], ids=["memory", "durable"])
def test_what_is_killed_and_recovered_leaves_what_an_undisturbed_run_leaves(tmp_path, undisturbed, queue):
    count = 12
    words = first(tmp_path, count, queue)
    for death in random.Random(repr(queue)).sample(DEATHS, 2):  # the slow test below tries many
        result = factflow(tmp_path, *words, DIE_AT=death)
        assert result.returncode in {0, -signal.SIGKILL}, result.stderr
        if not result.returncode:
            break  # it had less to do than that
        words = again(tmp_path, queue)
    else:
        result = factflow(tmp_path, *words)
        assert result.returncode == 0, result.stderr
    assert contents(tmp_path) == undisturbed(count)


def test_a_stage_is_not_called_again_for_what_it_has_stored(tmp_path, undisturbed):
    factflow(tmp_path, *first(tmp_path, 12, ()), DIE_AT="finish")
    assert sorted(calls_of(tmp_path)) == list(range(12))
    result = factflow(tmp_path, *again(tmp_path, ()))
    assert result.returncode == 0, result.stderr
    assert sorted(calls_of(tmp_path)) == list(range(12)), "every result was stored, and is taken from there"
    assert contents(tmp_path) == undisturbed(12), "what kept the sum has died, and counts anew"


@pytest.mark.parametrize("queue", [(), QUEUE], ids=["memory", "durable"])
def test_what_has_died_after_its_end_is_not_doubled(tmp_path, undisturbed, queue):
    result = factflow(tmp_path, *first(tmp_path, 12, queue))
    assert result.returncode == 0, result.stderr
    connection = sqlite3.connect(tmp_path / ".factflow" / "executions.db")
    with connection:  # killed before it could say that it has completed
        connection.execute("UPDATE execution SET status = 'running', ended_ns = NULL, report = NULL")
    connection.close()
    result = factflow(tmp_path, *again(tmp_path, queue))
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path) == undisturbed(12)
    assert sorted(calls_of(tmp_path)) == list(range(12))


def test_another_queue_is_refused_and_its_own_need_not_be_named(tmp_path, undisturbed):
    """On another queue it would begin anew, with messages of other ids beside those that it had."""
    result = factflow(tmp_path, *first(tmp_path, 12, QUEUE), DIE_AT="describe 1")
    assert result.returncode == -signal.SIGKILL, result.stderr
    before = contents(tmp_path)
    other = ("--queue", "sqlite:///other.db?lease=1")
    result = factflow(tmp_path, *again(tmp_path, other))
    assert result.returncode == 2, result.stderr
    assert f"it ran on 'sqlite:///{tmp_path}/queue.db?lease=1.0'" in result.stderr
    assert not (tmp_path / "other.db").exists()
    assert contents(tmp_path) == before
    for path in tmp_path.glob("queue.db*"):  # the same queue, elsewhere
        path.rename(tmp_path / path.name.replace("queue", "other"))
    result = factflow(tmp_path, *again(tmp_path, other), DIE_AT="finish")
    assert result.returncode == -signal.SIGKILL, result.stderr
    result = factflow(tmp_path, *again(tmp_path, ()))
    assert result.returncode == 0, result.stderr
    assert "goes on with what 'sqlite:///" in result.stderr
    assert contents(tmp_path) == undisturbed(12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("queue", [(), QUEUE], ids=["memory", "durable"])
def test_a_hundred_random_kills_change_nothing(tmp_path, undisturbed, queue):
    """Kills come at random times after a random number of calls, also while the process starts or ends."""
    randomness = random.Random(16)
    count, kills, rounds = 60, 0, 0
    while kills < 100:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        rounds += 1
        words = first(folder, count, queue)
        while True:
            enough = len(calls_of(folder)) + randomness.randrange(0, count)
            process = started(folder, *words)
            while process.poll() is None and len(calls_of(folder)) < enough:
                time.sleep(0.002)
            time.sleep(randomness.choice([0, 0, randomness.random() * 0.1]))
            process.kill()
            _, errors = process.communicate(timeout=120)
            if process.returncode == 0 or "has completed; there is nothing to recover" in errors:
                break
            assert process.returncode == -signal.SIGKILL, errors
            kills += 1
            if has_a_record(folder):  # it may have died before it said so
                words = again(folder, queue)
        assert contents(folder) == undisturbed(count), f"round {rounds}, after {kills} kills"
