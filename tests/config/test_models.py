"""What a loaded configuration is: complete, inherited as said, and impossible to change."""

import copy
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from factflow_engine.conditions import compile_condition
from factflow_engine.config import (
    AdapterConfig,
    BackpressureConfig,
    CircuitBreakerConfig,
    ConditionConfig,
    ErrorHandlingConfig,
    InboundConfig,
    OutboundConfig,
    PipelineConfigLoader,
    RouteConfig,
)
from factflow_engine.config.frozen import FrozenDict, FrozenList
from factflow_engine.frames import pack

DOCUMENT = """
version: "1.0"
error_handling: {max_retries: 3, retry_delay_seconds: 2, dead_letter_queue: /queue/dlq}
backpressure: {min_concurrency: 2, max_concurrency: 40}
circuit_breaker: {minimum_calls: 7, failure_rate_threshold: 20}
routes:
  first:
    inbound: {concurrency: 3}
    adapters:
      - {type: plain, circuit_breaker: {key: host}}
      - {type: other, circuit_breaker: null}
      - {type: probe, config: {url: x, tags: [a, b], limits: {low: 1}}}
    error_handling: {max_retries: 0, dead_letter_queue: null}
    backpressure: {max_concurrency: 10}
  second:
    name: Second
    adapters: [{type: plain, name: own}]
    error_handling: null
    backpressure: null
    circuit_breaker: null
  third: {adapters: [{type: plain}]}
init_message: {route: first, payload: {a: [1, {b: 2}]}}
"""


@pytest.fixture(scope="module")
def config(loader: PipelineConfigLoader) -> Any:
    return loader.load_text(DOCUMENT)


def test_names_are_filled_in(config: Any) -> None:
    assert list(config.routes) == ["first", "second", "third"]
    first = config.routes["first"]
    assert first.name == "first"
    assert first.inbound == InboundConfig(queue="/queue/first", subscription="first", concurrency=3, prefetch=12)
    assert [stage.name for stage in first.adapters] == ["plain", "other", "probe"]
    assert config.routes["second"].name == "Second"
    assert config.routes["second"].inbound.prefetch == 32
    assert config.routes["second"].adapters[0].name == "own"


def test_a_route_overrides_only_the_fields_that_it_writes(config: Any) -> None:
    first = config.routes["first"]
    assert first.error_handling == ErrorHandlingConfig(max_retries=0, retry_delay_seconds=2, dead_letter_queue=None)
    assert first.backpressure == BackpressureConfig(min_concurrency=2, max_concurrency=10)
    third = config.routes["third"]
    assert third.error_handling == config.error_handling
    assert third.backpressure == config.backpressure
    assert third.circuit_breaker == config.circuit_breaker


def test_null_takes_nothing_from_above(config: Any) -> None:
    second = config.routes["second"]
    assert second.error_handling == ErrorHandlingConfig()
    assert second.backpressure is None
    assert second.circuit_breaker is None
    assert second.adapters[0].circuit_breaker is None


def test_a_stage_takes_its_breaker_from_the_route(config: Any) -> None:
    plain, other, probe = config.routes["first"].adapters
    assert plain.circuit_breaker == CircuitBreakerConfig(key="host", minimum_calls=7, failure_rate_threshold=20)
    assert other.circuit_breaker is None
    assert probe.circuit_breaker == config.circuit_breaker


def test_without_sections_there_is_no_backpressure_and_no_breaker(loader: PipelineConfigLoader) -> None:
    route = loader.load_text('version: "1.0"\nroutes: {a: {adapters: [{type: plain}]}}').routes["a"]
    assert route.backpressure is None
    assert route.circuit_breaker is None
    assert route.error_handling == ErrorHandlingConfig(max_retries=0)


def test_one_init_message_is_a_list_of_one(config: Any, loader: PipelineConfigLoader) -> None:
    (message,) = config.init_message
    assert message.payload == {"a": [1, {"b": 2}]}
    assert loader.load_text(DOCUMENT.replace("{route: first, p", "[{route: first, p").strip() + "]") == config


@pytest.mark.parametrize(
    "change",
    [
        lambda config: setattr(config, "name", "x"),
        lambda config: setattr(config.routes["first"].inbound, "concurrency", 1),
        lambda config: config.routes.update(x=1),
        lambda config: config.routes.pop("first"),
        lambda config: config.routes["first"].adapters[2].config.clear(),
        lambda config: config.routes["first"].adapters[2].config.__setitem__("url", 1),
        lambda config: config.routes["first"].adapters[2].config["tags"].append("c"),
        lambda config: config.routes["first"].adapters[2].config["limits"].__delitem__("low"),
        lambda config: config.init_message[0].payload["a"].sort(),
        lambda config: config.init_message[0].payload["a"].__imul__(2),
        lambda config: config.init_message[0].payload["a"][1].setdefault("c", 1),
        lambda config: config.init_message[0].payload.__ior__({"z": 1}),
    ],
)
def test_nothing_in_it_can_be_changed(change: Any, config: Any) -> None:
    before = config.hash
    with pytest.raises((TypeError, ValidationError)):
        change(config)
    assert config.hash == before


def test_it_is_hashable_and_survives_copying_and_pickling(config: Any, loader: PipelineConfigLoader) -> None:
    for other in (
        copy.copy(config),
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
        loader.load_text(DOCUMENT),
    ):
        assert other == config
        assert hash(other) == hash(config)
        assert other.hash == config.hash
        assert other.source == DOCUMENT
    assert config != loader.load_text(DOCUMENT.replace("concurrency: 3", "concurrency: 4"))


def test_frozen_containers_are_plain_ones_to_whoever_reads_them() -> None:
    value = {"a": [1, {"b": None}], "c": "x"}
    frozen = FrozenDict({"a": FrozenList([1, FrozenDict({"b": None})]), "c": "x"})
    assert frozen == value
    assert pack(frozen) == pack(value)
    condition = FrozenDict(
        {"all_of": FrozenList([FrozenDict({"field": "a", "operator": "in", "value": FrozenList([1])})])}
    )
    assert compile_condition(condition).matches(pack({"a": 1}))
    assert dict(frozen) == value
    assert type(list(frozen["a"])) is list


@pytest.mark.parametrize(
    "build",
    [
        lambda: InboundConfig(queue="/queue/a", subscription="a", concurrency="8"),  # type: ignore[arg-type]
        lambda: InboundConfig(queue="/queue/a", subscription="a", concurrency=True),
        lambda: InboundConfig(queue="/queue/a", subscription="a", concurrency=1.0),  # type: ignore[arg-type]
        lambda: ErrorHandlingConfig(max_retries=-1),
        lambda: ErrorHandlingConfig(retry_delay_seconds=float("nan")),
        lambda: ErrorHandlingConfig(retry_delay_seconds=100, max_delay_seconds=10),
        lambda: BackpressureConfig(min_concurrency=9, max_concurrency=3),
        lambda: BackpressureConfig(max_concurrency=3, initial_concurrency=4),
        lambda: CircuitBreakerConfig(failure_rate_threshold=0),
        lambda: CircuitBreakerConfig(wait_duration_seconds=90),
        OutboundConfig,
        lambda: OutboundConfig(route="a", queue="/queue/b"),
        lambda: AdapterConfig(type="a", name="a", confg={}),  # type: ignore[call-arg]
        lambda: RouteConfig(name="", inbound=InboundConfig(queue="/queue/a", subscription="a")),
    ],
)
def test_models_by_themselves_refuse_what_is_wrong(build: Any) -> None:
    with pytest.raises(ValidationError):
        build()


def test_whole_numbers_are_taken_for_numbers_and_conditions_may_be_given_by_keyword() -> None:
    assert ErrorHandlingConfig(retry_delay_seconds=2).retry_delay_seconds == 2.0
    condition = ConditionConfig(field="a", operator="eq", value=1)  # type: ignore[call-arg]
    assert condition == ConditionConfig({"field": "a", "operator": "eq", "value": 1})
    assert condition.mapping == {"field": "a", "operator": "eq", "value": 1}


def test_every_field_is_described(config: Any) -> None:
    models = [type(config)]
    seen = set()
    while models:
        model = models.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
    assert seen
