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
- Children past the last stage it carries itself, in the order in which they were emitted: publishing never waits.
- It carries only children of stages later than its own. A child that emits makes it the driver of that, too: it nests
  no deeper than the route has stages.
- It yields by time as any worker does, and other workers serve other routes meanwhile, however long its source is.
- Whatever ends it, the source is closed, and the parent ends with the last of its children.

As far as nobody has to wait all this is done natively, by the same rules (`Puller`). What stands here is done where that
stops, and for sources that only `Source.pull` may be asked.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import (
    EMITTED,
    PULL_BLOCKED,
    PULL_CARRIED,
    PULL_EXHAUSTED,
    PULL_MADE,
    PULL_PULLING,
    PULL_TURN_OVER,
    Child,
    MessageContext,
    Puller,
    Siblings,
    Worker,
    WorkerPool,
)
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.hop.sources import EXHAUSTED, Source, source_of
from factflow_engine.runtime.hop.work import Parent
from factflow_engine.runtime.stages.breaker_guard import WatchedSource
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_protocols import AdapterResult, StageStatus


class Hands(Protocol):
    """The methods of the loop that a driver calls."""

    @property
    def pool(self) -> WorkerPool: ...  # noqa: D102
    @property
    def settlement(self) -> Settlement: ...  # noqa: D102

    def now(self) -> int:
        """Return the loop's time, in nanoseconds."""
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

    async def carry(self, worker: Worker, route: RouteState, child: Child, begin: Callable[[], int], /) -> None:
        """Carry it on from the step that `begin` returns, or from what that raises."""
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

    __slots__ = ("_context", "_hands", "_parent", "_route", "_siblings", "_since_ns", "_worker")

    def __init__(
        self, hands: Hands, worker: Worker, route: RouteState, context: MessageContext, child: Child | None
    ) -> None:
        self._hands = hands
        self._worker = worker
        self._route = route
        self._context = context
        self._since_ns = worker.since_ns
        self._parent = Parent(context.frame, child)
        self._siblings = Siblings(context, context.stage_of.label)
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
            route.drivers.watched.setdefault(trio.lowlevel.current_task(), []).append(watched)
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
        hands, worker, route, context = self._hands, self._worker, self._route, self._context
        siblings = self._siblings
        puller = Puller(route.carrier, worker, self._parent, siblings, route.driving, route.notify.attend, EXHAUSTED)
        while True:
            iterator = source.begin()
            stop = PULL_BLOCKED if iterator is None else puller.pull(iterator)
            if stop == PULL_EXHAUSTED:
                return
            if stop == PULL_TURN_OVER:
                await self._give_way()
                continue
            mine: Child | None = None
            if stop == PULL_BLOCKED:
                mine, goes_ahead = await self._may_pull()
                if mine is None:
                    value = await self._wait_for(context.stage_of.watched(source.pull(), EMITTED))
                    if value is EXHAUSTED:
                        return
                    child = self._begin(siblings.next(value))
                    mine = child if goes_ahead else self._place(child)
            elif stop == PULL_PULLING:
                value = await self._wait_for(source.finish(puller.take()))
                if value is EXHAUSTED:
                    return
                mine = self._place(self._begin(siblings.next(value)))
            elif stop == PULL_MADE:
                mine = self._place(puller.take())
            elif stop == PULL_CARRIED:
                await hands.carry(worker, route, puller.take(), puller.carried)
            else:
                worker.context = None  # the child has ended, as after any message that has set variables
                await hands.switch(worker, None)
            if mine is not None:
                await self._carry(mine)
            worker.context, worker.since_ns = context, self._since_ns
            worker.turns -= 1
            if worker.turns <= 0 or hands.now() > worker.until_ns:
                await self._give_way()

    async def _may_pull(self) -> tuple[Child | None, bool]:
        """Wait until an element may be pulled, or until another child is to be carried before.

        Returns:
            That child, if there is one; and whether this goes over a capacity.
        """
        route = self._route
        carrier, children, waiting = route.carrier, route.children, route.counters.retrying
        if (
            route.pauses
            or (waiting and waiting >= route.inbound.capacity)
            or carrier.room(1) <= 0
            or not self._is_permitted
        ):
            child, goes_ahead = await self._wait_for_room()
            if child is not None or goes_ahead:
                return child, goes_ahead
            is_due = False
        else:
            is_due = len(route.driving) >= carrier.limit or (
                waiting > 0 and carrier.busy + len(children) >= 2 * carrier.limit - 1
            )
        if children and (is_due or self._is_last):
            return route.child_for_driver(self._context.index), False
        return None, False

    async def _wait_for(self, pulled: Awaitable[Any]) -> Any:
        """Wait for an element, which reserves no room meanwhile."""
        hands, route = self._hands, self._route
        carrier = route.carrier
        carrier.pulling += 1
        if not route.notify.listed and route.has_work and carrier.takable(1) > 0:
            route.notify.attend()  # the room that this message reserved until now may be what the route was left without
        hands.pool.leave()
        try:
            return await pulled
        finally:
            carrier.pulling -= 1
            hands.pool.active = self._worker

    def _begin(self, frame: Frame) -> Child:
        """Count a child."""
        self._parent.open += 1
        self._route.counters.received += 1
        return Child(frame, self._context.index + 1, self._parent, since_ns=self._hands.now())

    def _place(self, child: Child) -> Child | None:
        """Hand a child that was just made to other workers; or return the one that this driver is to carry."""
        route = self._route
        carrier, children = route.carrier, route.children
        others = carrier.limit - len(route.driving)  # permits of those who carry children by themselves
        if (
            not self._is_last
            and others > 0
            and carrier.busy + len(children) < 2 * carrier.limit - 1
            and not route.pauses
        ):
            children.append(child)
            route.notify.attend()
            return None
        if not route.pauses and (carrier.room(1) <= 0 or not self._is_permitted):
            children.append(child)  # others have used the room, or the permit, meanwhile
            return None
        if children and (first := route.child_for_driver(self._context.index)) is not None:
            children.append(child)
            return first
        return child

    @property
    def _is_permitted(self) -> bool:
        """True if the adaptive limit lets a child begin, or it has only to be published."""
        return self._is_last or self._route.carrier.is_permitted

    @property
    def _is_last(self) -> bool:
        """True if no stage comes after the children, which therefore have only to be published, in their order."""
        return self._context.index + 1 >= len(self._route.stages)

    async def _carry(self, child: Child) -> None:
        """Carry a child, in context variables of its own."""
        hands, worker = self._hands, self._worker
        variables = trio.lowlevel.current_task().context if worker.has_set else None
        if variables is not None:
            await hands.switch(worker, None)  # the child's own, and then the parent's again
        await hands.carry_child(worker, self._route, child)
        if variables is not None:
            worker.context, worker.since_ns = self._context, self._since_ns
            await hands.switch(worker, variables)

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
                route.notify.attend()  # this driver reserves no room any more, which may have been all that was missing
            hands.pool.leave()
            try:
                await trio.lowlevel.wait_task_rescheduled(abort)
            finally:
                hands.enter(self._worker)
        return None, False

    def _watch_no_more(self) -> None:
        watched, task = self._route.drivers.watched, trio.lowlevel.current_task()
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
            parent.emitted = self._siblings.made
            if route.lineage is not None:
                if parent.interrupted:
                    route.lineage.visited(context, StageStatus.CANCELLED)
                elif parent.error is not None:
                    route.lineage.visited(context, StageStatus.FAILED, parent.error[0])
                else:
                    route.lineage.visited(context, StageStatus.COMPLETED)
            hands.settlement.end_parent(route, parent)
