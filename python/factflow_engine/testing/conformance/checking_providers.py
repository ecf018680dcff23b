"""Runs of all checks that apply to a provider: of queues, of objects, of lineage.

Kept separate from the checks because only a run looks at what a provider implements, and opens it in a fresh place.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutine
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import trio

from factflow_engine.testing.conformance.administration import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance.durable import DURABLE_QUEUE_CHECKS, what_other_consumers_have_is_told
from factflow_engine.testing.conformance.expectations import QUEUE, ConformanceError, check_name
from factflow_engine.testing.conformance.lineage import LINEAGE_CHECKS
from factflow_engine.testing.conformance.order import ORDER_CHECKS
from factflow_engine.testing.conformance.queues import QUEUE_CHECKS
from factflow_engine.testing.conformance.report import CheckResult, ConformanceReport, Verdict
from factflow_engine.testing.conformance.running import HowToRun, PlannedCheck, how_to_run, run_alone, run_planned
from factflow_engine.testing.conformance.starts import START_CHECKS, what_would_be_resumed_is_known_before
from factflow_engine.testing.conformance.states import STATE_CHECKS
from factflow_engine.testing.conformance.storage import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS
from factflow_engine.testing.conformance.transactions import TRANSACTION_CHECKS
from factflow_protocols import (
    AdministeredQueue,
    ExecutionStarts,
    LeasingSubscription,
    LineageSink,
    OrderedQueueProtocol,
    QueueProtocol,
    ReadableLineage,
    ResumableStarts,
    StateProvider,
    StorageProtocol,
    TransactionalSubscription,
)

P = TypeVar("P")

Opener: TypeAlias = Callable[[Path], P | AbstractAsyncContextManager[P]]
"""Opener of a provider: given a folder, returns the provider, or an async context manager that gives it.

Each check has a folder of its own, and may open the same one several times, also at once: these are openings of one
store. A store elsewhere takes the folder's name, which is unique, as its schema or prefix. A provider that is returned as it is is
stopped, or closed, after use.
"""

AnyCheck: TypeAlias = Callable[[Callable[[], AbstractAsyncContextManager[Any]]], Awaitable[None]]

OPENS: Final = "it_opens_with_the_methods_of_its_protocol"
"""Name of the first check of each kind: the provider opens, has the protocol's methods, and closes."""


def check_queue_provider(
    open_queue: Opener[QueueProtocol],
    *,
    only: str | Iterable[str] = (),
    virtual: bool = False,
    seed: int = 0,
    seconds: float = 60.0,
) -> ConformanceReport:
    """Run every check that applies to a queue provider, each on a fresh store.

    The protocols that the provider and its subscriptions implement decide which apply. Durable providers are opened
    with a lease of a second or less. Call it outside of trio.

    Args:
        open_queue: Opener, given a folder; see `Opener`.
        only: Names of the checks to run, one or several; all by default.
        virtual: True to run in virtual time, for a provider that waits for trio alone, without threads and sockets.
        seed: Seed of the order in which tasks run in virtual time.
        seconds: Time limit of each check. A check that does not end within it has failed.

    Raises:
        ValueError: `only` names no check.
        RuntimeError: Called inside a trio run.

    Example:
        report = check_queue_provider(lambda folder: open_queue("memory://"), virtual=True)
        report.raise_if_failed()
    """
    how = how_to_run(only=only, virtual=virtual, seed=seed, seconds=seconds)
    found = _Found("the provider")

    async def look(folder: Path) -> None:
        async with _opened(open_queue, "stop", folder) as queue:
            found.name = type(queue).__name__
            _require(queue, QueueProtocol)
            found.note("durable", queue.outlives_process is not False, "outlives_process is False")
            found.note_protocols(
                queue, StateProvider, ExecutionStarts, ResumableStarts, AdministeredQueue, OrderedQueueProtocol
            )
            async with queue.subscribe(QUEUE, "s", 1, 100) as subscription:
                found.note_protocols(subscription, TransactionalSubscription, LeasingSubscription)

    failure = run_alone(look, how)
    suites: list[tuple[Sequence[AnyCheck], str]] = [
        (QUEUE_CHECKS, ""),
        (DURABLE_QUEUE_CHECKS, "durable"),
        (STATE_CHECKS, StateProvider.__name__),
        (START_CHECKS, ExecutionStarts.__name__),
        (TRANSACTION_CHECKS, TransactionalSubscription.__name__),
        (ADMINISTRATION_CHECKS, AdministeredQueue.__name__),
        (ORDER_CHECKS, OrderedQueueProtocol.__name__),
    ]
    needs: dict[AnyCheck, str] = {
        what_other_consumers_have_is_told: LeasingSubscription.__name__,
        what_would_be_resumed_is_known_before: ResumableStarts.__name__,
    }
    checks = [
        _planned(check, open_queue, "stop", found.reason(need) or found.reason(needs.get(check, "")))
        for suite, need in suites
        for check in suite
    ]
    return _report(found.name, failure, checks, how)


def check_storage_provider(
    open_storage: Opener[StorageProtocol],
    *,
    durable: bool = True,
    only: str | Iterable[str] = (),
    virtual: bool = False,
    seed: int = 0,
    seconds: float = 60.0,
) -> ConformanceReport:
    """Run every check that applies to an object store, each on a fresh one; see `check_queue_provider`.

    Args:
        open_storage: Opener, given a folder; see `Opener`.
        durable: False for a store whose objects end with the provider, which two openings do not share.
        only: Names of the checks to run, one or several; all by default.
        virtual: True to run in virtual time.
        seed: Seed of the order in which tasks run in virtual time.
        seconds: Time limit of each check.

    Raises:
        ValueError: `only` names no check.
        RuntimeError: Called inside a trio run.

    Example:
        report = check_storage_provider(lambda folder: open_storage(f"file://{folder}/objects"))
        report.raise_if_failed()
    """
    how = how_to_run(only=only, virtual=virtual, seed=seed, seconds=seconds)
    found = _Found("the object store")
    found.note("durable", durable, "it was said to be durable=False")

    async def look(folder: Path) -> None:
        async with _opened(open_storage, "close", folder) as storage:
            found.name = type(storage).__name__
            _require(storage, StorageProtocol)

    failure = run_alone(look, how)
    checks = [_planned(check, open_storage, "close", "") for check in STORAGE_CHECKS]
    checks += [_planned(check, open_storage, "close", found.reason("durable")) for check in DURABLE_STORAGE_CHECKS]
    return _report(found.name, failure, checks, how)


def check_lineage_sink(
    open_lineage: Opener[LineageSink],
    *,
    only: str | Iterable[str] = (),
    virtual: bool = False,
    seed: int = 0,
    seconds: float = 60.0,
) -> ConformanceReport:
    """Run every check that applies to a lineage store, each on a fresh one; see `check_queue_provider`.

    The checks read what was written; to a sink without a reader (`ReadableLineage`) only the first one applies.

    Args:
        open_lineage: Opener, given a folder; see `Opener`.
        only: Names of the checks to run, one or several; all by default.
        virtual: True to run in virtual time.
        seed: Seed of the order in which tasks run in virtual time.
        seconds: Time limit of each check.

    Raises:
        ValueError: `only` names no check.
        RuntimeError: Called inside a trio run.

    Example:
        report = check_lineage_sink(lambda folder: open_lineage(f"sqlite:///{folder}/lineage"))
        report.raise_if_failed()
    """
    how = how_to_run(only=only, virtual=virtual, seed=seed, seconds=seconds)
    found = _Found("the lineage store")

    async def look(folder: Path) -> None:
        async with _opened(open_lineage, "close", folder) as sink:
            found.name = type(sink).__name__
            _require(sink, LineageSink)
            found.note_protocols(sink, ReadableLineage)

    failure = run_alone(look, how)
    reason = found.reason(ReadableLineage.__name__)
    checks = [_planned(check, open_lineage, "close", reason) for check in LINEAGE_CHECKS]
    return _report(found.name, failure, checks, how)


@dataclass(slots=True)
class _Found:
    """Abilities of a provider.

    Attributes:
        name: Name of its class.
        missing: Reason for each ability that was looked for and not found.
    """

    name: str
    missing: dict[str, str]

    def __init__(self, name: str) -> None:
        self.name = name
        self.missing = {}

    def note(self, ability: str, has: bool, reason: str) -> None:  # noqa: FBT001 - a fact
        if not has:
            self.missing[ability] = reason

    def note_protocols(self, found: object, *protocols: type[Any]) -> None:
        for protocol in protocols:
            name = protocol.__name__
            self.note(name, isinstance(found, protocol), f"{type(found).__name__} is no {name}")

    def reason(self, ability: str) -> str:
        return self.missing.get(ability, "")


def _planned(check: AnyCheck, make: Opener[Any], close: str, reason: str) -> PlannedCheck:
    async def body(folder: Path) -> None:
        await check(partial(_opened, make, close, folder))

    return PlannedCheck(name=check_name(check), body=body, reason=reason)


def _report(name: str, failure: str | None, checks: Sequence[PlannedCheck], how: HowToRun) -> ConformanceReport:
    """Run the checks, unless the provider did not open; its opening is the first of them."""

    async def known(_folder: Path) -> None:
        await trio.lowlevel.checkpoint()
        if failure is not None:
            raise ConformanceError(failure)

    first = PlannedCheck(name=OPENS, body=known)
    if failure is None:
        return run_planned(name, [first, *checks], how)
    results = [CheckResult(name=OPENS, verdict=Verdict.FAILED, text=failure)]
    reason = f"{OPENS} failed"
    results += [CheckResult(name=check.name, verdict=Verdict.NOT_APPLICABLE, text=reason) for check in checks]
    return ConformanceReport(name, tuple(results))


@asynccontextmanager
async def _opened(make: Opener[P], close: str, folder: Path) -> AsyncIterator[P]:
    made: Any = make(folder)
    if hasattr(made, "__aenter__"):
        async with made as provider:
            yield provider
        return
    if isawaitable(made):
        if iscoroutine(made):
            made.close()
        raise ConformanceError(
            "the opener returned an awaitable, expected a provider or an async context manager; "
            "decorate it with @asynccontextmanager and yield the provider"
        )
    if not callable(getattr(made, close, None)):
        raise ConformanceError(f"the opener returned {made!r:.100}, expected a provider with a method {close}()")
    try:
        yield made
    finally:
        await getattr(made, close)()


def _require(provider: object, protocol: type[Any]) -> None:
    if isinstance(provider, protocol):
        return
    members = [name for name in dir(protocol) if not name.startswith("_") and callable(getattr(protocol, name, None))]
    missing = [name for name in members if not hasattr(provider, name)]
    lacks = ", ".join(missing) or "a member of it"
    raise ConformanceError(f"{type(provider).__name__} is no {protocol.__name__}: it lacks {lacks}")
