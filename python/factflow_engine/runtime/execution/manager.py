"""Executions of a process: their number, their shared provider, and the nursery that they run in.

Kept separate from `lifecycle`, which knows one execution and no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config.queue_names import check_queue_names
from factflow_engine.errors import ExecutionIdError, ManagerStateError, TooManyConcurrentExecutionsError
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.lifecycle import Lifecycle
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.execution.plan import ExecutionPlan
from factflow_engine.runtime.execution.trio_only import require_trio
from factflow_engine.seams import Seams
from factflow_protocols import ExecutionStarts, LineageSink, QueueProtocol, ResumableStarts, StorageProtocol

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig


_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_execution_id(text: str) -> bool:
    """True if the text is a valid execution id: 1 to 64 letters, digits, `.`, `_` or `-`, and not `.` or `..`."""
    return _ID.fullmatch(text) is not None and text not in {".", ".."}


class OrchestratorManager:
    """Owner of executions, which it starts: `async with OrchestratorManager(registry=registry) as manager: ...`.

    Leaving the block waits, as a nursery does, until every execution has completed; leaving it by an exception or a
    cancellation cancels them. Either way none is left behind. An exception leaves the block unchanged, not in a group.

    Args:
        registry: Registry of the stages' adapters.
        operators: The condition operators that the configurations were loaded with, if not only the built-in ones.
        max_concurrent_executions: Most executions that may run at a time.
        queue: Provider that executions share; an in-memory one by default. With another, such as
        `open_queue("sqlite:///queue.db")`, messages outlive the process. The caller must stop it.
        storage: Object store of executions whose configuration names none, such as
        `open_storage("file:///var/lib/pipeline")`; needed only if a stage stores something. The caller must close it.
        lineage: Store of the lineage of executions whose configuration asks for it and names none. The caller must close
        it.
        seams: Time, randomness, ids and threads; the machine's own by default.

    Example:
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(config)
            await execution.publish("shout", {"text": "hello"})
            report = await execution.complete()
        assert report.outcomes[Outcome.COMPLETED] == 1
    """

    def __init__(
        self,
        *,
        registry: ValidatingAdapterRegistry,
        operators: OperatorRegistry | None = None,
        max_concurrent_executions: int = 64,
        queue: QueueProtocol | None = None,
        storage: StorageProtocol | None = None,
        lineage: LineageSink | None = None,
        seams: Seams | None = None,
    ) -> None:
        if max_concurrent_executions < 1:
            raise ValueError(f"max_concurrent_executions must be at least 1, got {max_concurrent_executions}")
        self._registry = registry
        self._operators = operators
        self._limit = max_concurrent_executions
        self._provider: QueueProtocol = MemoryQueue() if queue is None else queue
        self._storage = storage
        self._lineage = lineage
        self._lineage_turn = trio.Lock()
        self._seams = seams or Seams.real()
        self._executions: dict[str, PipelineOrchestrator] = {}
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None  # made where trio runs
        self._nursery: trio.Nursery | None = None
        self._leaving = False  # executions started from now on are asked to complete at once

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        require_trio("OrchestratorManager")
        if self._nursery is not None:
            raise ManagerStateError("this manager is entered already; make another OrchestratorManager")
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        self._leaving = False
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nursery is None or self._nursery_manager is None:
            raise AssertionError("left without being entered")  # pragma: no cover - `async with` cannot do it
        self._leaving = True
        if error is not None:
            self._nursery.cancel_scope.cancel()
        else:
            for execution in self._executions.values():
                execution.let_complete()
        # The body's own exception is not given to the nursery, which would wrap it: it propagates unchanged.
        try:
            await self._nursery_manager.__aexit__(None, None, None)
        finally:
            self._nursery = None

    @property
    def executions(self) -> Mapping[str, PipelineOrchestrator]:
        """Executions that have not ended, by id."""
        return MappingProxyType(self._executions)

    @property
    def queue_url(self) -> str | None:
        """URL of the queue that executions share, without secrets; None if the provider has none that lasts."""
        return self._provider.url if isinstance(self._provider, ResumableStarts) else None

    @trio.lowlevel.enable_ki_protection
    async def start(
        self,
        config: PipelineGlobalConfig,
        *,
        publish_init: bool = True,
        execution_id: str | None = None,
        allow_loss: bool = False,
        init: Sequence[InitMessageConfig] | None = None,
        asked_ns: int | None = None,
        learnt_limits: Mapping[str, Any] | None = None,
        recalls: bool = False,
    ) -> PipelineOrchestrator:
        """Start an execution and return it once every route is subscribed and the init message is published.

        Args:
            config: Result of `PipelineConfigLoader.load`. The execution keeps this very snapshot.
            publish_init: True to publish the init messages. On a queue that outlives the process they are not published
            either if the execution is resumed: one of this id has left messages, or runs in another process, or did
            when this start was requested, or has died before its end. `begun` says so.
            execution_id: 1 to 64 letters, digits, `.`, `_` or `-`; a new one by default. Messages that a dead execution
            has left in such a queue are processed by one of the same id.
            allow_loss: True to run, on a queue that outlives the process, stages whose state does not.
            init: The init messages, if not those of the configuration.
            asked_ns: Wall time at which the start was requested, if that was before this call.
            learnt_limits: What `PipelineOrchestrator.learnt_limits` of an earlier execution has returned: limits with
            `warm_start` go on from there.
            recalls: True to recover an execution of this id that has died: a stage that has stored its result for a
            message passes that on rather than process the message again.

        Raises:
            TooManyConcurrentExecutionsError: As many as allowed are running.
            ConfigurationError: The provider refuses a queue name of the configuration.
            StateLossError: A stage would lose its state.
            NoStorageError: A stage stores something, and neither the configuration nor the manager has an object store.
            StorageUrlError: The configuration's object store cannot be used.
            StorageError: The object store cannot be read: it is not reached, its bucket is missing, its folder is a file.
            NoLineageError: Lineage is to be recorded, and neither the configuration nor the manager has a store.
            ExecutionStartError: A stateful stage could not be opened.
            QueueError: The provider could not be used.
            ExecutionIdError: The id is invalid, or an execution of that id is running here.
            ManagerStateError: The manager is not entered, or has been left.
            NotInTrioError: This thread does not run trio.

        Cancellation: the execution is cancelled with it.
        """
        require_trio("OrchestratorManager.start()")
        if self._nursery is None:
            raise ManagerStateError(
                "start() needs the manager to be entered: async with OrchestratorManager(...) as manager"
            )
        if len(self._executions) >= self._limit:
            raise TooManyConcurrentExecutionsError(self._limit)
        if execution_id is None:
            asked_ns = None  # no other execution has it
            execution_id = self._seams.ids.new(self._seams.clock.wall_ns()).hex()
        elif not is_execution_id(execution_id):
            raise ExecutionIdError(
                f"an execution's id is 1 to 64 letters, digits, '.', '_' or '-', and not '.' or '..', got {execution_id!r}"
            )
        elif execution_id in self._executions:
            raise ExecutionIdError(
                f"execution {execution_id!r} is running already; wait for its end, or start another id"
            )
        elif asked_ns is None:
            asked_ns = self._instant_ns()
        check_queue_names(config, self._provider.validate_name)
        plan = ExecutionPlan(
            execution_id=execution_id,
            config=config,
            config_hash=config.hash,
            registry=self._registry,
            operators=self._operators,
            provider=self._provider,
            storage=self._storage,
            seams=self._seams,
            allow_loss=allow_loss,
            asked_ns=asked_ns,
            init=config.init_message if init is None else init,
            recalls=recalls,
            learnt_limits=learnt_limits or {},
            lineage=self._lineage,
            lineage_turn=self._lineage_turn,
        )
        lifecycle = Lifecycle(plan)
        execution = PipelineOrchestrator(lifecycle)
        # Until it has started it runs in the caller's task, which the end of the manager does not cancel by itself.
        starting = trio.CancelScope()
        try:
            self._nursery.start_soon(self._abandon_when_cancelled, lifecycle, starting)
        except RuntimeError:
            lifecycle.discard()
            raise ManagerStateError("this manager has been left; nothing more can be started") from None
        self._executions[execution_id] = execution
        try:
            await self._nursery.start(self._run, lifecycle, publish_init)
        finally:
            starting.cancel()
        if self._leaving:
            execution.let_complete()
        return execution

    def _instant_ns(self) -> int:
        """Return the provider's present time, if it has one: other processes' times are compared with it."""
        provider = self._provider
        return provider.instant_ns() if isinstance(provider, ExecutionStarts) else self._seams.clock.wall_ns()

    @trio.lowlevel.enable_ki_protection
    async def _abandon_when_cancelled(self, lifecycle: Lifecycle, starting: trio.CancelScope) -> None:
        with starting:
            try:
                await trio.sleep_forever()
            finally:
                if not starting.cancel_called:
                    lifecycle.request_stop(0.0)

    @trio.lowlevel.enable_ki_protection
    async def _run(
        self,
        lifecycle: Lifecycle,
        publish_init: bool,  # noqa: FBT001 - nursery.start passes arguments by position
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        try:
            await lifecycle.run(publish_init=publish_init, task_status=task_status)
        finally:
            del self._executions[lifecycle.id]
