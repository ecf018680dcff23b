"""Shapes of stages with state, by which processes that share a state check that they agree on it.

Kept separate from `states` because this reads the configuration, and that only compares.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from factflow_engine.config.canonical import canonical_hash
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import StageShape

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig


def shapes_of(config: PipelineGlobalConfig, stages: Iterable[Stage]) -> Mapping[tuple[str, str], StageShape]:
    """Return the shapes of stages with state, by route id and name.

    A reference to the environment counts as written, so that a new password changes nothing; a path counts with the
    folder that it is relative to.
    """
    kept = [stage for stage in stages if stage.keeps]
    if not kept:
        return {}
    written = config.to_mapping()["routes"]
    shapes = {}
    for stage in kept:
        place = route, name = stage.info.route, stage.info.stage
        adapters = config.routes[route].adapters
        index = next(index for index, adapter in enumerate(adapters) if adapter.name == name)
        values: Mapping[str, Any] = adapters[index].config or {}
        fields = () if stage.stateful is None else stage.stateful.path_fields
        paths = [
            [field, os.path.abspath(stage.info.directory / values[field])]  # noqa: PTH100 - resolve() asks the disk
            for field in fields
            if isinstance(values.get(field), str)
        ]
        theirs = {
            key: value
            for key, value in (written[route]["adapters"][index].get("config") or {}).items()
            if key not in fields
        }
        digest = canonical_hash({"config": theirs, "paths": paths})
        shapes[place] = StageShape(adapter=adapters[index].type, config=digest, paths=tuple(path for _, path in paths))
    return shapes
