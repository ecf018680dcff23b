"""Settings that this version accepts in a configuration but cannot run: findings at load, and refused at start.

Kept separate from the models so that a feature that arrives deletes its entry here, and a start imports no models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from factflow_engine.config.nodes import MappingNode, Path, key_mark
from factflow_engine.config.report import Report

if TYPE_CHECKING:
    from factflow_engine.config.models import PipelineGlobalConfig


def unsupported(config: PipelineGlobalConfig) -> Iterator[tuple[Path, str, str]]:
    """Yield the path of each such setting, the problem, and the remedy."""
    if config.lineage is not None:
        yield ("lineage",), "lineage cannot be recorded yet", "remove the section"


def check_supported(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Add a finding for each setting that this version cannot run."""
    for path, problem, remedy in unsupported(config):
        report.add("W503", key_mark(root, path), problem, path=path, remedy=remedy)
