"""Adapters in worker processes, as their stage sees them.

Kept separate from `worker`, which handles one process, and from the stage, which calls every adapter in the same way.
The wait for a free process is outside the stage's breaker and timeout, which measure work.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.isolation import isolation_fault, place_of
from factflow_engine.errors import AdapterRegistrationError
from factflow_engine.native import MessageContext
from factflow_engine.runtime.stages.crossing import answer, pack_request, result_of
from factflow_engine.runtime.stages.worker import Worker
from factflow_engine.runtime.stages.worker_main import ClassPlace, Start
from factflow_engine.seams import Processes, Seams
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StageInfo

if TYPE_CHECKING:
    from factflow_engine.config import AdapterConfig

Call = Callable[[MessageContext], Awaitable[AdapterResult | None]]


def make_adapter(
    registry: ValidatingAdapterRegistry, section: AdapterConfig, info: StageInfo, seams: Seams
) -> PipelineAdapter:
    """Make the adapter of a stage, or its process pool.

    Raises:
        AdapterRegistrationError: It cannot run where the configuration says.
        Exception: The constructor's exception, here; in another process the adapter is made when the stage is opened.
    """
    spec = registry.get(section.type)
    fault = isolation_fault(spec, section.isolation)
    if fault is not None:
        raise AdapterRegistrationError(*fault)
    if place_of(spec.adapter_class, section.isolation) != "process":
        return registry.create(section.type, section.config)
    if seams.processes is None:
        return InlineAdapter(registry.create(section.type, section.config), info)
    registry.validate_config(section.type, section.config)
    is_own = spec.config_model is None or spec.config_model is spec.adapter_class.config_model
    return ProcessPool(
        Start(
            type=section.type,
            adapter=ClassPlace.of(spec.adapter_class),
            model=None if is_own or spec.config_model is None else ClassPlace.of(spec.config_model),
            config=_plain(section.config),
            info=info,
        ),
        seams.processes,
        limit=section.processes or len(os.sched_getaffinity(0)),
        max_messages=section.max_messages_per_process,
    )


class InlineAdapter(PipelineAdapter):
    """Adapter with process isolation that runs inline, as in a simulation; its messages are packed all the same."""

    def __init__(self, adapter: PipelineAdapter, info: StageInfo) -> None:
        self._adapter = adapter
        self._info = info

    def process(self, context: PipelineContext) -> AdapterResult | None:
        """See `PipelineAdapter.process`."""
        return result_of(answer(self._adapter, self._info, pack_request(context)))


class ProcessPool(PipelineAdapter):
    """Worker processes of one stage: `open` starts the first, others start when all are busy, up to a limit.

    A dead process is replaced on demand. All have ended when `close` returns.
    """

    def __init__(self, start: Start, processes: Processes, *, limit: int, max_messages: int | None) -> None:
        self._start: Final = start
        self._processes: Final = processes
        self._turns: Final = trio.Semaphore(limit)
        self._max_messages: Final = max_messages
        self._idle: Final[list[Worker]] = []
        self._given: Final[dict[int, Worker]] = {}  # by the context's identity

    async def open(self, stage: StageInfo) -> None:  # noqa: ARG002 - it has been told before
        """Start the first process, which checks that the adapter can be made in one.

        Raises:
            WorkerDiedError: The process died meanwhile.
            Exception: Importing or making the adapter raised in the process.

        Cancellation: see `Worker.start`.
        """
        self._idle.append(await Worker.start(self._processes, self._start))

    async def discard(self) -> None:
        """Do nothing: nothing is stored."""

    async def close(self) -> None:
        """End all processes; none may be busy.

        Cancellation: none; it takes about a second at most.
        """
        async with trio.open_nursery() as nursery:
            while self._idle:
                nursery.start_soon(self._idle.pop().retire)

    def in_turn(self, call: Call) -> Call:
        """Return a call that waits for a free process, and assigns it to the `process` within.

        Cancellation: while it waits, nothing has begun; then as `process`.
        """

        async def called(context: MessageContext) -> AdapterResult | None:
            async with self._turns:
                self._given[id(context)] = worker = await self._free()
                try:
                    return await call(context)
                finally:
                    del self._given[id(context)]
                    await self._take_back(worker)

        return called

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Process the message in its assigned worker process.

        Raises:
            WorkerDiedError: The process ended before it answered.
            Exception: The adapter raised.

        Cancellation: the process is killed, and has ended before the cancellation propagates.
        """
        return result_of(await self._given[id(context)].ask(pack_request(context)))

    async def _free(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            await worker.kill()  # no message is to blame: processes that it had started end, too
        return await Worker.start(self._processes, self._start)

    async def _take_back(self, worker: Worker) -> None:
        if not worker.is_alive:
            return
        if self._max_messages is not None and worker.handled >= self._max_messages:
            await worker.retire()
        else:
            self._idle.append(worker)


def _plain(value: Any) -> Any:
    """Return a frozen configuration as dicts and lists."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
