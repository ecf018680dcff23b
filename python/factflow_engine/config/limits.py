"""Rules of concurrency limits across a document: keys are for stages, and shared limits agree and cannot deadlock.

Kept separate from the models because these rules compare sections with one another.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from factflow_engine.config.models import BackpressureConfig, PipelineGlobalConfig
from factflow_engine.config.nodes import MappingNode, Path, ScalarNode, dotted, has_variables, key_mark, locate
from factflow_engine.config.report import Report
from factflow_engine.resilience.limit_parameters import has_target
from factflow_engine.resilience.limit_settings import is_imported, is_known

_SECTION: Final = "backpressure"


class Limited(NamedTuple):
    """A route or stage with a section on its limit.

    Attributes:
        path: Path of the section.
        section: The section.
        route: Id of the route.
        is_stage: True for a stage's.
    """

    path: Path
    section: BackpressureConfig
    route: str
    is_stage: bool


def limits_of(config: PipelineGlobalConfig) -> Iterator[Limited]:
    """Yield the sections on limits: a route's, then those of its stages."""
    for route_id, route in config.routes.items():
        if route.backpressure is not None:
            yield Limited(("routes", route_id, _SECTION), route.backpressure, route_id, False)
        for index, stage in enumerate(route.adapters):
            if stage.backpressure is not None:
                path: Path = ("routes", route_id, "adapters", index, _SECTION)
                yield Limited(path, stage.backpressure, route_id, True)


def check_limits(root: MappingNode, report: Report, *, imports: bool) -> None:
    """Add findings on keys of routes' limits; note algorithms that are not made without an import."""
    routes = root.mapping("routes")
    sections: list[tuple[MappingNode, Path, bool]] = []
    top = root.mapping(_SECTION)
    if top is not None:
        sections.append((top, (_SECTION,), False))
    for route_id, (_, route) in routes.entries.items() if routes is not None else ():
        if not isinstance(route, MappingNode):
            continue
        path: Path = ("routes", route_id)
        own = route.mapping(_SECTION)
        if own is not None:
            sections.append((own, (*path, _SECTION), False))
        for index, stage in enumerate(route.items("adapters")):
            section = stage.mapping(_SECTION) if isinstance(stage, MappingNode) else None
            if section is not None:
                sections.append((section, (*path, "adapters", index, _SECTION), True))
    for section, path, is_stage in sections:
        key = section.get("key")
        if key is not None and not is_stage and not (isinstance(key, ScalarNode) and key.value is None):
            report.add("E507", key_mark(section, ("key",)), "a route's limit has no key", path=(*path, "key"))
        name = section.text("algorithm")
        if not imports and name is not None and is_known(name) and is_imported(name):
            node = section.entries["algorithm"][1]
            shown = "a limit algorithm" if has_variables(node) else f"limit algorithm {name!r}"
            report.leave_out(node.mark, shown, path=(*path, "algorithm"))


def check_groups(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Add findings on shared limits: members with other settings, and members that would wait for one another."""
    first: dict[str, Limited] = {}
    for member in limits_of(config):
        group = member.section.group
        if group is None:
            continue
        known = first.setdefault(group, member)
        other = next((name for name in BackpressureConfig.model_fields if _differs(name, known, member)), None)
        if other is not None:
            path: Path = (*member.path, "group")
            problem = f"group {group!r} has another {other} at {dotted(known.path)}"
            report.add("E505", locate(root, path)[0], problem, path=path)
    _check_waits(config, root, report)


def warn_of_limits(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Add warnings about settings of limits that cannot have an effect."""
    permits = {route_id: route.inbound.concurrency for route_id, route in config.routes.items()}
    shared: dict[str, int] = {}
    for member in limits_of(config):
        if member.section.group is not None:
            shared[member.section.group] = shared.get(member.section.group, 0) + permits[member.route]
    for member in limits_of(config):
        section, path = member.section, member.path

        def warn(code: str, name: str, problem: str, path: Path = path) -> None:
            report.add(code, key_mark(root, (*path, name)), problem, path=(*path, name))

        if section.target_latency_ms is not None and not has_target(section.algorithm):
            warn("W501", "target_latency_ms", f"target_latency_ms has no effect with algorithm: {section.algorithm}")
        if section.key is None and section.max_keys != BackpressureConfig.model_fields["max_keys"].default:
            warn("W501", "max_keys", "max_keys has no effect without key")
        timeout = _timeout_ms(config, member)
        if section.target_latency_ms is not None and timeout is not None and section.target_latency_ms >= timeout:
            text = f"no call takes as long as target_latency_ms ({section.target_latency_ms:g}): it times out after {timeout:g} ms"
            warn("W502", "target_latency_ms", text)
        most = permits[member.route] if section.group is None else shared[section.group]
        least, name = _least(member)
        if least > most or (member.is_stage and least == most > 1):
            where = f"route {member.route!r}" if section.group is None else f"the routes of group {section.group!r}"
            warn("W502", name, f"no more than {most} calls can be in flight, by inbound.concurrency of {where}")


def _least(member: Limited) -> tuple[int, str]:
    """Return the least that a limit can be, and the field that says so."""
    section = member.section
    if section.is_fixed and section.initial_concurrency is not None:
        return section.initial_concurrency, "initial_concurrency"
    if section.is_fixed and member.is_stage:  # a route's may be a bound for what inbound.concurrency says
        return section.max_concurrency, "max_concurrency"
    return section.min_concurrency, "min_concurrency"


def _timeout_ms(config: PipelineGlobalConfig, member: Limited) -> float | None:
    """Return the milliseconds after which a call of a stage, or an attempt at a route, times out; None if never."""
    route = config.routes[member.route]
    handling = route.error_handling
    seconds = handling.timeout_seconds
    if member.is_stage:
        own = route.adapters[int(member.path[3])].timeout_seconds
        seconds = min((one for one in (own, seconds) if one is not None), default=None)
    return None if seconds is None else seconds * 1e3


def _differs(name: str, one: Limited, other: Limited) -> bool:
    """True if two members have different settings; a key is a stage's, which a route cannot have."""
    if name == "key" and one.is_stage is not other.is_stage:
        keyed = one if one.is_stage else other
        return keyed.section.key is not None
    return bool(getattr(one.section, name) != getattr(other.section, name))


def _check_waits(config: PipelineGlobalConfig, root: MappingNode, report: Report) -> None:
    """Report each stage whose permit is waited for by messages that hold the permit of a limit that waits for it."""
    # From a route's group to the groups that its messages wait for while they hold a permit of it.
    awaited: dict[str, set[str]] = {}
    for route in config.routes.values():
        held = None if route.backpressure is None else route.backpressure.group
        if held is not None:
            groups = (stage.backpressure.group for stage in route.adapters if stage.backpressure is not None)
            awaited.setdefault(held, set()).update(group for group in groups if group is not None)
    for member in limits_of(config):
        section = config.routes[member.route].backpressure
        held, group = None if section is None else section.group, member.section.group
        if member.is_stage and held is not None and group is not None and _reaches(group, held, awaited):
            path: Path = (*member.path, "group")
            if group == held:
                problem = (
                    f"route {member.route!r} has group {held!r}, too: its messages would wait for their own permits"
                )
            else:
                problem = (
                    f"routes that hold permits of group {group!r} wait for those of group {held!r}, and vice versa"
                )
            report.add("E506", locate(root, path)[0], problem, path=path)


def _reaches(start: str, target: str, awaited: Mapping[str, set[str]]) -> bool:
    seen, left = {start}, [start]
    while left:
        group = left.pop()
        if group == target:
            return True
        following = awaited.get(group, set()) - seen
        seen |= following
        left.extend(following)
    return False
