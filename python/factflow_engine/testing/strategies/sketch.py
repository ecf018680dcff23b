"""Routes of a drawn configuration: their queues, their stages, and which of them feed one another.

Kept separate from the settings that decorate them (`decorations`), because what is here decides whether a message's way
ends: queues lead only from earlier routes to later ones, but for one way back at most, which a deadline ends.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config.written import escape
from factflow_engine.queues.naming import is_topic
from factflow_engine.testing.strategies.errors import StrategyError
from factflow_engine.testing.strategies.examples import EXAMPLES, registry_of_examples
from factflow_engine.testing.strategies.schemas import values_of

DEAD_LETTERS: Final = "/queue/dead"
"""Queue that no drawn route reads."""

_TOPIC: Final = "/topic/news"
_UNREAD: Final = ({"queue": "/topic/out"}, {"queue": "/queue/out"})
_MOST_OUTBOUNDS: Final = 3
_MOST_FAN_OUTS: Final = 2
"""Most stages of a configuration that emit copies: more of them would make messages without number."""

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True, slots=True)
class Adapters:
    """Types of adapters, and strategies for their configurations.

    Attributes:
        registry: The registry.
        types: Strategy for a type.
        configs: Strategy for its configuration, by type; none for a type that takes none.
        are_examples: True if they are the example adapters.
    """

    registry: ValidatingAdapterRegistry
    types: st.SearchStrategy[str]
    configs: Mapping[str, st.SearchStrategy[dict[str, Any]]]
    are_examples: bool


def adapters_of(registry: ValidatingAdapterRegistry | None, types: Collection[str] | None = None) -> Adapters:
    """Return the adapters of a registry, or the examples.

    Raises:
        StrategyError: There are none, or a type is not registered.
        UnsupportedSchemaError: The schema of a type's configuration has a keyword from which nothing can be built.
    """
    if registry is None and types is None:
        return _examples()
    used = registry or registry_of_examples()
    names = list(used.types() if registry is not None else EXAMPLES) if types is None else list(types)
    for name in names:
        if name not in used:
            raise StrategyError(f"types: expected some of {', '.join(used.types())}, got {name!r}")
    if not names:
        raise StrategyError("expected a registry with an adapter, got one without")
    configs = {name: _config_of(used, name) for name in names}
    known = {name: found for name, found in configs.items() if found is not None}
    return Adapters(used, st.sampled_from(names), known, registry is None)


@cache
def _examples() -> Adapters:
    return adapters_of(None, tuple(EXAMPLES))


def _config_of(registry: ValidatingAdapterRegistry, name: str) -> st.SearchStrategy[dict[str, Any]] | None:
    schema = registry.schema(name)
    if not schema.get("properties") and not schema.get("additionalProperties"):
        return None

    def is_valid(config: dict[str, Any]) -> bool:
        try:
            registry.validate_config(name, config)
        except ValidationError:
            return False
        return True

    return values_of(schema, by_examples=True).filter(is_valid).map(_escaped)


def _escaped(value: Any) -> Any:
    """Return a value in written form, in which `${` begins no reference to the environment."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


@dataclass(slots=True)
class Sketch:
    """A configuration while it is drawn.

    Attributes:
        document: The document, in written form.
        adapters: Adapters of its stages.
        outbounds: Targets that each route may have, by its id.
        dead_letters: Queues for dead letters of each route, by its id.
        fixed: Stages, by identity, that get no condition, because they end a circle.
    """

    document: dict[str, Any]
    adapters: Adapters
    outbounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    dead_letters: dict[str, list[str]] = field(default_factory=dict)
    fixed: list[int] = field(default_factory=list)

    @property
    def routes(self) -> dict[str, dict[str, Any]]:
        """Routes by id."""
        routes: dict[str, dict[str, Any]] = self.document["routes"]
        return routes

    @property
    def stages(self) -> list[dict[str, Any]]:
        """Stages of all routes."""
        return [stage for route in self.routes.values() for stage in route.get("adapters", ())]


def draw_sketch(
    draw: Draw,
    adapters: Adapters,
    *,
    routes: tuple[int, int],
    stages: tuple[int, int],
    cycles: bool,
    queues: bool,
) -> Sketch:
    """Draw the routes of a configuration, their stages and their outbounds."""
    count = draw(st.integers(*routes))
    ids = [route_id(number) for number in range(count)]
    read = _draw_queues(draw, ids) if queues else [f"/queue/{name}" for name in ids]
    sketch = Sketch({"version": "1.0", "routes": {}}, adapters)
    number_of_stages, back = st.integers(*stages), None
    if cycles and draw(st.booleans()):
        source = draw(st.integers(0, count - 1))
        back = source, draw(st.integers(0, source))
    fan_outs = 0
    for number, name in enumerate(ids):
        route: dict[str, Any] = {}
        if read[number] != f"/queue/{name}":
            route["inbound"] = {"queue": read[number]}
        kinds = [draw(adapters.types) for _ in range(draw(number_of_stages))]
        if adapters.are_examples:
            for place, kind in enumerate(kinds):
                fan_outs += kind == "fan_out"
                # A batch that goes round is emitted anew at the end, and so never grows old.
                if (kind == "fan_out" and fan_outs > _MOST_FAN_OUTS) or (kind == "batch" and back is not None):
                    kinds[place] = "forward"
        drawn = [_draw_stage(draw, adapters, kind, kinds[:place]) for place, kind in enumerate(kinds)]
        if back is not None and back[0] == number:
            _end_circle(sketch, route, drawn)
        if drawn:
            route["adapters"] = drawn
        targets = _targets(ids, read, number, queues=queues)
        chosen = draw(_indices(len(targets))) if targets else []
        outbound = [dict(targets[index]) for index in chosen]
        if back is not None and back[0] == number:
            outbound.append({"route": ids[back[1]]})
        if outbound:
            route["outbound"] = outbound
        later = [queue for queue in _later(read, number) if not is_topic(queue)]
        sketch.dead_letters[name] = [DEAD_LETTERS, *later]
        sketch.routes[name] = route
    return sketch


def route_id(number: int) -> str:
    """Return the id of the route of a number: a, b, ... z, then r26 and so on."""
    return "abcdefghijklmnopqrstuvwxyz"[number] if number < 26 else f"r{number}"


def _draw_queues(draw: Draw, ids: Sequence[str]) -> list[str]:
    read: list[str] = []
    for name in ids:
        own = {"own": f"/queue/{name}", "other": f"/queue/{name}.in", "topic": _TOPIC}
        kind = draw(_INBOUNDS)
        read.append(read[-1] if kind == "same" and read else own.get(kind, own["own"]))
    return read


_INBOUNDS: Final = st.sampled_from(("own", "own", "own", "own", "other", "topic", "topic", "same"))


def _later(read: Sequence[str], number: int) -> list[str]:
    """Return the queues that are read, and only by routes after one."""
    earlier = set(read[: number + 1])
    return [queue for queue in dict.fromkeys(read[number + 1 :]) if queue not in earlier]


def _targets(ids: Sequence[str], read: Sequence[str], number: int, *, queues: bool) -> list[dict[str, Any]]:
    later = _later(read, number)
    routes = [{"route": name} for place, name in enumerate(ids) if place > number and read[place] in later]
    return [*routes, *({"queue": queue} for queue in later), *_UNREAD] if queues else routes


@cache
def _indices(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, count - 1), unique=True, max_size=_MOST_OUTBOUNDS)


def _draw_stage(draw: Draw, adapters: Adapters, kind: str, before: Sequence[str]) -> dict[str, Any]:
    stage: dict[str, Any] = {"type": kind}
    if kind in before:
        stage["name"] = f"{kind}_{len(before)}"
    config = adapters.configs.get(kind)
    drawn = draw(config) if config is not None else None
    return {**stage, "config": drawn} if drawn else stage


def _end_circle(sketch: Sketch, route: dict[str, Any], stages: list[dict[str, Any]]) -> None:
    """Give the route that leads back a deadline, and a stage in front that takes time: each round is nearer to the end."""
    route["error_handling"] = {"deadline_seconds": 2}
    if sketch.adapters.are_examples:
        pause: dict[str, Any] = {"type": "sleep", "config": {"seconds": 1}, "name": "pause"}
        stages.insert(0, pause)
        sketch.fixed.append(id(pause))
