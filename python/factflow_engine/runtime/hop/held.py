"""Which messages have begun and not ended, who holds each, and for how long. Reads the loop's state; changes nothing."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from factflow_engine.native import Worker
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import HeldMessage, Holder


def held_by(
    workers: Iterable[Worker], routes: Sequence[RouteState], now_ns: int, most: int | None
) -> tuple[HeldMessage, ...]:
    """Return what adapters have, then what waits.

    Args:
        workers: All workers.
        routes: All routes.
        now_ns: Now, in the loop's time.
        most: How many messages to name, at the most; then no cost grows with how many wait, and those of a route that
            wait are in no order. None: all of them, the longest wait first by kind.
    """
    in_adapters = [
        HeldMessage(
            route=worker.context.route,
            stage=worker.context.stage,
            message_id=worker.context.message_id,
            seconds=(now_ns - worker.since_ns) / 1e9,
        )
        for worker in workers
        if worker.context is not None
    ]
    waiting = (held for route in routes for held in waiting_of(route, now_ns, in_order=most is None))
    return tuple(islice(chain(in_adapters, waiting), most))


def waiting_of(route: RouteState, now_ns: int, *, in_order: bool = True) -> Iterator[HeldMessage]:
    """Yield what has begun and waits outside of adapters: for a permit, then for a time.

    Args:
        route: Whose messages.
        now_ns: Now, in the loop's time.
        in_order: The longest wait first, by kind; false: in the order that costs nothing.
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
        )
