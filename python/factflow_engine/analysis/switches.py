"""Conditions on which a route's outbounds take messages, as the search for examples understands them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from factflow_engine.config.models import RouteConfig

ALWAYS: Final[Mapping[str, Any]] = {"field": "@", "operator": "exists"}


def taken_by(route: RouteConfig) -> list[Mapping[str, Any]]:
    """Return for each outbound the condition on which it gets a message, that of a switch's earlier ones included."""
    written = [ALWAYS if outbound.condition is None else outbound.condition.mapping for outbound in route.outbound]
    if route.outbound_mode == "all":
        return written
    return [
        condition if place == 0 else {"all_of": [*({"not": earlier} for earlier in written[:place]), condition]}
        for place, condition in enumerate(written)
    ]


def by_target(route: RouteConfig) -> dict[str, Mapping[str, Any]]:
    """Return for each target, as `route embed` or `queue /topic/audit`, the condition on which it gets a message."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for outbound, condition in zip(route.outbound, taken_by(route), strict=True):
        target = f"route {outbound.route}" if outbound.route is not None else f"queue {outbound.queue}"
        found.setdefault(target, []).append(condition)
    return {target: any_of(conditions) for target, conditions in found.items()}


def any_of(conditions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the condition that one of several holds."""
    return conditions[0] if len(conditions) == 1 else {"any_of": list(conditions)}
