"""Orphaned messages of an execution, which no route reads: their route was renamed or removed while they waited.

Kept separate from `init_messages` because it changes nothing: orphans are reported, with a remedy, and stay in place.
"""

from collections.abc import Collection, Iterable
from typing import Final

from factflow_engine.queues.naming import is_topic
from factflow_engine.runtime.report import OrphanedQueue
from factflow_protocols import Holding

EMBEDDING: Final = "embedding"
"""Default subscription of the embedding program: no route's, and not an orphan."""


def orphans_among(
    holdings: Iterable[Holding], *, prefix: str, reads: Collection[tuple[str, str]], named: Collection[str]
) -> tuple[OrphanedQueue, ...]:
    """Return the holdings that the configuration does not account for.

    Args:
        holdings: All holdings of the execution with messages; names are the provider's, here and below.
        prefix: Prefix of the names of everything that is the execution's own.
        reads: Queue and subscription of each route.
        named: Queues that routes publish to, dead letters included: an outside consumer may read them.
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
    """Return the notice about an orphan for an operator."""
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
