"""Differences of two versions of a configuration: messages that change their way, and what was changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.analysis.switches import ALWAYS, by_target
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.conditions.examples import Example, find_example
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.models import RouteConfig
from factflow_engine.errors import UndecidedError

_ROUTING: Final = {"adapters", "outbound", "outbound_mode"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference of the newer configuration.

    Attributes:
        path: Its place, as `routes.parse`.
        message: The difference, as one sentence.
        example: A message that is treated differently, if one shows it. It may hold values of the environment.
    """

    path: str
    message: str
    example: Example | None = None


def differences(
    old: PipelineGlobalConfig, new: PipelineGlobalConfig, operators: OperatorRegistry | None = None
) -> list[Difference]:
    """Return what the newer configuration does differently; empty if the two are equivalent.

    For each target of each route, and for each stage, it is searched for a message that comes there by one and not by
    the other: conditions that are only written differently are no difference. Other settings are compared as such.
    """
    return [*_of_documents(old, new), *_of_routes(old, new, operators)]


def _of_documents(old: PipelineGlobalConfig, new: PipelineGlobalConfig) -> Iterator[Difference]:
    before, after = old.to_mapping(), new.to_mapping()
    for name in dict.fromkeys((*before, *after)):
        if name not in {"routes", "name", "description"} and before.get(name) != after.get(name):
            yield Difference(path=name, message=f"{name} is changed")


def _of_routes(
    old: PipelineGlobalConfig, new: PipelineGlobalConfig, operators: OperatorRegistry | None
) -> Iterator[Difference]:
    for route_id in dict.fromkeys((*old.routes, *new.routes)):
        path = f"routes.{route_id}"
        before, after = old.routes.get(route_id), new.routes.get(route_id)
        if before is None or after is None:
            yield Difference(path=path, message=f"the route is {'new' if before is None else 'gone'}")
            continue
        yield from _of_stages(path, before, after, operators)
        yield from _of_targets(path, before, after, operators)
        settings = before.model_dump(), after.model_dump()
        for name in settings[0]:
            if name not in {*_ROUTING, "name", "description"} and settings[0][name] != settings[1][name]:
                yield Difference(path=f"{path}.{name}", message=f"{name} is changed")


def _of_stages(
    path: str, old: RouteConfig, new: RouteConfig, operators: OperatorRegistry | None
) -> Iterator[Difference]:
    before, after = ({stage.name: stage for stage in route.adapters} for route in (old, new))
    for name in dict.fromkeys((*before, *after)):
        one, two = before.get(name), after.get(name)
        where = f"{path}.adapters.{name}"
        if one is None or two is None:
            yield Difference(path=where, message=f"the stage is {'new' if one is None else 'gone'}")
            continue
        conditions = [ALWAYS if stage.condition is None else stage.condition.mapping for stage in (one, two)]
        yield from _either_way(
            where, conditions[0], conditions[1], "skips the stage", "goes through the stage", operators
        )
        if one.model_copy(update={"condition": None}) != two.model_copy(update={"condition": None}):
            yield Difference(path=where, message="the stage's settings are changed")
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        yield Difference(path=f"{path}.adapters", message="the stages have another order")


def _of_targets(
    path: str, old: RouteConfig, new: RouteConfig, operators: OperatorRegistry | None
) -> Iterator[Difference]:
    before, after = by_target(old), by_target(new)
    never = {"not": ALWAYS}
    for target in dict.fromkeys((*before, *after)):
        one, two = before.get(target, never), after.get(target, never)
        yield from _either_way(
            f"{path}.outbound", one, two, f"goes to {target} no more", f"goes to {target} now", operators
        )


def _either_way(
    path: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    no_more: str,
    now: str,
    operators: OperatorRegistry | None,
) -> Iterator[Difference]:
    if old == new:
        return
    for holding, failing, what in ((old, new, no_more), (new, old, now)):
        try:
            found = find_example([holding], [failing], operators=operators)
        except UndecidedError as error:
            yield Difference(path=path, message=f"whether a message {what} is not decided: {error}")
            continue
        if found is not None:
            yield Difference(path=path, message=f"this message {what}", example=found)
