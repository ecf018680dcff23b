"""Warnings about valid but probably unintended configurations: unreachable routes, cycles, settings without effect.

Kept separate from the wiring because these rules need a complete configuration: they run if there are no errors.
"""

from factflow_engine.config.graph import (
    EdgeKind,
    QueueVertex,
    RouteGraph,
    adjacency,
    build_graph,
    entries,
    strongly_connected,
)
from factflow_engine.config.limits import warn_of_limits
from factflow_engine.config.models import ErrorHandlingConfig, PipelineGlobalConfig, RouteConfig
from factflow_engine.config.nodes import MappingNode, Mark, Path, has_variables, key_mark, locate
from factflow_engine.config.report import Report
from factflow_engine.queues.naming import is_topic


def check_meaning(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Add warnings on a configuration without errors."""
    graph = build_graph(config)
    _check_reachable(config, graph, root, report)
    _check_competing(config, root, report)
    _check_cycles(graph, root, report)
    _check_dead_letters(graph, root, report)
    read = {route.inbound.queue for route in config.routes.values()}
    for route_id, route in config.routes.items():
        _check_outbounds(route_id, route, read, root, report)
        _check_settings(route_id, route, root, report)
    _check_retries(config, root, report)
    _check_lineage(config, root, report)
    warn_of_limits(config, root, report)


def _check_reachable(config: PipelineGlobalConfig, graph: RouteGraph, root: MappingNode, report: Report) -> None:
    found = graph.reachable(entries(config, graph))
    for route_id in graph.nodes:
        if route_id not in found:
            path: Path = ("routes", route_id)
            report.add("W201", key_mark(root, path), f"no message can come to route {route_id!r}", path=path)


def _check_competing(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    readers: dict[tuple[str, str], str] = {}
    for route_id, route in config.routes.items():
        queue = route.inbound.queue
        subscription = route.inbound.subscription if is_topic(queue) else ""
        first = readers.setdefault((queue, subscription), route_id)
        if first != route_id:
            path: Path = ("routes", route_id, "inbound", "queue")
            report.add("W205", locate(root, path)[0], f"route {first!r} reads the same messages", path=path)


def _check_cycles(graph: RouteGraph, root: MappingNode, report: Report) -> None:
    outbound = [sent for sent in graph.publications if sent.kind is EdgeKind.OUTBOUND]
    parts = strongly_connected(adjacency(graph.nodes, outbound, graph.readers))
    home = {vertex: number for number, part in enumerate(parts) for vertex in part}
    position = {node: index for index, node in enumerate(graph.nodes)}
    # By queue on a cycle: the first of its readers that are on that cycle.
    first_reader: dict[str, int] = {}
    for part in parts:
        for vertex in part:
            if isinstance(vertex, QueueVertex):
                readers = graph.readers.get(vertex.name, ())
                inside = [position[route] for route in readers if home[route] == home[vertex]]
                if inside:
                    first_reader[vertex.name] = min(inside)
    # For each cycle, the outbound that goes back, to an earlier route or to the route itself; else the first.
    chosen: dict[int, tuple[bool, str, int]] = {}
    for sent in outbound:
        cycle = home[sent.source]
        if home[QueueVertex(sent.queue)] != cycle:
            continue
        goes_back = first_reader[sent.queue] <= position[sent.source]
        if cycle not in chosen or (goes_back and not chosen[cycle][0]):
            chosen[cycle] = goes_back, sent.source, sent.index or 0
    for cycle, (_, source, index) in chosen.items():
        path: Path = ("routes", source, "outbound", index)
        around = [vertex for vertex in parts[cycle] if isinstance(vertex, str)]
        shown = " -> ".join((*around, around[0]))
        report.add("W203", locate(root, path)[0], f"messages can go round: {shown}", path=path)


def _check_dead_letters(graph: RouteGraph, root: MappingNode, report: Report) -> None:
    home = {node: number for number, part in enumerate(graph.components) for node in part}
    # By queue and component: the first of the queue's readers in it.
    readers: dict[tuple[str, int], str] = {}
    for queue, routes in graph.readers.items():
        for route_id in routes:
            readers.setdefault((queue, home[route_id]), route_id)
    for sent in graph.publications:
        if sent.kind is not EdgeKind.DEAD_LETTER:
            continue
        # A reader that leads back here is on a cycle with this route.
        reader = readers.get((sent.queue, home[sent.source]))
        if reader is not None:
            path: Path = ("routes", sent.source, "error_handling", "dead_letter_queue")
            by = "the route itself" if reader == sent.source else f"route {reader!r}, which leads back here"
            report.add("W204", locate(root, path)[0], f"the dead-letter queue is read by {by}", path=path)


def _check_outbounds(route_id: str, route: RouteConfig, read: set[str], root: MappingNode, report: Report) -> None:
    path: Path = ("routes", route_id)
    if not route.adapters and not route.outbound:
        report.add("W101", key_mark(root, path), f"route {route_id!r} has neither adapters nor outbounds", path=path)
    taken = False
    for index, outbound in enumerate(route.outbound):
        where: Path = (*path, "outbound", index)
        if taken:
            report.add("W206", locate(root, where)[0], "an earlier outbound takes every message", path=where)
        taken = taken or (route.outbound_mode == "first" and outbound.condition is None)
        queue = outbound.queue
        if queue is not None and not outbound.external and not is_topic(queue) and queue not in read:
            mark, node, _ = locate(root, (*where, "queue"))
            shown = "this queue" if has_variables(node) else repr(queue)
            report.add("W202", mark, f"no route reads {shown}", path=(*where, "queue"))


def _check_settings(route_id: str, route: RouteConfig, root: MappingNode, report: Report) -> None:
    path: Path = ("routes", route_id)

    def written(*parts: str | int) -> bool:
        return locate(root, (*path, *parts))[2] == len(path) + len(parts)

    def warn(code: str, message: str, *parts: str | int) -> None:
        where: Path = (*path, *parts)
        report.add(code, key_mark(root, where), message, path=where)

    if route.unrouted != "filter" and not route.outbound:
        warn("W501", "unrouted has no effect in a route without outbounds", "unrouted")
    if route.inbound.prefetch < route.inbound.concurrency:
        warn(
            "W502",
            f"no more than prefetch ({route.inbound.prefetch}) messages can be in flight",
            "inbound",
            "concurrency" if written("inbound", "concurrency") else "prefetch",
        )


def _check_retries(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Warn of a retry setting if no route that uses it (several may, by inheritance) retries at all."""
    idle: dict[Mark, tuple[Path, str]] = {}
    used: set[Mark] = set()
    for route_id, route in config.routes.items():
        section: Path = ("routes", route_id, "error_handling")
        for name in ("retry_delay_seconds", "backoff", "max_delay_seconds", "jitter", "retry_on", "give_up_on"):
            where = (*section, name)
            default = ErrorHandlingConfig.model_fields[name].default
            if locate(root, where)[2] < len(where) or getattr(route.error_handling, name) == default:
                continue
            if route.error_handling.max_retries:
                used.add(key_mark(root, where))
            else:
                idle.setdefault(key_mark(root, where), (where, name))
    for mark, (where, name) in idle.items():
        if mark not in used:
            report.add("W501", mark, f"{name} has no effect while max_retries is 0", path=where)


def _check_lineage(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Warn of settings of lineage that its mode makes meaningless."""
    section = config.lineage
    if section is None or section.mode == "sampled":
        return
    names = (
        ["sample_rate"]
        if section.mode == "full"
        else sorted(type(section).model_fields.keys() - {"mode", "openlineage"})
    )
    for name in names:
        where: Path = ("lineage", name)
        # A complete configuration, as `to_yaml` writes it, has every field; one that says what is so anyway misleads nobody.
        differs = getattr(section, name) != type(section).model_fields[name].default
        if differs and locate(root, where)[2] == len(where):
            message = f"{name} has no effect while lineage.mode is {section.mode}"
            report.add("W501", key_mark(root, where), message, path=where)
