"""What is allowed and probably not meant: routes that nothing leads to, circles, settings without effect.

Apart from the wiring because these rules need a configuration that is whole: they run when there are no errors.
"""

from collections.abc import Mapping

from factflow_engine.config.graph import EdgeKind, RouteGraph, build_graph, reachable, strongly_connected
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


def _check_reachable(config: PipelineGlobalConfig, graph: RouteGraph, root: MappingNode, report: Report) -> None:
    fed = {edge.target for edge in graph.edges if edge.source != edge.target}
    starts = {message.route for message in config.init_message}
    if not starts:
        starts = {route for route in graph.nodes if route not in fed}
    # Topics are shared: whoever publishes to one may be anywhere.
    starts |= {route_id for route_id, route in config.routes.items() if is_topic(route.inbound.queue)}
    found = graph.reachable(starts)
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
    adjacency: dict[str, list[str]] = {node: [] for node in graph.nodes}
    outbound = [edge for edge in graph.edges if edge.kind is EdgeKind.OUTBOUND]
    for edge in outbound:
        adjacency[edge.source].append(edge.target)
    for part in strongly_connected(adjacency):
        inside = [edge for edge in outbound if edge.source in part and edge.target in part]
        if inside:
            # The edge that goes back: to an earlier route or to the route itself.
            position = {node: index for index, node in enumerate(graph.nodes)}
            back = next((edge for edge in inside if position[edge.target] <= position[edge.source]), inside[0])
            path: Path = ("routes", back.source, "outbound", back.index if back.index is not None else 0)
            shown = " -> ".join((*part, part[0]))
            report.add("W203", locate(root, path)[0], f"messages can go round: {shown}", path=path)


def _check_dead_letters(graph: RouteGraph, root: MappingNode, report: Report) -> None:
    adjacency: Mapping[str, list[str]] = {node: list(graph.targets(node)) for node in graph.nodes}
    for edge in graph.edges:
        if edge.kind is EdgeKind.DEAD_LETTER and edge.source in reachable([edge.target], adjacency):
            path: Path = ("routes", edge.source, "error_handling", "dead_letter_queue")
            by = "the route itself" if edge.target == edge.source else f"route {edge.target!r}, which leads back here"
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
        if queue is not None and not is_topic(queue) and queue not in read:
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

    limits = route.backpressure
    if limits is not None and limits.algorithm == "fixed" and limits.target_latency_ms is not None:
        warn("W501", "target_latency_ms has no effect with algorithm: fixed", "backpressure", "target_latency_ms")
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
    """A retry setting is idle if no route that takes it (several may, by inheritance) retries at all."""
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
