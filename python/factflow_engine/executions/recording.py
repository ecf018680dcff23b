"""Recording of executions that run in this process: begun in the store, kept alive there, and ended there.

A task for each execution renews its lease about once a second, stores its statistics with it, and cancels it when
somebody has asked for that through the store. When the execution has ended, the task stores its report. Only `start`
waits for the store before anything is processed; from then on a store that fails or is slow never fails or slows the
execution. Its failures are logged and counted (`problems`). While the store is out of reach, readers see the execution
as `interrupted` once its lease is over; the next renewal that reaches the store takes that back.

The tasks are the store's, not the execution's: an execution that is cancelled must still be recorded as cancelled. So
they are shielded from cancellation, and end with their execution, within a bounded time.

Kept separate from the store, which is also used by processes that run nothing.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

import trio

from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.error_texts import describe
from factflow_engine.errors import ManagerStateError
from factflow_engine.executions.documents import report_as_document, statistics_as_document
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.providers import execution_store
from factflow_engine.executions.records import ExecutionDraft, ExecutionSummary
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.execution.trio_only import require_trio
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.seams import Seams

logger = logging.getLogger("factflow_engine.executions")

LEASE_SECONDS: Final = 15.0
"""Time after the last renewal until readers take an execution for interrupted."""

RENEW_SECONDS: Final = 1.0
"""Time between renewals; also between a request to cancel and its effect."""

WAIT_SECONDS: Final = 0.25
"""Time between two looks at an execution that another process runs."""

FINISH_SECONDS: Final = 10.0
"""Time in which the end of an execution is tried to be stored."""


class Manager(Protocol):
    """The parts of `OrchestratorManager` that are used."""

    @property
    def queue_url(self) -> str | None:
        """URL of its queue; None for queues in memory."""
        ...

    async def start(
        self,
        config: PipelineGlobalConfig,
        *,
        publish_init: bool = True,
        execution_id: str | None = None,
        allow_loss: bool = False,
        asked_ns: int | None = None,
        learnt_limits: Mapping[str, Any] | None = None,
        recalls: bool = False,
    ) -> PipelineOrchestrator:
        """Start an execution."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Origin of an execution, for its record.

    Attributes:
        config_id: Stored configuration that it runs.
        config_version: Version of it.
        parent: Execution that it replays, forks or recovers.
        replay_source: Origin of its messages then: `storage`, `queue` or `manual`.
    """

    config_id: str | None = None
    config_version: int | None = None
    parent: str | None = None
    replay_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedExecution:
    """Result of a start.

    Attributes:
        id: Id of the record.
        execution: The execution; None if another start with the same idempotency key was first, in whatever process.
    """

    id: str
    execution: PipelineOrchestrator | None


Feed: TypeAlias = Callable[[StartedExecution], Awaitable[None]]
"""Publisher of messages to an execution that has begun."""


class _Recorded:
    """An execution that is recorded."""

    def __init__(self, record_id: str) -> None:
        self.id: Final = record_id
        self.scope = trio.CancelScope(shield=True)
        self.is_decided = trio.Event()  # its start has succeeded, or failed
        self.execution: PipelineOrchestrator | None = None  # once it has begun
        self.start_status = ExecutionStatus.FAILED  # how it ended if its start failed, and why
        self.start_error: str | None = None  # not None if it failed
        self.cancel_seconds: float | None = None  # the shortest grace that it was cancelled with
        self.failures = 0  # renewals since the last that reached the store
        self.recorded_end = False


class Executions:
    """A store of executions, and the executions of this process that are recorded in it.

    Leaving the block waits until the executions that were started here have ended and their ends are stored; enter it
    before the manager, which ends them. Left by an exception or a cancellation, it waits only for those that have ended:
    the records of others will show `interrupted`.

    Example:
        async with (
            open_executions("sqlite:///executions.db") as executions,
            OrchestratorManager(registry=registry) as manager,
        ):
            started = await executions.start(manager, config, tag="nightly", idempotency_key="2026-11-30")
            if started.execution is not None:
                await started.execution.complete()
        async with open_executions("sqlite:///executions.db") as executions:
            assert (await executions.store.execution("nightly")).status is ExecutionStatus.COMPLETED

    Args:
        store: The store; closed when the block is left.
        lease_seconds: Time after the last renewal until readers take an execution for interrupted.
        renew_seconds: Time between renewals; a third of the lease at most.
        seams: Time and ids; the machine's own by default.

    Attributes:
        store: The store, for everything but starting.
        problems: What of the executions started here could not be recorded, one text each.
    """

    def __init__(
        self,
        store: ExecutionStore,
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        seams: Seams | None = None,
    ) -> None:
        if not lease_seconds > 0 or not 0 < renew_seconds <= lease_seconds / 3:
            raise ValueError(
                f"expected a lease of at least three times renew_seconds ({renew_seconds:g}), got {lease_seconds:g} s"
            )
        self.store: Final = store
        self.problems: list[str] = []
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._seams = seams or Seams.real()
        self._recorded: set[_Recorded] = set()
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        require_trio("open_executions")
        if self._nursery is not None:
            raise ManagerStateError("these executions are entered already; call open_executions again")
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nursery_manager is None:
            raise AssertionError("left without being entered")  # pragma: no cover - `async with` cannot do it
        try:
            if error is None:
                for recorded in list(self._recorded):
                    await _wait_ended(recorded)
        finally:
            for recorded in self._recorded:
                if not _has_ended(recorded):
                    self._note(
                        f"execution {recorded.id} goes on and is no longer recorded; it will show as interrupted"
                    )
                    recorded.scope.cancel()
            try:
                # The body's own exception is not given to the nursery, which would wrap it.
                await self._nursery_manager.__aexit__(None, None, None)
            finally:
                self._nursery = None
                await self.store.close()

    @trio.lowlevel.enable_ki_protection
    async def start(
        self,
        manager: Manager,
        config: PipelineGlobalConfig,
        *,
        execution_id: str | None = None,
        idempotency_key: str | None = None,
        tag: str = "",
        metadata: Mapping[str, Any] | None = None,
        origin: Origin = Origin(),
        publish_init: bool = True,
        allow_loss: bool = False,
        init: Sequence[InitMessageConfig] | None = None,
        asked_ns: int | None = None,
        recalls: bool = False,
        feed: Feed | None = None,
    ) -> StartedExecution:
        """Store an execution as running, start it, and record it until its end.

        Args:
            manager: Manager that starts it.
            config: See `OrchestratorManager.start`.
            execution_id: Id that its queues, objects and lineage rows have; by default the record's.
            idempotency_key: Of all starts with one key, in all processes that use the store, only the first starts an
            execution, for as long as its record is there.
            tag: Label for people and scripts.
            metadata: Values that JSON can hold, for the record.
            origin: Origin of the execution.
            publish_init: See `OrchestratorManager.start`.
            allow_loss: See `OrchestratorManager.start`.
            init: See `OrchestratorManager.start`.
            asked_ns: See `OrchestratorManager.start`.
            recalls: See `OrchestratorManager.start`.
            feed: Publishes messages from elsewhere, after the init messages. If it fails, or is cancelled, the execution
            is cancelled, and its record never says `completed`.

        Raises:
            ExecutionStoreError: The store failed; nothing was started.
            IdempotencyError: The key belongs to an execution of another configuration.
            RecordValueError: The tag, the key or the metadata cannot be stored.
            ManagerStateError: The block of these executions is not entered, or was left.
            FactflowError: The manager refused; the record says why, and is `failed`.
            Exception: `feed` raised it.

        Cancellation: the execution is cancelled with it, and its record says so.
        """
        if self._nursery is None:
            raise ManagerStateError(
                "start() needs to be inside the block: async with open_executions(url) as executions"
            )
        config = _as_run(config, init, publish_init=publish_init)
        hidden = Hiding(config.secrets)
        wall_ns = self._seams.clock.wall_ns()
        record_id = self._seams.ids.new(wall_ns).hex()
        draft = ExecutionDraft(
            id=record_id,
            scope=record_id if execution_id is None else execution_id,
            name=hidden(config.name),
            snapshot=config.to_yaml(),
            directory=str(config.directory),
            config_hash=config.hash,
            started_ns=wall_ns,
            host=os.uname().nodename,
            pid=os.getpid(),
            config_id=origin.config_id,
            config_version=origin.config_version,
            tag=tag,
            metadata=metadata or {},
            parent=origin.parent,
            replay_source=origin.replay_source,
            idempotency_key=idempotency_key,
            queue=manager.queue_url,
        )
        begun = await self.store.begin(draft, lease_seconds=self._lease_seconds)
        if not begun.is_new:
            return StartedExecution(id=begun.id, execution=None)
        recorded = _Recorded(record_id)
        self._recorded.add(recorded)
        self._nursery.start_soon(self._record, recorded)
        with _deciding(recorded, hidden):
            learnt = await self._learnt(config, draft)
            recorded.execution = await manager.start(
                config,
                publish_init=publish_init,
                execution_id=draft.scope,
                allow_loss=allow_loss,
                asked_ns=asked_ns,
                learnt_limits=learnt,
                recalls=recalls,
            )
            started = StartedExecution(id=record_id, execution=recorded.execution)
            if feed is not None:
                await _fed(started, recorded.execution, feed)
        return started

    async def wait(self, execution_id: str) -> ExecutionSummary:
        """Wait until an execution, of any process, has ended or is interrupted.

        Looks a few times a second. An interrupted execution may turn out to be alive after all.

        Raises:
            UnknownRecordError: There is no such execution.
            ExecutionStoreError: The store failed.

        Cancellation: nothing changes.
        """
        while True:
            found = await self.store.status(execution_id)
            if found.status is not ExecutionStatus.RUNNING:
                return found
            await trio.sleep(WAIT_SECONDS)

    # -- the task of one execution -----------------------------------------------------------------------------------

    async def _record(self, recorded: _Recorded) -> None:
        try:
            with recorded.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._renew, recorded, nursery)
                    await _wait_ended(recorded)
                    nursery.cancel_scope.cancel()
                await self._finish(recorded)
        finally:
            self._recorded.discard(recorded)

    async def _renew(self, recorded: _Recorded, nursery: trio.Nursery) -> None:
        while True:
            await trio.sleep(self._renew_seconds)
            try:
                execution = recorded.execution
                renewal = await self.store.renew(
                    recorded.id,
                    lease_seconds=self._lease_seconds,
                    statistics=None
                    if execution is None
                    else statistics_as_document(execution.statistics(details=False)),
                    seen_ns=self._seams.clock.wall_ns(),
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason for the execution to fail
                recorded.failures += 1
                if recorded.failures == 1:
                    logger.warning("execution %s could not be recorded: %s; it goes on", recorded.id, describe(error))
                continue
            if recorded.failures or renewal.lapsed:
                lapsed = "; readers took it for interrupted meanwhile" if renewal.lapsed else ""
                logger.warning(
                    "execution %s is recorded again, after %d failures%s", recorded.id, recorded.failures, lapsed
                )
            recorded.failures = 0
            self._obey(recorded, renewal.cancel_seconds, nursery)

    def _obey(self, recorded: _Recorded, asked: float | None, nursery: trio.Nursery) -> None:
        """Cancel an execution, if that was asked for, and not yet with so short a grace."""
        done = recorded.cancel_seconds
        if asked is None or recorded.execution is None or (done is not None and done <= asked):
            return
        recorded.cancel_seconds = asked
        logger.warning("execution %s is cancelled, as was asked for through the store", recorded.id)
        nursery.start_soon(recorded.execution.cancel, asked)

    async def _finish(self, recorded: _Recorded) -> None:
        """Store the end of an execution; try again for a while."""
        status, error = recorded.start_status, recorded.start_error
        execution = recorded.execution
        report = None if execution is None else execution.report
        if report is not None:
            status, error = report.status, report.error
            if recorded.start_error is not None and status is not ExecutionStatus.FAILED:
                # It may have completed with what it had got by then.
                status, error = ExecutionStatus.CANCELLED, recorded.start_error
        wait, problem = 0.05, "out of time"
        with trio.move_on_after(FINISH_SECONDS):
            while not recorded.recorded_end:
                try:
                    await self.store.finish(
                        recorded.id,
                        status,
                        ended_ns=self._seams.clock.wall_ns(),
                        error=error,
                        report=None if report is None else report_as_document(report),
                        limits={} if execution is None or report is None else execution.learnt_limits(),
                    )
                    recorded.recorded_end = True
                except Exception as failure:  # noqa: BLE001 - its caller has the report, and no use for this
                    problem = describe(failure)
                    await trio.sleep(wait)
                    wait *= 2
        if not recorded.recorded_end:
            self._note(f"the end of execution {recorded.id} ({status}) could not be recorded: {problem}")

    async def _learnt(self, config: PipelineGlobalConfig, draft: ExecutionDraft) -> Mapping[str, Any]:
        """Return what the limits of the configuration's last execution had learnt, if it wants to know."""
        if not config.warm_starts:
            return {}
        try:
            return await self.store.learnt_limits(draft.name, draft.config_id)
        except Exception as error:  # noqa: BLE001 - limits then begin as without a store
            logger.warning("execution %s starts without what limits had learnt: %s", draft.id, describe(error))
            return {}

    def _note(self, problem: str) -> None:
        self.problems.append(problem)
        logger.error("%s", problem)


def open_executions(
    url: str,
    *,
    directory: Path | None = None,
    lease_seconds: float = LEASE_SECONDS,
    renew_seconds: float = RENEW_SECONDS,
    seams: Seams | None = None,
) -> Executions:
    """Return the executions of a store, whose block is to be entered; see `Executions`.

    Args:
        url: The store; nothing is opened yet.
        directory: Folder that relative paths start from; the working directory by default.
        lease_seconds: See `Executions`.
        renew_seconds: See `Executions`.
        seams: Time, ids and threads; the machine's own by default.

    Raises:
        ExecutionStoreUrlError: The URL cannot be read.
        ExecutionStoreError: The store needs an extra that is not installed.
        ValueError: The lease is too short for the renewals.
    """
    seams = seams or Seams.real()
    store = execution_store(url, directory=directory, seams=seams)
    return Executions(store, lease_seconds=lease_seconds, renew_seconds=renew_seconds, seams=seams)


def _as_run(
    config: PipelineGlobalConfig, init: Sequence[InitMessageConfig] | None, *, publish_init: bool
) -> PipelineGlobalConfig:
    """Return a configuration with the init messages that an execution begins with: a recovery begins with them again."""
    messages = () if not publish_init else config.init_message if init is None else tuple(init)
    return config if messages == config.init_message else config.model_copy(update={"init_message": messages})


def _has_ended(recorded: _Recorded) -> bool:
    execution = recorded.execution
    return recorded.is_decided.is_set() and (execution is None or execution.report is not None)


async def _wait_ended(recorded: _Recorded) -> None:
    await recorded.is_decided.wait()
    if recorded.execution is not None:
        await recorded.execution.wait_ended()


async def _fed(started: StartedExecution, execution: PipelineOrchestrator, feed: Feed) -> None:
    """Publish what an execution is to have; cancel it if that does not come to its end."""
    try:
        await feed(started)
    except BaseException:
        with trio.CancelScope(shield=True):
            await execution.cancel(0)
        raise


@contextmanager
def _deciding(recorded: _Recorded, hidden: Hiding) -> Iterator[None]:
    """Note how a start has ended, whatever way it did."""
    try:
        yield
    except BaseException as error:
        if _is_cancellation(error):
            recorded.start_status = ExecutionStatus.CANCELLED
            recorded.start_error = (
                "cancelled before it had started"
                if recorded.execution is None
                else "cancelled before all its messages were published"
            )
        else:
            recorded.start_error = hidden(describe(error)) if isinstance(error, Exception) else type(error).__name__
        raise
    finally:
        recorded.is_decided.set()


def _is_cancellation(error: BaseException) -> bool:
    """True for a cancellation, also as nurseries wrap it in groups, with nothing else in them."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
