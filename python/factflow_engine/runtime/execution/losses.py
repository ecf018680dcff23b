"""Refusal of configurations whose stages would lose their state on a queue that outlives the process.

Kept separate from `assembly` because the rule is about adapters and providers, and about no part of the execution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.keeping import LOSS_REMEDY, loses_state, loss_text, snapshots
from factflow_engine.errors import StateLossError
from factflow_engine.runtime.transport.base import Channels

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig


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
