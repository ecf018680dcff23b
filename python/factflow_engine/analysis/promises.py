"""Promises of a route's settings, whatever its conditions: order, dead letters, how much it holds at once."""

from dataclasses import dataclass
from typing import Final

from factflow_engine.analysis.verdict import Status, Verdict
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.graph import Publication, build_graph

LARGEST_FRAME: Final = 64 * 1024 * 1024
"""Bytes of the largest frame that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MostHeld:
    """Most messages of one route at one time, with queues in memory.

    Attributes:
        route: Id of the route.
        waiting: In its queue.
        in_flight: In its stages.
        bytes: What these take at most, if each is as large as a frame may be.
    """

    route: str
    waiting: int
    in_flight: int
    bytes: int


def most_held(config: PipelineGlobalConfig, *, largest_bytes: int = LARGEST_FRAME) -> list[MostHeld]:
    """Return the bounds of each route; children of messages that fan out come on top, up to its concurrency.

    Args:
        config: The configuration.
        largest_bytes: Size of the largest message, in bytes; by default the largest frame.
    """
    return [
        MostHeld(
            route=route_id,
            waiting=route.inbound.capacity,
            in_flight=route.inbound.concurrency,
            bytes=(route.inbound.capacity + route.inbound.concurrency) * largest_bytes,
        )
        for route_id, route in config.routes.items()
    ]


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

    They do if the route takes them by key, or one at a time without retries, and if all routes before it do and lead
    to it by one way.
    """
    del operators
    graph = build_graph(config)
    writers: dict[str, list[Publication]] = {}
    for sent in graph.publications:
        for target in graph.readers.get(sent.queue, ()):
            writers.setdefault(target, []).append(sent)
    reasons: dict[str, str] = {}
    verdicts: list[Verdict] = []
    for route_id in graph.order:
        route = config.routes[route_id]
        before = writers.get(route_id, [])
        lost = next((sent.source for sent in before if sent.source in reasons), None)
        if route.inbound.ordering != "key" and route.inbound.concurrency > 1:
            reasons[route_id] = f"it has {route.inbound.concurrency} messages in flight, and no ordering: key"
        elif route.inbound.ordering != "key" and route.error_handling.max_retries:
            reasons[route_id] = "a message that is tried again comes after those that it let pass"
        elif lost is not None:
            reasons[route_id] = f"route {lost} before it does not keep it"
        elif len(before) > 1:
            reasons[route_id] = "messages come to it by several ways"
        reason = reasons.get(route_id)
        verdicts.append(
            Verdict(
                name="keeps_order",
                path=f"routes.{route_id}",
                status=Status.HOLDS if reason is None else Status.FAILS,
                message=reason or "messages of one key end in order",
            )
        )
    return verdicts
