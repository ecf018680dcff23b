"""Checks of names and of message targets, made on the tree so that one mistake does not hide another.

Kept separate from the models because these rules look across the document: ids that refer to one another, and queue
names that a provider must accept.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from factflow_engine.config.model_errors import describe
from factflow_engine.config.models.route import NAME_PATTERN
from factflow_engine.config.nodes import (
    MappingNode,
    Node,
    Path,
    ScalarNode,
    has_variables,
    locate,
    plain_value,
    string,
)
from factflow_engine.config.report import Report
from factflow_engine.errors import CodecError
from factflow_engine.frames import pack
from factflow_engine.queues.naming import is_topic

_NAME: Final = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of the routes: a set for lookup, a sorted list for suggestions, and by the routes' names."""

    known: Collection[str]
    ordered: Sequence[str]
    by_name: Mapping[str, str]


QueueNameCheck = Callable[[str], str | None]
"""Check of a queue name: returns its fault and the remedy; None if it is valid."""


def check_wiring(root: MappingNode, *, validate_queue_name: QueueNameCheck, report: Report) -> None:
    """Add findings on ids, stage names, targets, queue names and init messages of a completed document."""
    routes = root.mapping("routes")
    # Without routes nothing can be said about references to them.
    ids = None if routes is None else _Ids(routes.entries, sorted(routes.entries), _ids_by_name(routes))
    for route_id, (mark, route) in routes.entries.items() if routes is not None else ():
        path: Path = ("routes", route_id)
        if not _NAME.match(route_id) or route_id.endswith("\n"):
            report.add("E106", mark, f"{route_id[:80]!r} cannot be the id of a route", path=path)
        if isinstance(route, MappingNode):
            _check_route(route, path, ids, validate_queue_name, report)
    for index, message in enumerate(root.items("init_message")):
        if isinstance(message, MappingNode):
            _check_init_message(message, ("init_message", index), ids, report)
    top = root.mapping("error_handling")
    if top is not None:
        _check_dead_letters(top, ("error_handling",), validate_queue_name, report)


def _check_route(
    route: MappingNode, path: Path, ids: _Ids | None, validate_queue_name: QueueNameCheck, report: Report
) -> None:
    inbound = route.mapping("inbound")
    # A queue named after a route's invalid id already has its finding there.
    if inbound is not None and (_NAME.match(str(path[-1])) or inbound.text("queue") != f"/queue/{path[-1]}"):
        _check_queue(inbound.get("queue"), (*path, "inbound", "queue"), validate_queue_name, report)
    _check_stage_names(route, path, report)
    for index, outbound in enumerate(route.items("outbound")):
        if isinstance(outbound, MappingNode):
            where: Path = (*path, "outbound", index)
            _check_route_id("E202", outbound.get("route"), (*where, "route"), ids, report)
            _check_queue(outbound.get("queue"), (*where, "queue"), validate_queue_name, report)
    errors = route.mapping("error_handling")
    dead_letters = None
    if errors is not None:
        dead_letters = errors.get("dead_letter_queue")
        _check_dead_letters(errors, (*path, "error_handling"), validate_queue_name, report)
    if route.text("unrouted") == "dead_letter" and (
        dead_letters is None or (isinstance(dead_letters, ScalarNode) and dead_letters.value is None)
    ):
        where = (*path, "unrouted")
        report.add("E206", locate(route, ("unrouted",))[0], "the route has no dead_letter_queue", path=where)


def _check_stage_names(route: MappingNode, path: Path, report: Report) -> None:
    taken: dict[str, tuple[int, bool]] = {}
    for index, stage in enumerate(route.items("adapters")):
        if not isinstance(stage, MappingNode):
            continue
        name = stage.text("name")
        if name is None:
            continue
        mark = locate(stage, ("name",))[0]
        # A name that was filled in has the place of the type.
        implied = "type" in stage.entries and stage.entries["name"][0] == stage.entries["type"][0]
        first = taken.setdefault(name, (index, implied))
        if first[0] == index:
            continue
        where: Path = (*path, "adapters", index, "name")
        if implied or first[1]:
            kind = stage.text("type") if implied else name
            mark = locate(stage, ("type",))[0] if implied else mark
            report.add(
                "E108",
                mark,
                f"{kind!r} is the name of stage {first[0]} already, which is called by its type",
                path=where,
                remedy=f"write a name: for this stage, such as {f'{kind}_{index}'!r}",
            )
        else:
            report.add("E107", mark, f"{name!r} is the name of stage {first[0]} already", path=where)


def _check_route_id(code: str, node: Node | None, path: Path, ids: _Ids | None, report: Report) -> None:
    name = string(node)
    if node is None or name is None or ids is None or name in ids.known:
        return
    hint = ""
    if name in ids.by_name and not has_variables(node):
        hint = f"write the route's id, {ids.by_name[name]!r}; this is its name"
    elif ids.ordered and not has_variables(node):
        hint = report.suggestions.remedy(name, ids.ordered)
    report.add(code, node.mark, f"there is no route {describe(node)}", path=path, remedy=hint)


def _ids_by_name(routes: MappingNode) -> dict[str, str]:
    named = ((route_id, route) for route_id, (_, route) in routes.entries.items() if isinstance(route, MappingNode))
    return {name: route_id for route_id, route in named if (name := route.text("name")) is not None}


def _check_queue(node: Node | None, path: Path, validate_queue_name: QueueNameCheck, report: Report) -> None:
    name = string(node)
    if node is None or name is None:
        return
    problem = validate_queue_name(name)
    if problem is not None:
        report_queue_name(node, path, problem, report)


def report_queue_name(node: Node, path: Path, problem: str, report: Report) -> None:
    """Add the finding on a queue name that a provider refuses, with the text of `QueueProtocol.validate_name`."""
    if has_variables(node):
        report.add("E204", node.mark, f"{describe(node)} is not a queue name of this provider", path=path)
        return
    what, separator, remedy = problem.rpartition("; ")
    report.add(
        "E204",
        node.mark,
        f"{describe(node)} {what if separator else problem}",
        path=path,
        remedy=remedy if separator else "",
    )


def _check_dead_letters(errors: MappingNode, path: Path, validate_queue_name: QueueNameCheck, report: Report) -> None:
    node = errors.get("dead_letter_queue")
    name = string(node)
    path = (*path, "dead_letter_queue")
    if node is not None and name is not None and is_topic(name) and validate_queue_name(name) is None:
        report.add("E207", node.mark, f"{describe(node)} is a topic", path=path)
    else:
        _check_queue(node, path, validate_queue_name, report)


def _check_init_message(message: MappingNode, path: Path, ids: _Ids | None, report: Report) -> None:
    _check_route_id("E201", message.get("route"), (*path, "route"), ids, report)
    for field in ("payload", "headers"):
        node = message.get(field)
        if node is None:
            continue
        try:
            pack(plain_value(node))
        except CodecError as error:
            text = "a message cannot hold this" if has_variables(node) else f"a message cannot hold this: {error}"
            report.add("E205", node.mark, text, path=(*path, field))
