"""Runs of the checks of queue providers: ours pass them, and each check finds a provider that is wrong in its way."""

import pytest

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.testing import (
    ADMINISTRATION_CHECKS,
    DURABLE_QUEUE_CHECKS,
    ORDER_CHECKS,
    QUEUE_CHECKS,
    START_CHECKS,
    STATE_CHECKS,
    TRANSACTION_CHECKS,
    check_name,
    check_queue_provider,
)
from support.sqlite_queues import settings, simulated
from support.wrong_queues import MORE, WRONG

OPTIONAL = (
    *DURABLE_QUEUE_CHECKS,
    *STATE_CHECKS,
    *START_CHECKS,
    *TRANSACTION_CHECKS,
    *ADMINISTRATION_CHECKS,
    *ORDER_CHECKS,
)
CHECKS = [*map(check_name, QUEUE_CHECKS), *map(check_name, OPTIONAL)]


def test_the_memory_queue_passes_what_applies_to_it():
    report = check_queue_provider(lambda folder: MemoryQueue(), virtual=True)
    report.raise_if_failed()
    assert [result.name for result in report.passed][1:] == list(map(check_name, QUEUE_CHECKS))
    assert [result.name for result in report.not_applicable] == list(map(check_name, OPTIONAL))
    assert {result.text for result in report.not_applicable} == {
        "outlives_process is False",
        "MemoryQueue is no StateProvider",
        "MemoryQueue is no ExecutionStarts",
        "MemorySubscription is no TransactionalSubscription",
        "MemoryQueue is no AdministeredQueue",
        "MemoryQueue is no OrderedQueueProtocol",
    }


def test_the_sqlite_queue_passes_everything_in_virtual_time():
    report = check_queue_provider(lambda folder: simulated(folder / "q.db"), virtual=True)
    report.raise_if_failed()
    assert [result.name for result in report.passed][1:] == CHECKS


def test_the_sqlite_queue_passes_in_real_time():
    report = check_queue_provider(
        lambda folder: SqliteQueue(settings(folder / "q.db")), only=map(check_name, DURABLE_QUEUE_CHECKS)
    )
    report.raise_if_failed()
    assert len(report.passed) == len(DURABLE_QUEUE_CHECKS)


def test_there_is_a_wrong_provider_for_each_check():
    assert sorted(WRONG) == sorted(CHECKS)


@pytest.mark.parametrize(
    ("check", "wrong"),
    [*WRONG.items(), *MORE],
    ids=lambda each: each if isinstance(each, str) else each.change.__name__,
)
def test_a_check_finds_the_provider_that_is_wrong_in_its_way(check, wrong, monkeypatch):
    monkeypatch.setattr(wrong.target, wrong.name, wrong.change(getattr(wrong.target, wrong.name)))
    report = check_queue_provider(lambda folder: simulated(folder / "q.db"), only=check, virtual=True)
    [failed] = report.results
    assert failed in report.failed, "the check does not find it"
    assert failed.name == check
    assert not failed.text.startswith("raised ") or failed.text.startswith(
        ("raised QueueError: ", "raised TooSlowError")
    ), "it is an error of the wrong provider, and not of the check"
