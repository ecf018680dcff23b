"""Fan-out: pulls the children that a stage emitted one after another, no faster than the route can carry them.

Kept separate from the loop because only here a worker holds a message with its permit and waits for others. The worker
is then a driver. Its rules, each with a test in tests/runtime/hop/test_fan_out.py:

- A child is handed to other workers while they have permits, or soon will; otherwise the driver carries the child that
  has waited longest. It carries waiting children before it pulls more if every permit is a driver's, or if messages of
  the route are retried and as many wait for a worker as may: otherwise the messages that a breaker releases, more each
  time, would have no bound.
- While it waits for the next element it reserves no room: a source that is silent for an hour blocks no other route. It
  waits for room again when it has the element.
- It pulls nothing while the route is paused or has no room, or while as many messages wait for a retry as the inbound
  queue may hold; unless no route in its cycle of queues can move otherwise (see `deadlock`), and then one child
  proceeds.
- It carries only children of stages later than its own. A child that emits makes it the driver of that, too: it nests
  no deeper than the route has stages.
- It yields by time as any worker does, and other workers serve other routes meanwhile, however long its source is.
- Whatever ends it, the source is closed, and the parent ends with the last of its children.
"""

from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Protocol

import trio

from factflow_engine.native import MessageContext, Siblings, Worker, WorkerPool
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.hop.sources import EXHAUSTED, Source, source_of
from factflow_engine.runtime.hop.work import Child, Parent
from factflow_engine.runtime.stages.breaker_guard import WatchedSource
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_protocols import AdapterResult


class Hands(Protocol):
    """The methods of the loop that a driver calls."""

    @property
    def pool(self) -> WorkerPool: ...  # noqa: D102
    @property
    def settlement(self) -> Settlement: ...  # noqa: D102

    def now(self) -> int:
        """Return the loop's time, in nanoseconds."""
        ...

    def attend(self, route: RouteState, /) -> None:
        """Let a worker check the route."""
        ...

    def enter(self, worker: Worker, /) -> None:
        """Note that this worker runs, after trio has run all other tasks."""
        ...

    def may_exceed(self, route: RouteState) -> bool:
        """True if a driver of this route, the running task, may exceed a capacity; it is about to wait.

        It may have been removed from the route's drivers then, and must check again.
        """
        ...

    def stand_still(self) -> None:
        """Notify tasks that wait for the end that one more message does not move."""
        ...

    def switch(self, worker: Worker, context: Context | None, /) -> Coroutine[Any, Any, None]:
        """Switch context variables: to those of this context, or to those that a message begins with."""
        ...

    async def carry_child(self, worker: Worker, route: RouteState, child: Child) -> None:
        """Carry a message that begins within the route to its end."""
        ...


class FanOut:
    """Drives one message whose stage emitted; made for each, by its worker.

    Args:
        hands: The loop.
        worker: Worker of the message.
        route: Route of the message.
        context: The message.
        child: The message as a child, if it did not come from the queue.
    """

    __slots__ = ("_context", "_hands", "_parent", "_route", "_worker")

    def __init__(
        self, hands: Hands, worker: Worker, route: RouteState, context: MessageContext, child: Child | None
    ) -> None:
        self._hands = hands
        self._worker = worker
        self._route = route
        self._context = context
        self._parent = Parent(context.frame, child)
        if route.roots is not None:
            route.roots.emits(context.frame.message_id, self._parent.root.message_id)

    async def drive(self, result: AdapterResult) -> None:
        """Pull the emitted source to its end, handing children to other workers or carrying them.

        Does not wait for children that other workers carry: the last of them to end ends the parent.

        Cancellation: the parent is given back, with its children that have not ended; the source is closed.
        """
        hands, worker, route, context, parent = self._hands, self._worker, self._route, self._context, self._parent
        driving = route.driving
        is_first = worker not in driving  # else it drives the emission of a child
        driving.add(worker)
        emitted: Any = result.emitted
        watched = emitted if isinstance(emitted, WatchedSource) else None
        if watched is not None:
            route.watched.setdefault(trio.lowlevel.current_task(), []).append(watched)
        source: Source | None = None
        try:
            source = source_of(result.emitted, context.stage_of, context.frame.time_ns)
            await self._pull(source)
        except Exception as error:  # noqa: BLE001 - what a source raises fails its parent, whatever it is
            parent.error = (error, context.stage_of)
            parent.interrupted = is_cancelled()
            if parent.interrupted:
                hands.settlement.note(worker, route, context)
        except BaseException:
            if worker.context is context:  # else a child was interrupted, and is recorded itself
                hands.settlement.note(worker, route, context)
            parent.interrupted = True
            raise
        finally:
            if is_first:
                driving.discard(worker)
            if watched is not None:
                self._watch_no_more()
            await self._end(source)

    async def _pull(self, source: Source) -> None:
        hands, worker, route, context, parent = self._hands, self._worker, self._route, self._context, self._parent
        pool, carrier, children, driving, counters = (
            hands.pool,
            route.carrier,
            route.children,
            route.driving,
            route.counters,
        )
        siblings, index, now_ns = Siblings(context, context.stage_of.label), context.index + 1, worker.since_ns
        while True:
            mine: Child | None = None
            goes_ahead = False
            if (
                route.pauses
                or ((waiting := counters.retrying) and waiting >= route.inbound.capacity)
                or carrier.room(1) <= 0
            ):
                mine, goes_ahead = await self._wait_for_room()
            elif children and (
                len(driving) >= carrier.limit or (waiting and carrier.busy + len(children) >= 2 * carrier.limit - 1)
            ):
                mine = route.child_for_driver(context.index)
            if mine is None:
                pool.leave()
                carrier.pulling += 1
                try:
                    value = await source.pull()
                finally:
                    carrier.pulling -= 1
                    pool.active = worker
                if value is EXHAUSTED:
                    return
                now_ns = hands.now()
                child = Child(siblings.next(value), index, parent, since_ns=now_ns)
                parent.open += 1
                counters.received += 1
                others = carrier.limit - len(driving)  # permits of workers that carry children by themselves
                if goes_ahead:
                    mine = child
                elif others > 0 and carrier.busy + len(children) < 2 * carrier.limit - 1 and not route.pauses:
                    children.append(child)
                    hands.attend(route)
                elif not route.pauses and carrier.room(1) <= 0:
                    children.append(child)  # others have used the room meanwhile
                else:
                    mine = child
                    if children and (first := route.child_for_driver(context.index)) is not None:
                        children.append(child)
                        mine = first
            if mine is not None:
                since_ns = worker.since_ns
                variables = trio.lowlevel.current_task().context if worker.has_set else None
                if variables is not None:
                    await hands.switch(worker, None)  # the child's own, and then the parent's again
                await hands.carry_child(worker, route, mine)
                worker.context, worker.since_ns = context, since_ns
                if variables is not None:
                    await hands.switch(worker, variables)
                now_ns = hands.now()
            worker.turns -= 1
            if worker.turns <= 0 or now_ns > worker.until_ns:
                await self._give_way()

    async def _give_way(self) -> None:
        """Yield to trio, with another worker woken: a driver serves no other route before its source has ended."""
        self._hands.pool.leave()
        await trio.lowlevel.checkpoint()
        self._hands.enter(self._worker)

    async def _wait_for_room(self) -> tuple[Child | None, bool]:
        """Wait until a child may be pulled, or until one waits that only a driver can carry.

        Returns:
            The waiting child, if there is one; and True if it exceeds a capacity.
        """
        hands, route = self._hands, self._route
        task = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            if task in route.drivers:
                route.drivers.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        while not route.may_emit:
            if route.carrier.busy >= route.carrier.limit and route.may_go_on:
                child = route.child_for_driver(self._context.index)
                if child is not None:
                    return child, False
            route.drivers.append(task)
            goes_ahead = hands.may_exceed(route)
            if task not in route.drivers:  # it was removed so as to check again: a letter was published
                await self._give_way()
                continue
            if goes_ahead:
                route.drivers.remove(task)
                is_full = route.carrier.busy >= route.carrier.limit
                return route.child_for_driver(self._context.index) if is_full else None, True
            hands.stand_still()
            if route.has_work:
                hands.attend(route)  # this driver reserves no room any more, which may have been all that was missing
            hands.pool.leave()
            try:
                await trio.lowlevel.wait_task_rescheduled(abort)
            finally:
                hands.enter(self._worker)
        return None, False

    def _watch_no_more(self) -> None:
        watched, task = self._route.watched, trio.lowlevel.current_task()
        watched[task].pop()
        if not watched[task]:
            del watched[task]

    async def _end(self, source: Source | None) -> None:
        """Close the source, and end the parent if nothing of it is left."""
        hands, worker, route, context, parent = self._hands, self._worker, self._route, self._context, self._parent
        try:
            if source is not None:
                hands.pool.leave()
                try:
                    await source.close()
                finally:
                    hands.pool.active = worker
        except Exception as error:  # noqa: BLE001 - the source's clean-up is part of the source
            if is_cancelled():  # an error made of a cancellation is no outcome
                if not parent.interrupted:
                    hands.settlement.note(worker, route, context)
                parent.interrupted = True
            else:
                parent.error = parent.error or (error, context.stage_of)
        except BaseException:
            if not parent.interrupted:  # else it was recorded, or the child was
                hands.settlement.note(worker, route, context)
            parent.interrupted = True
            raise
        finally:
            parent.exhausted = True
            hands.settlement.end_parent(route, parent)
