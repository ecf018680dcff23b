"""The schema for editors: valid by itself, and it says what the loader would."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import config_schema


@pytest.fixture(scope="module")
def validator(registry: ValidatingAdapterRegistry) -> Draft202012Validator:
    return Draft202012Validator(config_schema(registry))


def document(route: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    return {"version": "1.0", "routes": {"a": {"adapters": [{"type": "plain"}], **(route or {})}}, **top}


def test_it_is_a_valid_schema_with_the_built_in_adapters_too() -> None:
    schema = config_schema(ValidatingAdapterRegistry())
    Draft202012Validator.check_schema(schema)
    references = str(schema).split("'#/$defs/")[1:]
    assert references
    assert {reference.split("'")[0] for reference in references} <= set(schema["$defs"])


def test_it_describes_every_field(registry: ValidatingAdapterRegistry) -> None:
    schema = config_schema(registry)
    own = {name: found for name, found in schema["$defs"].items() if not name.startswith("adapter.")}
    for name, definition in {"document": schema, **own}.items():
        for field, described in definition.get("properties", {}).items():
            assert described.get("description"), f"{name}.{field}"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"version": "1.0", "routes": {}},
        document(version="2.0"),
        document(nmae="x"),
        document({"inbound": {"concurrency": 0}}),
        document({"inbound": {"concurrency": "8"}}),
        document({"outbound": [{}]}),
        document({"outbound": [{"route": "a", "queue": "/queue/b"}]}),
        document({"adapters": [{"type": "plian"}]}),
        document({"adapters": [{"type": "plain", "config": {"x": 1}}]}),
        document({"adapters": [{"type": "probe"}]}),
        document({"adapters": [{"type": "probe", "config": {"port": 1}}]}),
        document({"adapters": [{"type": "probe", "config": {"url": "x", "limits": {"low": "1"}}}]}),
        document({"adapters": [{"type": "plain", "condition": {"all_of": []}}]}),
        document({"backpressure": {"algorithm": "magic"}}),
        document({"backpressure": {"algorithm": "aimd", "parameters": {"bakcoff": 0.8}}}),
        document({"backpressure": {"algorithm": "aimd", "parameters": {"backoff": "much"}}}),
        document({"backpressure": {"algorithm": "vegas", "parameters": {"window": {"sized": 8}}}}),
        document({"backpressure": {"algorithm": "adaptive", "parameters": {"window": {}}}}),
        document(init_message={"route": "a"}),
    ],
)
def test_it_refuses_what_the_loader_refuses(wrong: dict[str, Any], validator: Draft202012Validator) -> None:
    assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    "right",
    [
        document(),
        document({"inbound": {"concurrency": "${N}", "prefetch": "${N:8}"}, "backpressure": None}),
        document({"adapters": [{"type": "probe", "config": {"url": "x", "port": "${PORT}", "mode": "${MODE:fast}"}}]}),
        document({"adapters": [{"type": "probe", "config": {"url": "x", "limits": {"low": "${LOW}"}}}]}),
        document({"adapters": [{"type": "plain", "timeout_seconds": "${T}", "circuit_breaker": None}]}),
        document(init_message=[{"route": "a", "payload": None}], error_handling=None),
        document({"outbound": [{"route": "a", "queue": None}]}),
        document({"backpressure": {"algorithm": "aimd", "parameters": {"backoff": "${B}", "window": {"size": 20}}}}),
        document({"backpressure": {"algorithm": "${A}", "parameters": {"backoff": 0.8}}}),
    ],
)
def test_it_accepts_references_and_nulls(right: dict[str, Any], validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(right)] == []
