"""Drawn configurations: valid, whatever is asked for; every field of the models is among them; they run, and end."""

import ast
import collections
import functools
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import find as smallest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from factflow_engine import OrchestratorManager
from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.analysis import loops_end
from factflow_engine.config import (
    ConditionConfig,
    PipelineConfigLoader,
    PipelineGlobalConfig,
    build_graph,
    config_schema,
)
from factflow_engine.config.graph import entries
from factflow_engine.native import LIMIT_ALGORITHMS
from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.strategies import (
    FEATURES,
    ConfigText,
    StrategyError,
    configs,
    loaded_configs,
    messages,
    registry_of_examples,
)
from factflow_engine.testing.strategies.configs import documents
from factflow_protocols import AdapterResult, PipelineAdapter

REGISTRY = registry_of_examples()
LOADER = PipelineConfigLoader(REGISTRY, environ={})
FOUND = settings(
    max_examples=2_000,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)


@given(configs(cycles=True))
def test_a_drawn_configuration_has_no_errors_and_its_repr_makes_it_again(text: ConfigText) -> None:
    result = LOADER.check_text(text)
    assert result.is_valid, result.render()
    assert ast.literal_eval(repr(text)) == text


SIZES = st.tuples(st.integers(1, 6), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2))


@given(SIZES, st.sets(st.sampled_from(FEATURES)), st.data())
def test_a_configuration_has_the_size_and_the_features_that_were_asked_for(
    sizes: tuple[int, int, int, int], features: set[str], data: st.DataObject
) -> None:
    least, more, fewest, others = sizes
    drawn = configs(routes=(least, least + more), stages=(fewest, fewest + others), features=features)
    config = LOADER.check_text(data.draw(drawn)).config
    assert config is not None
    assert least <= len(config.routes) <= least + more
    assert all(fewest <= len(route.adapters) <= fewest + others for route in config.routes.values())
    routes = config.routes.values()
    stages = [stage for route in routes for stage in route.adapters]
    assert "conditions" in features or all(stage.condition is None for stage in stages)
    assert "storage" in features or config.storage is None
    assert "lineage" in features or config.lineage is None
    assert "limits" in features or all(part.backpressure is None for part in (*routes, *stages))
    assert "breakers" in features or all(part.circuit_breaker is None for part in (*routes, *stages))
    assert "init_messages" in features or config.init_message == ()
    assert "queues" in features or all(route.inbound.queue == f"/queue/{name}" for name, route in config.routes.items())
    assert build_graph(config).cycles == (), "no circle, unless it was asked for"


def run(config: PipelineGlobalConfig, payloads: list[Any]) -> Any:
    """Run a configuration in virtual time, with these messages at each entry, and return its report."""

    async def main(simulation: Any) -> Any:
        async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
            execution = await manager.start(config)
            for route in sorted(entries(config, build_graph(config))):
                for payload in payloads:
                    await execution.publish(route, payload)
            return await execution.complete()

    return in_virtual_time(main, seed=1)


# Lineage is left out: its store is the program's.
RUNNING = [feature for feature in FEATURES if feature != "lineage"]


@settings(max_examples=50)
@given(loaded_configs(cycles=True, features=RUNNING), st.lists(messages(), max_size=3))
def test_a_valid_configuration_starts_and_ends_and_no_message_is_lost(
    config: PipelineGlobalConfig, payloads: list[Any]
) -> None:
    report = run(config, payloads)
    assert report.status in {"completed", "failed"}
    if report.status == "failed":
        assert config.orchestrator.max_failed_messages is not None, report
    for route in report.routes.values():
        assert route.in_flight == 0


@settings(max_examples=30)
@given(loaded_configs(routes=(1, 1), stages=(0, 0), features=["lineage", "settings", "texts"]))
def test_the_complete_form_of_a_configuration_has_no_other_findings(config: PipelineGlobalConfig) -> None:
    found, again = LOADER.check_text(str(config.source)).findings, LOADER.check_text(config.to_yaml()).findings
    # In another order: findings are reported in the order of the text.
    assert sorted((one.code, one.path) for one in found) == sorted((one.code, one.path) for one in again)


@settings(max_examples=50)
@given(loaded_configs())
def test_the_complete_form_of_a_configuration_loads_as_the_same_one(config: PipelineGlobalConfig) -> None:
    again = LOADER.check_text(config.to_yaml()).config
    assert again == config
    assert again.hash == config.hash
    assert LOADER.check_mapping(config.to_mapping()).config == config


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, Mapping):
        items = [(key, shuffled(item, order)) for key, item in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(loaded_configs(routes=(1, 3)), st.randoms(use_true_random=False))
def test_the_order_of_keys_never_changes_the_meaning(config: PipelineGlobalConfig, order: random.Random) -> None:
    other = LOADER.check_mapping(shuffled(config.to_mapping(), order)).config
    assert other == config
    assert other.hash == config.hash


@settings(max_examples=50)
@given(loaded_configs())
def test_the_json_schema_accepts_a_drawn_configuration(config: PipelineGlobalConfig) -> None:
    assert list(schema_validator().iter_errors(config.to_mapping())) == []


@functools.cache
def schema_validator() -> Draft202012Validator:
    return Draft202012Validator(config_schema(REGISTRY))


# What is drawn of the models

NEVER_DRAWN = {
    "LineageConfig.url": "a store in files, or a server",
    "LineageConfig.openlineage": "writes a file, or calls a server",
}
"""Fields that no drawn configuration has, and why."""


def part_of(annotation: Any) -> Any:
    """Return the model, or the alternatives, in a field's annotation; None if it has neither."""
    if get_origin(annotation) is Literal or annotation in {bool, ConditionConfig}:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [part_of(part) for part in get_args(annotation) if part is not bool]
    return next((found for found in inner if found is not None), None)


def is_section(part: Any) -> bool:
    return isinstance(part, type) and part is not bool and part is not ConditionConfig


def wanted(model: type[BaseModel], seen: set[str]) -> Iterator[str]:
    """Yield the fields of a model and of those inside, and the alternatives of a field with some."""
    if model.__name__ in seen:
        return
    seen.add(model.__name__)
    for name, field in model.model_fields.items():
        label, part = f"{model.__name__}.{name}", part_of(field.annotation)
        yield label
        if label in NEVER_DRAWN:
            continue
        if is_section(part):
            yield from wanted(part, seen)
        elif part is bool:
            yield from (f"{label} = {value}" for value in (True, False))
        elif part is not ConditionConfig:
            yield from (f"{label} = {value}" for value in get_args(part))


def written(value: Any, model: type[BaseModel]) -> Iterator[str]:
    """Yield the fields that a document has, with the value of one that has alternatives."""
    for name, item in value.items():
        label, part = f"{model.__name__}.{name}", part_of(model.model_fields[name].annotation)
        yield label
        if is_section(part):
            parts = item if isinstance(item, list) else item.values() if name == "routes" else [item]
            for inside in parts:
                yield from written(inside if isinstance(inside, dict) else {}, part)
        elif part is not None:
            yield f"{label} = {item}"


@pytest.mark.slow
def test_nothing_of_the_models_is_never_drawn() -> None:
    seen: collections.Counter[str] = collections.Counter()
    algorithms: set[str] = set()

    def draw(drawn: dict[str, Any]) -> None:
        seen.update(set(written(drawn, PipelineGlobalConfig)))
        algorithms.update(re.findall(r"'algorithm': '(\w+)'", str(drawn)))

    # Each feature by itself, and so in fewer draws; all of them together are drawn in the same way.
    for feature in FEATURES:
        draws = settings(
            max_examples=500 if feature == "limits" else 250,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        draws(given(drawn=documents(None, None, (1, 2), (0, 3), [feature, "queues"], cycles=False))(draw))()
    assert set(wanted(PipelineGlobalConfig, set())) - seen.keys() - NEVER_DRAWN.keys() == set()
    assert set(NEVER_DRAWN) & seen.keys() == set()
    assert algorithms == set(LIMIT_ALGORITHMS)


# Shapes

SHAPES = {
    "chain": lambda config, graph: any(graph.targets(second) for first in graph.nodes for second in graph.targets(first)),
    "fan": lambda config, graph: any(len(graph.targets(route)) > 2 for route in graph.nodes),
    "diamond": lambda config, graph: any(
        len([edge for edge in graph.edges if edge.target == route and edge.source in graph.targets(top)]) > 1
        for top in graph.nodes
        for route in graph.nodes
    ),
    "circle": lambda config, graph: any(len(circle) > 1 for circle in graph.cycles),
    "loop": lambda config, graph: any(len(circle) == 1 for circle in graph.cycles),
    "topic with several readers": lambda config, graph: any(
        len(routes) > 1 and queue.startswith("/topic/") for queue, routes in graph.readers.items()
    ),
    "dead letters read by a route": lambda config, graph: any(edge.kind == "dead_letter" for edge in graph.edges),
    "queue that no route reads": lambda config, graph: any(sent.queue == "/queue/out" for sent in graph.publications),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_found(shape: str) -> None:
    holds = SHAPES[shape]
    found = smallest(
        loaded_configs(cycles=shape in {"circle", "loop"}, routes=(1, 4), features=["queues", "errors"]),
        lambda config: holds(config, build_graph(config)),
        settings=FOUND,
    )
    assert len(found.source.splitlines()) <= 8, found.source


@given(loaded_configs(cycles=True, features=["queues"]))
def test_each_circle_ends_by_a_deadline(config: PipelineGlobalConfig) -> None:
    assert [verdict for verdict in loops_end(config) if verdict.status != "holds"] == []


# Registries of one's own


class Settings(BaseModel):
    host: str
    port: int = 80

    def model_post_init(self, _context: Any, /) -> None:
        if self.port < 0:
            raise ValueError("no port")


class Fetch(PipelineAdapter):
    config_model = Settings

    def __init__(self, config: Settings) -> None:
        self.config = config

    async def process(self, context: Any) -> AdapterResult:
        return AdapterResult.forward()


@given(st.data())
def test_stages_have_the_adapters_of_a_registry_and_configurations_that_they_take(data: st.DataObject) -> None:
    registry = ValidatingAdapterRegistry.empty()
    registry.register("fetch", Fetch)
    text = data.draw(configs(registry=registry, stages=(1, 2)))
    config = PipelineConfigLoader(registry, environ={}).check_text(text).config
    assert config is not None
    assert {stage.type for route in config.routes.values() for stage in route.adapters} == {"fetch"}


@given(loaded_configs(registry=ValidatingAdapterRegistry(), types=["count_by_field", "delay", "pick_fields", "split"]))
def test_built_in_types_can_be_named(config: PipelineGlobalConfig) -> None:
    types = {stage.type for route in config.routes.values() for stage in route.adapters}
    assert types <= {"count_by_field", "delay", "pick_fields", "split"}


# Shrinking: what a person reads


def shrunk(holds: Any, **arguments: Any) -> str:
    return str(smallest(configs(**arguments), lambda text: holds(LOADER.check_text(text).config), settings=FOUND))


def test_the_plainest_configuration_is_one_route_that_does_nothing() -> None:
    assert shrunk(lambda config: True) == 'version: "1.0"\nroutes:\n  a: {}\n'


PLAINEST = {
    "condition": "  a: {adapters: [{type: forward, condition: {field: id, operator: eq, value: null}}]}\n",
    "dead letters of one route of two": "  a: {}\n  b: {error_handling: {dead_letter_queue: /queue/dead}}\n",
    "topic with several readers": "  a: {inbound: {queue: /topic/news}}\n  b: {inbound: {queue: /topic/news}}\n",
    "store": '  a: {adapters: [{type: forward, store: true}]}\nstorage: {url: "memory://"}\n',
    "several init messages": "  a: {}\ninit_message: [{route: a, payload: {}}, {route: a, payload: {}}]\n",
}

IS_SUCH = {
    "condition": lambda config: any(stage.condition for stage in stages_of(config)),
    "dead letters of one route of two": lambda config: (
        len(config.routes) == 2
        and {bool(route.error_handling.dead_letter_queue) for route in config.routes.values()} == {True, False}
    ),
    "topic with several readers": SHAPES["topic with several readers"],
    "store": lambda config: any(stage.store for stage in stages_of(config)),
    "several init messages": lambda config: len(config.init_message) > 1,
}


def stages_of(config: PipelineGlobalConfig) -> list[Any]:
    return [stage for route in config.routes.values() for stage in route.adapters]


@pytest.mark.parametrize("name", PLAINEST)
def test_a_configuration_shrinks_to_what_matters(name: str) -> None:
    is_such = IS_SUCH[name]
    text = shrunk(
        lambda config: is_such(config, build_graph(config)) if is_such in SHAPES.values() else is_such(config)
    )
    assert text == f'version: "1.0"\nroutes:\n{PLAINEST[name]}'


def test_a_circle_shrinks_to_a_stage_that_sleeps_and_a_deadline() -> None:
    text = shrunk(lambda config: build_graph(config).cycles, cycles=True)
    assert text.splitlines()[2:] == [
        "  a:",
        "    adapters: [{type: sleep, name: pause, config: {seconds: 1}}]",
        "    outbound: [{route: a}]",
        "    error_handling: {deadline_seconds: 2}",
    ]


def test_a_failing_example_is_printed_over_several_lines() -> None:
    assert repr(ConfigText('a: "b"\n')) == '"""\\\na: "b"\n"""'
    for odd in ('a: "\\x07"\n', 'a: """\n', "a: \x07\n", "é", "\\"):
        assert ast.literal_eval(repr(ConfigText(odd))) == odd


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"routes": (0, 2)}, r"routes: expected two numbers, the least \(from 1\) and the greatest, got \(0, 2\)"),
        ({"routes": 3}, "routes: expected two numbers"),
        ({"stages": (2, 1)}, r"stages: expected two numbers, the least \(from 0\)"),
        ({"features": ["limit"]}, "features: expected some of conditions, .*, got 'limit'"),
        ({"types": ["fetch"]}, "types: expected some of batch, .*, got 'fetch'"),
        ({"registry": ValidatingAdapterRegistry.empty()}, "expected a registry with an adapter"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        configs(**arguments)
