"""A condition's problems as findings, wherever a condition stands: a stage, an outbound, an adapter's configuration.

Apart because the stages' checks and pydantic's errors both lead here.
"""

from typing import Final

from factflow_engine.config.catalogue import code_of
from factflow_engine.config.nodes import Node, Path, has_variables, key_mark, locate
from factflow_engine.config.report import Report
from factflow_engine.errors import ConditionError

_UNKNOWN_KEY: Final = "E405"


def report_condition(problem: ConditionError, node: Node, path: Path, report: Report) -> None:
    """Add a finding for one problem of a condition that stands at this node."""
    mark, found, depth = locate(node, problem.path)
    if problem.code == _UNKNOWN_KEY or not depth or depth < len(problem.path):
        mark = key_mark(node, problem.path[:depth]) if depth else node.mark
    hides = has_variables(found)
    report.add(
        problem.code,
        mark,
        code_of(problem.code).title if hides else problem.problem,
        path=(*path, *problem.path),
        remedy="" if hides else problem.remedy,
    )
