"""Settings that this version accepts but cannot run: refused at start, never ignored.

Kept separate from `lifecycle` so that a feature that arrives deletes its entry here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.keeping import LOSS_REMEDY, loses_state, loss_text, snapshots
from factflow_engine.errors import StateLossError, UnsupportedFeatureError
from factflow_engine.runtime.transport.base import Channels

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig, RouteConfig


def refuse_unsupported(config: PipelineGlobalConfig) -> None:
    """Refuse a configuration whose meaning this version cannot implement.

    Raises:
        UnsupportedFeatureError: The error names every such setting, and what to write instead.
    """
    features = [f"routes.{route_id}.{text}" for route_id, route in config.routes.items() for text in _of_route(route)]
    if config.storage is not None:
        features.append("storage: stages cannot be stored yet; remove the section")
    if config.lineage is not None:
        features.append("lineage: it cannot be recorded yet; remove the section")
    if features:
        raise UnsupportedFeatureError(tuple(features))


def refuse_losses(
    config: PipelineGlobalConfig, registry: ValidatingAdapterRegistry, channels: Channels, *, allow_loss: bool
) -> None:
    """Refuse a configuration with stages whose state would not outlive the process although messages do.

    Raises:
        StateLossError: The error names every such stage; not raised if losses are allowed.
    """
    if allow_loss or not channels.outlives_process:
        return
    lost = []
    for route_id, route in config.routes.items():
        for stage in route.adapters:
            cls = registry.get(stage.type).adapter_class
            if loses_state(cls):
                lost.append(f"{route_id}/{stage.name}: {loss_text(stage.type)}")
            elif snapshots(cls) and not channels.stores_states:
                lost.append(f"{route_id}/{stage.name}: this queue provider cannot store the states of stages")
    if lost:
        raise StateLossError(tuple(lost), LOSS_REMEDY)


def _of_route(route: RouteConfig) -> Iterator[str]:
    if route.backpressure is not None and not route.backpressure.is_fixed:
        yield (
            f"backpressure.algorithm: {route.backpressure.algorithm}: limits do not adapt yet; "
            "write `fixed`, or remove the section and set inbound.concurrency"
        )
