"""Findings on conditions, whether of a stage, an outbound or an adapter's configuration.

Kept separate because both the checks of stages and pydantic's errors use it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from factflow_engine.conditions import OperatorRegistry, compile_condition, outbound_table
from factflow_engine.config.catalogue import code_of
from factflow_engine.config.nodes import MappingNode, Node, Path, has_variables, key_mark, locate, plain_value
from factflow_engine.config.report import Report
from factflow_engine.errors import CodecError, ConditionError, ConditionErrors

_UNKNOWN_KEY: Final = "E405"


def report_condition(problem: ConditionError, node: Node, path: Path, report: Report) -> None:
    """Add a finding for one problem of the condition at this node."""
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


def check_conditions(
    owners: Sequence[tuple[MappingNode, Path]], operators: OperatorRegistry | None, report: Report
) -> None:
    """Compile conditions as a starting execution does, and report problems as findings.

    Args:
        owners: A stage, or all outbounds of a route, whose conditions are compiled into one table; each with its path.
        operators: Operators besides the built-in ones.
        report: Report that gets the findings.
    """
    nodes = [owner.get("condition") for owner, _ in owners]
    conditions = [plain_value(node) if isinstance(node, MappingNode) else None for node in nodes]
    for index, problem in _problems(conditions, operators):
        node = nodes[index]
        assert node is not None, "only a condition that was written has problems"
        report_condition(problem, node, (*owners[index][1], "condition"), report)


def _problems(
    conditions: Sequence[Mapping[str, object] | None], operators: OperatorRegistry | None
) -> list[tuple[int, ConditionError]]:
    """Return all problems of the conditions, each with the position of its condition."""
    try:
        table = outbound_table(list(enumerate(conditions)), operators)
    except ConditionErrors as errors:
        # Paths begin with the position.
        return [
            (int(found.path[0]), ConditionError(found.code, found.path[1:], found.problem, found.remedy))
            for found in errors.findings
        ]
    except CodecError as error:
        first = next(index for index, condition in enumerate(conditions) if condition is not None)
        return [(first, ConditionError("E408", (), str(error), "split the outbounds over several routes"))]
    if table is not None:
        return []
    found: list[tuple[int, ConditionError]] = []
    for index, condition in enumerate(conditions):
        if condition is not None:
            try:
                compile_condition(condition, operators=operators)
            except ConditionErrors as errors:
                found += [(index, problem) for problem in errors.findings]
    return found
