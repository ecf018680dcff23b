"""What a configuration may say that this version accepts but cannot run: refused at start, never ignored.

One function, so that a feature that arrives deletes its line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from factflow_engine.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig, RouteConfig


def refuse_unsupported(config: PipelineGlobalConfig) -> None:
    """Refuse a configuration whose meaning this version could not keep.

    Raises:
        UnsupportedFeatureError: Naming every such setting, and what to write instead.
    """
    features = [f"routes.{route_id}.{text}" for route_id, route in config.routes.items() for text in _of_route(route)]
    if config.storage is not None:
        features.append("storage: stages cannot be stored yet; remove the section")
    if config.lineage is not None:
        features.append("lineage: it cannot be recorded yet; remove the section")
    if features:
        raise UnsupportedFeatureError(tuple(features))


def _of_route(route: RouteConfig) -> Iterator[str]:
    if route.backpressure is not None and route.backpressure.algorithm != "fixed":
        yield (
            f"backpressure.algorithm: {route.backpressure.algorithm}: limits do not adapt yet; "
            "write `fixed`, or remove the section and set inbound.concurrency"
        )
