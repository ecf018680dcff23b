"""Checks for stores of executions (`ExecutionStore`), over any database.

Used like `conformance`: each check opens the store as often as it likes, and finds the same records. Kept separate from
the checks of queues because it needs none.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final, TypeAlias

import trio

from factflow_engine.executions import (
    ConfigDraft,
    ConfigInUseError,
    ConfigNameError,
    ExecutionDraft,
    ExecutionFilter,
    ExecutionStore,
    IdempotencyError,
    StaleConfigError,
    UnknownRecordError,
)
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.testing.conformance.expectations import ConformanceError, expect

OpenExecutionStore: TypeAlias = Callable[[], AbstractAsyncContextManager[ExecutionStore]]
"""Opener of a store, which is closed on exit; all openings within a check have the same records, none at first."""

ExecutionCheck: TypeAlias = Callable[[OpenExecutionStore], Awaitable[None]]

LONG_SECONDS: Final = 600.0
SHORT_SECONDS: Final = 0.2
STARTED_NS: Final = 1_700_000_000_000_000_000

TEXT: Final = 'version: "1.0"\n# $1 100% ${NAME} ünï "quoted" \'x\'\n'

CONFIG: Final = ConfigDraft(
    name="nightly", text=TEXT, hash="ab" * 32, directory="/srv/pipelines", file="nightly.yaml", saved_ns=STARTED_NS
)


def draft(number: int, **changes: Any) -> ExecutionDraft:
    """Return an execution to be begun, the later the greater its number."""
    plain = ExecutionDraft(
        id=f"{number:032x}",
        scope=f"{number:032x}",
        name="nightly",
        snapshot=TEXT,
        directory="/srv/pipelines",
        config_hash="ab" * 32,
        started_ns=STARTED_NS + number,
        host="here",
        pid=4_000_000,
    )
    return replace(plain, **changes)


async def versions_follow_one_another(open_store: OpenExecutionStore) -> None:
    """Check that an edit makes a version, that older ones stay, and that names are unique."""
    async with open_store() as store:
        first = await store.save_config(CONFIG)
        expect((first.version, first.latest, first.active, first.text), (1, 1, True, TEXT), "the first version")
        second = await store.save_config(replace(CONFIG, text="b", hash=None, errors=2), of=first.id, expected=1)
        expect((second.id, second.version, second.hash, second.errors), (first.id, 2, None, 2), "the second version")
    async with open_store() as store:
        expect(await store.config("nightly"), second, "the latest version by name")
        expect(await store.config(first.id, version=1), replace(first, latest=2), "the first version by id")
        expect(await store.config(first.id[:20]), second, "the latest version by a beginning of the id")
        await _refused(ConfigNameError, store.save_config(CONFIG))
        await _refused(StaleConfigError, store.save_config(CONFIG, of=first.id, expected=1))
        await _refused(UnknownRecordError, store.config("nightly", version=3))
        await _refused(UnknownRecordError, store.save_config(replace(CONFIG, name="x"), of="0" * 32))
        expect(await store.configs(), [second], "the configurations after what was refused")


async def a_beginning_names_one_or_none(open_store: OpenExecutionStore) -> None:
    """Check that a beginning of several names is refused with the candidates, and a whole name is not."""
    async with open_store() as store:
        for name in ("day", "daybreak", "night"):
            await store.save_config(replace(CONFIG, name=name))
        expect((await store.config("day")).name, "day", "what a whole name means")
        expect((await store.config("n")).name, "night", "what a beginning means")
        error = await _refused(UnknownRecordError, store.config("da"))
        expect(len(getattr(error, "candidates", ())), 2, "candidates of a beginning of two")
        for nothing in ("", "%", "x", "dax"):
            await _refused(UnknownRecordError, store.config(nothing))


async def inactive_ones_are_told_apart(open_store: OpenExecutionStore) -> None:
    """Check that a configuration can be made inactive and active again."""
    async with open_store() as store:
        saved = await store.save_config(CONFIG)
        await store.set_active(saved.id, active=False)
        expect((await store.config(saved.id)).active, False, "whether it is active")
        expect(len(await store.configs(active=True)), 0, "active configurations")
        expect(len(await store.configs(active=False)), 1, "inactive configurations")
        await store.set_active(saved.id, active=True)
        expect(len(await store.configs(active=True)), 1, "active configurations after that")
        await _refused(UnknownRecordError, store.set_active("0" * 32, active=True))


async def what_runs_is_not_deleted_and_what_ran_stays(open_store: OpenExecutionStore) -> None:
    """Check that a running configuration is deleted by force only, and that its executions stay."""
    async with open_store() as store:
        saved = await store.save_config(CONFIG)
        await store.begin(draft(1, config_id=saved.id, config_version=1), lease_seconds=LONG_SECONDS)
        error = await _refused(ConfigInUseError, store.delete_config(saved.id))
        expect(getattr(error, "executions", None), (draft(1).id,), "the executions that the error names")
        await store.delete_config(saved.id, force=True)
        await _refused(UnknownRecordError, store.config("nightly"))
        await _refused(UnknownRecordError, store.delete_config(saved.id))
        kept = await store.execution(draft(1).id)
        expect((kept.config_id, kept.snapshot), (saved.id, TEXT), "the execution of what was deleted")
        again = await store.save_config(CONFIG)
        expect((again.version, again.id != saved.id), (1, True), "one of the same name after that")


async def an_execution_keeps_all_it_was_given(open_store: OpenExecutionStore) -> None:
    """Check that every field comes back, and that the end replaces what was stored on the way."""
    given = draft(
        1,
        scope="night.ly",
        tag="a tag",
        metadata={"by": "ünï", "n": [1, 2.5, None]},
        parent=draft(0).id,
        replay_source="storage",
        idempotency_key="key 1",
        config_id="c" * 32,
        config_version=7,
    )
    async with open_store() as store:
        began = await store.begin(given, lease_seconds=LONG_SECONDS)
        expect(tuple(began), (given.id, True), "the result of beginning")
        renewal = await store.renew(
            given.id, lease_seconds=LONG_SECONDS, statistics={"routes": {"a": 1}}, seen_ns=STARTED_NS + 5
        )
        expect(tuple(renewal), (None, False), "the result of renewing")
    async with open_store() as store:
        found = await store.execution(given.id)
        for name in ExecutionDraft.__dataclass_fields__:
            expect(getattr(found, name), getattr(given, name), f"{name} of a running execution")
        expect((found.status, found.ended_ns, found.report), (ExecutionStatus.RUNNING, None, None), "its state")
        expect((found.statistics, found.seen_ns), ({"routes": {"a": 1}}, STARTED_NS + 5), "its statistics")
        await store.finish(
            given.id,
            ExecutionStatus.FAILED,
            ended_ns=STARTED_NS + 9,
            error="half \ud800 and \0",
            report={"text": "half \ud800 and \0"},
            limits={"a": {"limit": 3}},
        )
        found = await store.execution(given.id)
        expect((found.status, found.ended_ns), (ExecutionStatus.FAILED, STARTED_NS + 9), "its end")
        expect(found.report, {"text": "half \ud800 and \0"}, "its report")
        expect(found.error, "half \\ud800 and \\0", "its error, as every database can store it")
        expect(await store.learnt_limits("nightly", None), {"a": {"limit": 3}}, "what its limits had learnt")
        expect(await store.learnt_limits("nightly", "d" * 32), {}, "what those of another configuration had learnt")
        await _refused(
            UnknownRecordError, store.renew(given.id, lease_seconds=1, statistics=None, seen_ns=STARTED_NS + 10)
        )


async def one_key_begins_one_execution(open_store: OpenExecutionStore) -> None:
    """Check that of several starts at once with one key, from several openings, one stores."""
    results: list[tuple[str, bool]] = []

    async def start(number: int) -> None:
        async with open_store() as store:
            for attempt in range(3):
                begun = await store.begin(
                    draft(number * 10 + attempt, idempotency_key="key"), lease_seconds=LONG_SECONDS
                )
                results.append((begun.id, begun.is_new))

    async with open_store() as store, trio.open_nursery() as nursery:
        await store.configs()
        for number in range(1, 5):
            nursery.start_soon(start, number)
    expect(len({execution for execution, _ in results}), 1, "executions with one key")
    expect([is_new for _, is_new in results].count(True), 1, "starts that stored")
    async with open_store() as store:
        await _refused(
            IdempotencyError,
            store.begin(draft(99, idempotency_key="key", config_hash="cd" * 32), lease_seconds=LONG_SECONDS),
        )
        expect(len(await store.executions(ExecutionFilter())), 1, "executions at the end")


async def a_lease_that_runs_out_shows_and_is_stored(open_store: OpenExecutionStore) -> None:
    """Check that a reader sees `interrupted` once the lease is over, that a writer stores it, and that life corrects it."""
    async with open_store() as store:
        await store.begin(draft(1), lease_seconds=SHORT_SECONDS)
        await store.begin(draft(2), lease_seconds=LONG_SECONDS)
        await trio.sleep(2 * SHORT_SECONDS)
        for _ in range(2):
            found = await store.status(draft(1).id)
            expect((found.status, found.ended_ns), (ExecutionStatus.INTERRUPTED, found.seen_ns), "a lease that is over")
            expect((await store.status(draft(2).id)).status, ExecutionStatus.RUNNING, "a lease that is not")
            chosen = ExecutionFilter(status=ExecutionStatus.INTERRUPTED)
            expect([one.id for one in await store.executions(chosen)], [draft(1).id], "interrupted executions")
            await store.begin(draft(3 + _), lease_seconds=LONG_SECONDS)  # stores it
        renewal = await store.renew(draft(1).id, lease_seconds=LONG_SECONDS, statistics=None, seen_ns=STARTED_NS + 7)
        expect(renewal.lapsed, True, "whether the renewal says that it had lapsed")
        found = await store.status(draft(1).id)
        expect((found.status, found.ended_ns), (ExecutionStatus.RUNNING, None), "one whose process lives after all")
        await store.begin(draft(9), lease_seconds=SHORT_SECONDS)
        await trio.sleep(2 * SHORT_SECONDS)
        await store.finish(draft(9).id, ExecutionStatus.COMPLETED, ended_ns=STARTED_NS + 8, error=None, report={})
        found = await store.status(draft(9).id)
        expect(found.status, ExecutionStatus.COMPLETED, "an end that was stored after the lease")


async def a_request_to_cancel_reaches_the_process(open_store: OpenExecutionStore) -> None:
    """Check that renewals carry the shortest grace asked for, and that an ended execution is not touched."""
    async with open_store() as store:
        await store.begin(draft(1), lease_seconds=LONG_SECONDS)
        for grace, expected in ((5.0, 5.0), (9.0, 5.0), (0.0, 0.0)):
            asked = await store.request_cancel(draft(1).id, grace_seconds=grace)
            expect(asked.cancel_requested, True, "whether the request is noted")
            renewal = await store.renew(draft(1).id, lease_seconds=LONG_SECONDS, statistics=None, seen_ns=STARTED_NS)
            expect(renewal.cancel_seconds, expected, f"the grace after {grace:g} s was asked for")
        await store.begin(draft(2), lease_seconds=LONG_SECONDS)
        await store.finish(draft(2).id, ExecutionStatus.COMPLETED, ended_ns=STARTED_NS, error=None, report={})
        ended = await store.request_cancel(draft(2).id, grace_seconds=0.0)
        expect((ended.status, ended.cancel_requested), (ExecutionStatus.COMPLETED, False), "an ended execution")
        await _refused(UnknownRecordError, store.request_cancel("0" * 32, grace_seconds=0.0))
        await store.begin(draft(3), lease_seconds=SHORT_SECONDS)
        await trio.sleep(2 * SHORT_SECONDS)
        gone = await store.request_cancel(draft(3).id, grace_seconds=1.0)
        expect((gone.status, gone.ended_ns), (ExecutionStatus.CANCELLED, gone.seen_ns), "one whose process has died")
        renewal = await store.renew(draft(3).id, lease_seconds=LONG_SECONDS, statistics=None, seen_ns=STARTED_NS)
        expect(tuple(renewal), (1.0, True), "what its process is told, if it lives after all")
        expect((await store.status(draft(3).id)).status, ExecutionStatus.RUNNING, "its state then")


async def executions_are_listed_and_found(open_store: OpenExecutionStore) -> None:
    """Check order, pages, filters, and every way to name one."""
    async with open_store() as store:
        await _refused(UnknownRecordError, store.execution("latest"))
        for number in range(1, 8):
            changes = {"tag": "odd" if number % 2 else "even", "scope": "night" if number > 5 else f"{number:032x}"}
            await store.begin(draft(number, **changes), lease_seconds=LONG_SECONDS)
        ids = [draft(number).id for number in range(7, 0, -1)]
        listed = await store.executions(ExecutionFilter(limit=4))
        rest = await store.executions(ExecutionFilter(limit=4, before=listed[-1].id))
        expect([one.id for one in (*listed, *rest)], ids, "two pages, the latest first")
        odd = await store.executions(ExecutionFilter(tag="odd", limit=2))
        expect([one.id for one in odd], [ids[0], ids[2]], "the latest with a tag")
        expect(len(await store.executions(ExecutionFilter(name="other"))), 0, "executions of another pipeline")
        expect((await store.execution("latest")).id, ids[0], "the latest")
        expect((await store.execution("night")).id, ids[0], "the latest of a scope")
        expect((await store.execution("odd")).id, ids[0], "the latest with a tag that several have")
        expect((await store.execution(ids[3])).id, ids[3], "one by its id")
        for named in ("0000", "", "'", "\ud800"):
            await _refused(UnknownRecordError, store.execution(named))
        await store.begin(draft(8, id="f" * 32, scope="f" * 32, tag="alone"), lease_seconds=LONG_SECONDS)
        for named in ("f", "alone"):
            expect((await store.execution(named)).tag, "alone", f"what {named!r} names")


async def a_recovered_execution_names_its_latest_recovery(open_store: OpenExecutionStore) -> None:
    """Check that a recovery has the scope of its parent, and that a replay, which has its own, is none."""
    async with open_store() as store:
        first = draft(1, scope="nightly", queue="sqlite:////srv/queue.db")
        for each in (first, draft(2, parent=first.id), *(draft(n, parent=first.id, scope="nightly") for n in (3, 4))):
            await store.begin(each, lease_seconds=LONG_SECONDS)
        found = await store.execution(first.id)
        expect((found.queue, found.recovered_by), (first.queue, draft(4).id), "the queue, and the latest recovery")
        listed = await store.executions(ExecutionFilter())
        expect([one.recovered_by for one in listed], [None, None, None, draft(4).id], "recoveries in a list")


async def a_whole_store_has_nothing_wrong(open_store: OpenExecutionStore) -> None:
    """Check that examining a store finds nothing."""
    async with open_store() as store:
        await store.save_config(CONFIG)
        expect(list(await store.examine()), [], "what is wrong")


EXECUTION_CHECKS: Final[tuple[ExecutionCheck, ...]] = (
    versions_follow_one_another,
    a_beginning_names_one_or_none,
    inactive_ones_are_told_apart,
    what_runs_is_not_deleted_and_what_ran_stays,
    an_execution_keeps_all_it_was_given,
    one_key_begins_one_execution,
    a_lease_that_runs_out_shows_and_is_stored,
    a_request_to_cancel_reaches_the_process,
    executions_are_listed_and_found,
    a_recovered_execution_names_its_latest_recovery,
    a_whole_store_has_nothing_wrong,
)
"""The checks, each for an empty store."""


async def _refused(error: type[Exception], call: Awaitable[object]) -> Exception:
    """Return the error that a call must raise.

    Raises:
        ConformanceError: It raises none.
    """
    try:
        result = await call
    except error as raised:
        return raised
    raise ConformanceError(f"expected {error.__name__}, got {result!r}")
