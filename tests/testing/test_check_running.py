"""Running of checks: time limits that hold against any provider, texts of failures, reports, and wrong uses."""

import re
from contextlib import asynccontextmanager

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue, MemorySubscription
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import (
    ConformanceError,
    ConformanceReport,
    Verdict,
    check_lineage_sink,
    check_queue_provider,
    check_storage_provider,
)
from factflow_engine.testing.conformance.checking_providers import OPENS

ONE = "what_is_written_is_read"


class Silent(MemoryStorage):
    async def read(self, key):
        await trio.sleep_forever()


class Shielded(MemoryStorage):
    async def read(self, key):
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


class ShieldedTwice(MemoryStorage):
    async def read(self, key):
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.in_the_background)
                with trio.CancelScope(shield=True):
                    await trio.sleep_forever()

    async def in_the_background(self):
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


class Spinning(MemoryStorage):
    async def read(self, key):
        while True:
            await trio.lowlevel.checkpoint()


class Raising(MemoryStorage):
    async def read(self, key):
        raise LookupError("nobody knows")


@pytest.mark.parametrize("virtual", [True, False])
@pytest.mark.parametrize("kind", [Silent, Shielded, ShieldedTwice, Spinning])
def test_a_check_that_hangs_has_failed(kind, virtual):
    report = check_storage_provider(lambda folder: kind(), only=ONE, virtual=virtual, seconds=0.2)
    [result] = report.failed
    assert re.match(r"did not end within 0\.2 s(, and never waits for anything)?", result.text)
    assert re.search(r"it waits at test_check_running\.py:\d+ in (read|in_the_background)\(\)", result.text), (
        result.text
    )


def test_an_error_is_told_with_its_line():
    [result] = check_storage_provider(lambda folder: Raising(), only=ONE).failed
    assert re.fullmatch(r"raised LookupError: nobody knows, at test_check_running\.py:\d+", result.text)


def test_the_provider_is_closed_after_each_check_also_if_it_failed():
    closed = []

    class Noting(Raising):
        async def close(self):
            await super().close()
            closed.append(self)

    check_storage_provider(lambda folder: Noting(), only=[ONE, "keys_are_listed_in_order"])
    assert len(closed) == len(set(closed)) == 3


def test_each_check_has_a_new_folder_that_is_removed():
    folders = []

    def made(folder):
        assert folder.is_dir()
        folders.append(folder)
        return FileStorage(folder / "objects")

    report = check_storage_provider(made, only=[ONE, "objects_outlive_the_store_object"])
    report.raise_if_failed()
    assert len(folders) == 4, "one to look at it, one for a check, and two openings of another check"
    assert len(set(folders)) == 3
    assert folders[-1] == folders[-2]
    assert not any(folder.exists() for folder in folders)


def test_an_opener_may_be_an_async_context_manager():
    left = []

    @asynccontextmanager
    async def opened(folder):
        queue = MemoryQueue()
        yield queue
        await queue.stop()
        left.append(folder)

    check_queue_provider(opened, only="names_are_judged", virtual=True).raise_if_failed()
    assert len(left) == 2


async def _coroutine(_folder):
    return MemoryQueue()


def _raises(_folder):
    raise OSError("no server")


@pytest.mark.parametrize(
    ("opener", "said"),
    [
        (_coroutine, "the opener returned an awaitable, expected a provider or an async context manager; decorate it"),
        (lambda folder: None, r"the opener returned None, expected a provider with a method stop\(\)"),
        (lambda folder: trio.Event, r"expected a provider with a method stop\(\)"),
        (_raises, r"raised OSError: no server, at test_check_running\.py:\d+"),
        (
            lambda folder: type("Half", (), {"stop": MemoryQueue.stop, "_stopped": True})(),
            "Half is no QueueProtocol: it lacks forget_empty, ",
        ),
    ],
)
def test_a_provider_that_does_not_open_fails_the_first_check_alone(opener, said):
    report = check_queue_provider(opener, virtual=True)
    [failed] = report.failed
    assert failed.name == OPENS
    assert re.search(said, failed.text), failed.text
    assert not report.passed
    assert {result.text for result in report.not_applicable} == {f"{OPENS} failed"}


def test_a_sink_that_cannot_be_read_is_only_opened():
    class Sink:
        async def write(self, entries, outcomes):
            pass

        async def close(self):
            pass

    report = check_lineage_sink(lambda folder: Sink())
    assert [result.name for result in report.passed] == [OPENS]
    assert {result.text for result in report.not_applicable} == {"Sink is no ReadableLineage"}
    report.raise_if_failed()


def test_a_report_is_a_table_and_one_error():
    report = check_storage_provider(lambda folder: Raising(), durable=False)
    assert report.subject == "Raising"
    assert len(report.results) == len(report.passed) + len(report.failed) + len(report.not_applicable)
    head, *rows = str(report).splitlines()
    assert head == f"Raising: {len(report.passed)} passed, {len(report.failed)} failed, 2 not applicable"
    assert len(rows) == len(report.results)
    assert re.search(
        r"^what_is_written_is_read +FAILED +raised LookupError: nobody knows, at ", str(report), re.MULTILINE
    )
    with pytest.raises(ConformanceError, match=r"Raising fails \d+ of \d+ checks:\n- ") as raised:
        report.raise_if_failed()
    assert all(f"- {result.name}: {result.text}" in str(raised.value) for result in report.failed)


def test_an_empty_report_has_not_failed():
    ConformanceReport("nothing", ()).raise_if_failed()
    assert str(ConformanceReport("nothing", ())) == "nothing: 0 passed, 0 failed, 0 not applicable"


def test_a_mistyped_name_of_a_check_is_an_error():
    with pytest.raises(ValueError, match="got 'names_are_jugded'; did you mean 'names_are_judged'"):
        check_queue_provider(lambda folder: MemoryQueue(), only="names_are_jugded")
    with pytest.raises(ValueError, match="got 'zzz'; write one of it_opens"):
        check_queue_provider(lambda folder: MemoryQueue(), only=["zzz"])


async def test_inside_of_trio_the_remedy_is_told():
    with pytest.raises(RuntimeError, match="expected outside"):
        check_queue_provider(lambda folder: MemoryQueue())


def test_a_check_of_what_only_some_subscriptions_can_does_not_apply_to_others(monkeypatch):
    async def leased_elsewhere(self):
        raise AssertionError

    report = check_queue_provider(lambda folder: MemoryQueue(), virtual=True)
    assert Verdict.FAILED not in {result.verdict for result in report.results}
    monkeypatch.setattr(MemorySubscription, "publish_and_settle", leased_elsewhere, raising=False)
    names = {result.name for result in check_queue_provider(lambda folder: MemoryQueue(), virtual=True).failed}
    assert "either_part_may_be_empty" in names, "a subscription that has the method is checked"


def test_a_lease_that_is_too_long_is_told(tmp_path):
    from support.sqlite_queues import simulated

    report = check_queue_provider(
        lambda folder: simulated(folder / "q.db", lease_seconds=30.0),
        only="who_gives_signs_of_life_keeps_its_states",
        virtual=True,
    )
    [failed] = report.failed
    assert failed.text.startswith("states.lease_seconds: expected at most 1 s, got 30; ")
