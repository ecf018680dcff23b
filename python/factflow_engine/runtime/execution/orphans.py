"""Messages of an execution that no route would ever read: a route was renamed or removed while they waited.

Kept separate from `init_messages` because it changes nothing: they are named, with what to do, and stay where they are.
"""

from collections.abc import Collection, Iterable
from typing import Final

from factflow_engine.queues.naming import is_topic
from factflow_engine.runtime.report import OrphanedQueue
from factflow_protocols import Holding

EMBEDDING: Final = "embedding"
"""The subscription that a program around the execution has unless it says otherwise: no route's, and no orphan."""


def orphans_among(
    holdings: Iterable[Holding], *, prefix: str, reads: Collection[tuple[str, str]], named: Collection[str]
) -> tuple[OrphanedQueue, ...]:
    """Return those that the configuration does not account for.

    Args:
        holdings: All of the execution's that hold messages; names are the provider's, here and below.
        prefix: What the names of all that is the execution's own begin with.
        reads: Queue and subscription of each route.
        named: Queues that routes publish to, dead letters included: somebody outside may read them.
    """
    queues = {queue for queue, _ in reads} | set(named)
    return tuple(
        OrphanedQueue(queue=holding.queue, subscription=holding.subscription, messages=holding.messages)
        for holding in holdings
        if (
            (holding.queue, holding.subscription) not in reads and holding.subscription != prefix + EMBEDDING
            if is_topic(holding.queue)
            else holding.queue not in queues
        )
    )


def remedy(orphan: OrphanedQueue, prefix: str) -> str:
    """Return what an operator is told of one."""
    of = f"subscription {orphan.subscription!r} of {orphan.queue!r}" if orphan.subscription else repr(orphan.queue)
    which = f" --subscription {orphan.subscription}" if orphan.subscription else ""
    if orphan.subscription:
        inbound = f"queue: {orphan.queue}, subscription: {orphan.subscription.removeprefix(prefix)}"
    else:
        inbound = f"queue: {orphan.queue.removeprefix(prefix)}"
    return (
        f"{orphan.messages:,} messages of this execution wait in {of}, which no route reads or publishes to: was a route "
        f"renamed? Give the route its name back, or write `inbound: {{{inbound}}}` into the one that takes them; or delete "
        f"them with `factflow queue purge URL {orphan.queue}{which}`"
    )
