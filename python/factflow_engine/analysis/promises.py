"""Promises of a route's settings, whatever its conditions: order, dead letters, how much it holds at once."""

from dataclasses import dataclass
from typing import Final

from factflow_engine.analysis.verdict import Status, Verdict
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.graph import Publication, build_graph
from factflow_engine.config.models import RouteConfig

LARGEST_FRAME: Final = 64 * 1024 * 1024
"""Bytes of the largest frame that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MostHeld:
    """Most messages of one route at one time, with queues in memory.

    Attributes:
        route: Id of the route.
        waiting: In its queue.
        in_flight: In its stages.
        retrying: Waiting for another attempt, or for the dead-letter queue: with so many no more are begun.
        bytes: What these take at most, if each is as large as a frame may be.
    """

    route: str
    waiting: int
    in_flight: int
    retrying: int
    bytes: int


def most_held(config: PipelineGlobalConfig, *, largest_bytes: int = LARGEST_FRAME) -> list[MostHeld]:
    """Return the bounds of each route; children of messages that fan out come on top, up to its concurrency.

    Args:
        config: The configuration.
        largest_bytes: Size of the largest message, in bytes; by default the largest frame.
    """
    found: list[MostHeld] = []
    for route_id, route in config.routes.items():
        capacity, concurrency = route.inbound.capacity, route.inbound.concurrency
        held = MostHeld(
            route=route_id,
            waiting=capacity,
            in_flight=concurrency,
            retrying=capacity,
            bytes=(2 * capacity + concurrency) * largest_bytes,
        )
        found.append(held)
    return found


def dead_lettered(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say of each route whether a message that fails for good is kept in a dead-letter queue."""
    del operators  # one signature for all properties
    verdicts: list[Verdict] = []
    for route_id, route in config.routes.items():
        queue = route.error_handling.dead_letter_queue
        status = Status.FAILS if queue is None else Status.HOLDS
        message = "a message that fails for good is kept nowhere" if queue is None else f"what fails is kept in {queue}"
        verdicts.append(Verdict(name="dead_lettered", path=f"routes.{route_id}", status=status, message=message))
    return verdicts


def keeps_order(config: PipelineGlobalConfig, operators: OperatorRegistry | None = None) -> list[Verdict]:
    """Say of each route whether messages of one key end in the order in which they were first accepted.

    They do if the route takes them by key, or one at a time without putting any off, and if all routes before it do and
    lead to it by one way. Messages that a stage emits are not part of it: those of one message run in parallel.
    """
    del operators
    graph = build_graph(config)
    ways: dict[str, list[Publication]] = {}
    for sent in graph.publications:
        for target in graph.readers.get(sent.queue, ()):
            ways.setdefault(target, []).append(sent)
    found: dict[str, tuple[Status, str]] = {}
    for route_id in graph.order:
        before = ways.get(route_id, [])
        status, message = _order_of(config.routes[route_id])
        for sent in before:
            earlier = found.get(sent.source, (Status.FAILS, ""))[0]  # one that is not known yet is on a circle with it
            if earlier is not Status.HOLDS and status is not Status.FAILS:
                does = "does not keep it" if earlier is Status.FAILS else "may not keep it"
                status, message = earlier, f"route {sent.source} before it {does}"
        if status is not Status.FAILS and len(before) > 1:
            status, message = Status.FAILS, "messages come to it by several ways"
        found[route_id] = status, message
    return [
        Verdict(name="keeps_order", path=f"routes.{route_id}", status=status, message=message)
        for route_id, (status, message) in found.items()
    ]


def _order_of(route: RouteConfig) -> tuple[Status, str]:
    """Say whether a route by itself keeps the order."""
    if route.inbound.ordering == "key":
        return Status.HOLDS, "messages of one key end in order"
    if route.inbound.concurrency > 1:
        return Status.FAILS, f"it has {route.inbound.concurrency} messages in flight, and no ordering: key"
    if not route.adapters:
        return Status.HOLDS, "messages end in order, one at a time"
    if route.error_handling.max_retries:
        return Status.FAILS, "a message that is tried again comes after those that it let pass"
    return Status.OPEN, "one at a time, unless a stage puts a message off, as by RetryLater or a circuit breaker"
