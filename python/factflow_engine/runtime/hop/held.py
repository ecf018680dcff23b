"""Messages that have not ended: what each waits for, and for how long. Reading the loop's state changes nothing."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from factflow_engine.native import MessageContext, Worker
from factflow_engine.runtime.hop.delays import Waiting
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import HeldMessage, Holder, Wait
from factflow_engine.runtime.stages.stage_limit import StageLimit

MOST_LOOKED_AT: Final = 1_000
"""Most waiting messages of a route whose times are examined, and most groups that are listed."""


def held_by(
    workers: Iterable[Worker], routes: Sequence[RouteState], now_ns: int, most: int | None
) -> tuple[HeldMessage, ...]:
    """Return the messages in adapters, then the waiting ones.

    Args:
        workers: All workers.
        routes: All routes.
        now_ns: The present time, by the loop's clock.
        most: Most messages to list; the cost is then independent of the number of waiting messages, and those of a
        route are in no order. None: all of them, the longest wait first by kind.
    """
    limits = {
        (route.id, stage.info.stage): stage.limit
        for route in routes
        for stage in route.stages
        if stage.limit is not None
    }
    in_adapters = [
        _in_adapter(worker, worker.context, limits, now_ns) for worker in workers if worker.context is not None
    ]
    waiting = (held for route in routes for held in waiting_of(route, now_ns, in_order=most is None))
    return tuple(islice(chain(in_adapters, waiting), most))


def _in_adapter(
    worker: Worker, context: MessageContext, limits: Mapping[tuple[str, str], StageLimit], now_ns: int
) -> HeldMessage:
    """Return a worker's message, which is in an adapter or waits for a permit of its stage."""
    limit = limits.get((context.route, context.stage)) if limits else None
    wait = None if limit is None else limit.wait_of(context)
    return HeldMessage(
        route=context.route,
        stage=context.stage,
        message_id=context.message_id,
        seconds=(now_ns - (worker.since_ns if wait is None else wait[1])) / 1e9,
        by=Holder.ADAPTER if wait is None else Holder.STAGE_PERMIT,
        reason=_doing(context) if wait is None else wait[0],
    )


def _doing(context: MessageContext) -> str:
    stage = context.stage_of
    return "" if stage is None else stage.doing


def waiting_of(route: RouteState, now_ns: int, *, in_order: bool = True) -> Iterator[HeldMessage]:
    """Yield messages that have begun and wait outside of adapters: for a permit, then for a time.

    Args:
        route: Route of the messages.
        now_ns: The present time, by the loop's clock.
        in_order: True for the longest wait first, by kind; False for the cheapest order.
    """
    for child in route.children:
        yield HeldMessage(
            route=route.id,
            stage=route.stages[child.index].info.stage if child.index < len(route.stages) else "",
            message_id=child.frame.message_id.hex(),
            seconds=(now_ns - child.since_ns) / 1e9,
            by=Holder.PERMIT,
        )
    for waiting in sorted(route.waiting, key=lambda waiting: waiting.since_ns) if in_order else route.waiting:
        yield HeldMessage(
            route=route.id,
            stage=waiting.stage,
            message_id=waiting.child.frame.message_id.hex(),
            seconds=(now_ns - waiting.since_ns) / 1e9,
            by=waiting.by,
            reason=waiting.reason,
        )


def waits_of(route: RouteState, now_ns: int, now: float | None) -> Iterator[Wait]:
    """Yield what messages of the route wait for: a pause, room, permits of stages, then what `waiting_of` names.

    Those that are to be tried again at one stage are one wait, whatever their errors; the reason is the newest one's.

    Args:
        route: Route of the messages.
        now_ns: The present time, by the loop's clock.
        now: The present time, by trio's clock; None outside of trio, where nobody knows it.
    """
    inbound = route.inbound.waiting
    if route.pauses:
        yield Wait(route=route.id, stage="", by=Holder.PAUSE, reason=", ".join(sorted(route.pauses)), messages=inbound)
    elif inbound or route.children or route.drivers:
        full = [outbound.queue for outbound in route.outbounds if outbound.is_full]
        if full:
            waiting = inbound + len(route.children) + len(route.drivers)
            yield Wait(route=route.id, stage="", by=Holder.ROOM, reason=", ".join(full), messages=waiting)
    for limited in route.stages:
        for permits in () if limited.limit is None else limited.limit.waits():
            yield Wait(
                route=route.id,
                stage=limited.info.stage,
                by=Holder.STAGE_PERMIT,
                reason=permits.reason,
                messages=permits.calls,
                seconds=(now_ns - permits.since_ns) / 1e9,
            )
    samples: dict[tuple[str, Holder, str | None], list[Waiting]] = {}
    for one in islice(route.waiting, MOST_LOOKED_AT):
        samples.setdefault(one.group, []).append(one)
    for group, messages in islice(route.waiting.groups.items(), MOST_LOOKED_AT):
        stage, by, circuit = group
        sample = samples.get(group, [])
        first = None if circuit is None else route.waiting.first_at(circuit)
        if first is not None and first.group == group:
            sample.append(first)
        due = min((one.due for one in sample), default=math.inf)
        yield Wait(
            route=route.id,
            stage=stage,
            by=by,
            reason=_reason_of(route, by, max(sample, key=lambda one: one.serial, default=first)),
            messages=messages,
            seconds=(now_ns - min(one.since_ns for one in sample)) / 1e9 if sample else None,
            next_seconds=None if due == math.inf or now is None else max(due - now, 0.0),
        )


def _reason_of(route: RouteState, by: Holder, newest: Waiting | None) -> str:
    """Return the reason of a wait, by the newest of its messages that were examined, if any was."""
    if newest is not None:
        return newest.reason
    return route.dead_letters.queue if by is Holder.DEAD_LETTER_QUEUE and route.dead_letters is not None else ""
