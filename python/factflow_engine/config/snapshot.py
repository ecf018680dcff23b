"""Reading of snapshots: a complete configuration in written form, without its adapters and its environment.

Kept separate from the loader because nothing is checked or imported here: what ran is only to be looked at.
"""

from typing import Any

from factflow_engine.config.findings import ConfigurationError
from factflow_engine.config.nodes import MappingNode, plain_value
from factflow_engine.config.report import Report
from factflow_engine.config.text import TextProblem, check_text
from factflow_engine.config.yaml import parse

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of the largest snapshot: longer than a text that is loaded, because every default is written out."""


def written_of(text: str, name: str = "<snapshot>") -> dict[str, Any]:
    """Return what `PipelineGlobalConfig.to_mapping` returned when the snapshot was taken by `to_yaml`.

    Raises:
        ConfigurationError: It is no snapshot.
    """
    report = Report(name)
    try:
        tree = parse(check_text(text, MOST_BYTES), report)
    except TextProblem as problem:
        report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
        tree = None
    if not isinstance(tree, MappingNode):
        raise ConfigurationError(report.findings())
    written: dict[str, Any] = plain_value(tree)
    return written
