"""Carrying of one message: from its start to its end, to a stage that emits, or to an interruption.

The native carrier runs until something has to wait or an unusual result was returned; this module continues from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple

import trio

from factflow_engine.frames import pack
from factflow_engine.native import (
    ATTEMPT_ANSWERED,
    ATTEMPT_IGNORED,
    STEP_LEFT_OPEN,
    STEP_RETURNED,
    STEP_STRANDED,
    STEP_SUSPENDED,
    Worker,
)
from factflow_engine.runtime.hop.context import MessageContext
from factflow_engine.runtime.hop.errors import stranded
from factflow_engine.runtime.hop.fan_out import FanOut
from factflow_engine.runtime.hop.limiting import end_of
from factflow_engine.runtime.hop.progress import Progress
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_engine.runtime.stages.open_scopes import replaced
from factflow_engine.runtime.stages.results import not_a_result
from factflow_protocols import AdapterResult

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

Arguments = TypeVarTuple("Arguments")


class Carrying:
    """Carries messages, each on its worker; also the interface for drivers of emitted children (`fan_out.Hands`).

    Args:
        workers: Workers of the execution.
        settlement: Ends attempts.
        progress: Notified when tasks that wait for the end may have to check again.
        relief: Decides which driver may exceed a capacity.
        now: Clock of the loop, in nanoseconds.
    """

    def __init__(
        self,
        workers: Workers,
        settlement: Settlement,
        progress: Progress,
        relief: Relief,
        *,
        now: Callable[[], int],
    ) -> None:
        self._workers = workers
        self._progress = progress
        self._relief = relief
        self.settlement: Final = settlement
        self.now: Final = now
        self.pool: Final = workers.pool
        self.enter: Final[Callable[[Worker], None]] = workers.enter
        self.stand_still: Final[Callable[[], None]] = progress.note_stop
        self.switch: Final[Callable[[Worker, Context | None], Coroutine[Any, Any, None]]] = workers.switch

    def may_exceed(self, route: RouteState) -> bool:
        """True if a driver of this route, the running task, may exceed a capacity; it is about to wait.

        Work that this allows others to do may let the driver check again: it is then removed from the route's drivers.
        """
        route.drivers.asking = task = trio.lowlevel.current_task()
        try:
            return self._relief.may_drive(route, task)
        finally:
            route.drivers.asking = None

    async def carry_child(self, worker: Worker, route: RouteState, child: Child) -> None:
        """Carry a message that was not taken from the inbound queue."""
        carrier = route.carrier
        worker.since_ns = self.now()
        if child.result is None:
            await self.carry(worker, route, child, carrier.begin, worker, child)
        else:
            await self.carry(worker, route, child, carrier.answer, worker, child, child.result)

    async def carry(
        self,
        worker: Worker,
        route: RouteState,
        child: Child,
        begin: Callable[[*Arguments], int],
        *arguments: *Arguments,
    ) -> None:
        """Carry a child to its end, or on from the step that `begin` returns.

        Raises only exceptions that interrupt a message, after giving it back.
        """
        try:
            step = begin(*arguments)
        except BaseException as raised:  # noqa: BLE001 - `fail` raises what interrupts
            await self.fail(worker, route, child, raised)
        else:
            await self.carry_on(worker, route, child, step)
        if worker.has_set:
            worker.context = None  # it has ended
            await self.switch(worker, None)

    async def carry_on(self, worker: Worker, route: RouteState, child: Child | None, step: int) -> None:
        """Carry the worker's message, which is at this step, to its end.

        Raises only exceptions that interrupt it, after giving it back.
        """
        carrier, pool, progress = route.carrier, self.pool, self._progress
        emitting: AdapterResult | None = None
        try:
            while step:
                if step == STEP_SUSPENDED:
                    if progress.is_watched:
                        progress.stir()
                    step = await carrier.waited(worker, pool, True)
                elif step == STEP_RETURNED:
                    result, worker.value = worker.value, None  # not kept while the worker is idle
                    if type(result) is not AdapterResult:
                        raise TypeError(not_a_result(result))
                    context = _context_of(worker)
                    headers = None if result.headers is None else context.merged(result.headers)
                    if result.emitted is not None:
                        if route.limiter is not None:
                            self._end_attempt(worker, route, child)
                        if headers is not None:
                            worker.context = context.with_headers(headers)
                        emitting = result
                        break
                    step = carrier.change(worker, pack(result.message), headers)
                elif step == STEP_STRANDED:
                    raise stranded(route)
                elif step == STEP_LEFT_OPEN:
                    raise await self._recover(worker)
                else:
                    progress.stir()
                    pool.leave()
                    pending, worker.pending = worker.pending, None
                    try:
                        result = await pending
                    finally:
                        self.enter(worker)
                    step = carrier.proceed(worker, result)
        except BaseException as raised:  # noqa: BLE001 - `fail` raises what interrupts
            await self.fail(worker, route, child, raised)
            return
        if emitting is not None:
            if progress.is_watched:
                progress.stir()
            await FanOut(self, worker, route, _context_of(worker), child).drive(emitting)
        elif child is not None and child.parent is not None:
            self.settlement.end_child(route, child.parent)

    def _end_attempt(self, worker: Worker, route: RouteState, child: Child | None) -> None:
        """Give the permit of a message back that is about to emit; an error of the limit's algorithm is not the message's."""
        try:
            route.carrier.end_attempt(worker, ATTEMPT_ANSWERED)
        except BaseException:
            context, worker.context = _context_of(worker), None
            self.settlement.interrupt(worker, route, context, None if child is None else child.parent)
            raise

    def end_parent(self, worker: Worker, route: RouteState) -> None:
        """End the parent whose last child has just ended on this worker."""
        parent, worker.value = worker.value, None  # not kept while the worker is idle
        self.settlement.end_parent(route, parent)

    async def fail(self, worker: Worker, route: RouteState, child: Child | None, raised: BaseException) -> None:
        """End the attempt at the worker's message, whose stage has raised this.

        Raises only exceptions that interrupt it, after giving it back; or what no message has caused.
        """
        held, error, settlement = worker.context, raised, self.settlement
        end = ATTEMPT_IGNORED
        try:
            if held is None:
                raise raised  # nothing was taken: the engine's own failure
            try:
                if worker.is_astray:
                    error = replaced(raised, await self._recover(worker))
                if not isinstance(error, Exception):
                    raise raised
                if is_cancelled():
                    await (
                        trio.lowlevel.checkpoint_if_cancelled()
                    )  # raises: an error made of a cancellation is no outcome
            except BaseException:
                settlement.interrupt(worker, route, held, None if child is None else child.parent)
                raise
            else:
                end = end_of(error)
                settlement.fail(route, held, child, error)
        finally:
            if route.limiter is not None:
                route.carrier.end_attempt(worker, end)
            del raised, error  # their tracebacks hold this frame: a cycle of references

    async def _recover(self, worker: Worker) -> Exception:
        """Clean up scopes that the worker's adapter has left open; return the error to fail its message with.

        Raises:
            LeftEarlyError: The adapter has left a scope of the engine.
        """
        self._progress.stir()
        self.pool.leave()
        try:
            return await self._workers.footing_of(worker).recover(_context_of(worker))
        finally:
            self.enter(worker)


def _context_of(worker: Worker) -> MessageContext:
    context = worker.context
    if context is None:
        raise AssertionError("a message on its way has a context")  # pragma: no cover - the carrier's promise
    return context
