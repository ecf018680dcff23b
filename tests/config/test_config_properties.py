"""Properties of loading: whatever the text, whatever the order, there and back again."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import CATALOGUE, ConfigurationError, PipelineConfigLoader, config_schema
from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.written import escape
from factflow_engine.native import LIMIT_ALGORITHMS

NAMES = st.text("abcxyz019", min_size=1, max_size=4).map(lambda text: f"r{text}")
TEXTS = st.text(max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
LEAVES = st.sampled_from(
    [
        {"field": "a", "operator": "exists"},
        {"field": ["a", "b"], "operator": "eq", "value": None},
        {"field": "a.b", "operator": "matches", "value": "^x"},
        {"field": "n", "operator": "in", "value": [1, "x", 2.5]},
    ]
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"all_of": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"any_of": items}),
        inner.map(lambda item: {"not": item}),
    ),
    max_leaves=4,
)
ERRORS = st.fixed_dictionaries(
    {},
    optional={
        "max_retries": st.integers(0, 10),
        "retry_delay_seconds": st.floats(0, 50) | st.integers(0, 50),
        "backoff": st.sampled_from(["exponential", "fixed"]),
        "jitter": st.sampled_from(["full", "none"]),
        "retry_on": st.lists(st.sampled_from(["OSError", "ValueError"]), max_size=2),
        "dead_letter_queue": st.sampled_from(["/queue/dlq", "/queue/dead"]),
        "deadline_seconds": st.integers(1, 100),
        "max_deliveries": st.none() | st.integers(1, 9),
        "max_deferrals": st.none() | st.integers(0, 9),
        "max_deferral_seconds": st.none() | st.floats(0.1, 100),
        "timeout_seconds": st.floats(0.1, 100),
    },
)
PRESSURE = st.fixed_dictionaries(
    {},
    optional={
        "algorithm": st.sampled_from(LIMIT_ALGORITHMS),
        "target_latency_ms": st.floats(1, 1000),
        "min_concurrency": st.integers(1, 5),
        "max_concurrency": st.integers(5, 50),
        "monitor_only": st.booleans(),
    },
)
KEYED = st.fixed_dictionaries(
    {"algorithm": st.sampled_from(["aimd", "vegas"])},
    optional={
        "parameters": st.fixed_dictionaries(
            {}, optional={"window": st.just({"size": 12, "max_window_ms": 2_000}) | st.just({})}
        ),
        "key": st.just("host"),
        "max_keys": st.integers(1, 50),
        "monitor_only": st.booleans(),
    },
)
BREAKER = st.fixed_dictionaries(
    {},
    optional={
        "key": st.just("host"),
        "failure_rate_threshold": st.floats(1, 100),
        "minimum_calls": st.integers(1, 50),
        "max_half_open_seconds": st.none() | st.integers(1, 9),
        "after_half_open": st.sampled_from(["open", "closed"]),
        "wait_jitter": st.floats(0, 1),
        "retry_after": st.sampled_from(["extend", "open", "ignore"]),
        "max_keys": st.integers(1, 50),
    },
)
INHERITED = {
    "error_handling": st.none() | ERRORS,
    "backpressure": st.none() | PRESSURE,
    "circuit_breaker": st.none() | BREAKER,
}
PROBE = st.fixed_dictionaries(
    {"url": TEXTS},
    optional={
        "port": st.integers(1, 65535) | st.just("${PORT}"),
        "mode": st.sampled_from(["fast", "safe"]),
        "tags": st.lists(TEXTS, max_size=2),
        "limits": st.fixed_dictionaries({}, optional={"low": st.integers(-5, 10), "high": st.integers(10, 99)}),
        "ratio": st.floats(0, 1) | st.integers(0, 3),
    },
)


@st.composite
def stages(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for index in range(draw(st.integers(0, 3))):
        stage: dict[str, Any] = {"type": draw(st.sampled_from(["plain", "other", "probe"])), "name": f"s{index}"}
        if stage["type"] == "probe":
            stage["config"] = draw(PROBE)
        optional = {
            "condition": CONDITIONS,
            "timeout_seconds": st.integers(1, 9),
            "circuit_breaker": st.none() | BREAKER,
            "backpressure": st.none() | PRESSURE | KEYED,
        }
        found.append(stage | draw(st.fixed_dictionaries({}, optional=optional)))
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document that the loader accepts."""
    ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    targets = st.one_of(
        st.sampled_from(ids).map(lambda route: {"route": route}),
        st.sampled_from(["/queue/x", "/topic/y.z"]).map(lambda queue: {"queue": queue}),
    )
    outbounds = st.builds(
        lambda target, extra: target | extra, targets, st.fixed_dictionaries({}, optional={"condition": CONDITIONS})
    )
    routes = {}
    for route_id in ids:
        inbound = st.fixed_dictionaries(
            {},
            optional={
                "queue": st.just(f"/queue/{route_id}.in") | st.just("/topic/shared"),
                "subscription": st.sampled_from(["a", "b"]),
                "concurrency": st.integers(1, 99),
                "prefetch": st.integers(1, 99),
                "capacity": st.integers(1, 999),
            },
        )
        optional = {
            "name": st.text("ab é", min_size=1, max_size=3),
            "description": TEXTS,
            "inbound": inbound,
            "adapters": stages(),
            "outbound": st.lists(outbounds, max_size=3),
            "outbound_mode": st.sampled_from(["all", "first"]),
            "unrouted": st.sampled_from(["filter", "fail"]),
            **INHERITED,
        }
        routes[route_id] = draw(st.fixed_dictionaries({}, optional=optional))
    message = st.fixed_dictionaries(
        {"route": st.sampled_from(ids), "payload": VALUES},
        optional={"headers": st.dictionaries(TEXTS, SCALARS, max_size=2), "key": st.none() | TEXTS},
    )
    top = {
        "name": st.text("ab é", min_size=1, max_size=3),
        "init_message": message | st.lists(message, max_size=2),
        "orchestrator": st.fixed_dictionaries({}, optional={"max_failed_messages": st.none() | st.integers(0, 9)}),
        "processor": st.fixed_dictionaries({}, optional={"quantum_microseconds": st.integers(1, 9)}),
        "storage": st.none() | st.just({"url": "memory://", "metadata": {"fields": [{"name": "a", "default": "${"}]}}),
        "lineage": st.none() | st.just({"sample_rate": 0.5}),
        **INHERITED,
    }
    return {"version": "1.0", "routes": routes, **draw(st.fixed_dictionaries({}, optional=top))}


def escaped(value: Any) -> Any:
    """The document as it is written: only `${PORT}` is meant to be a reference."""
    if isinstance(value, str):
        return value if value == "${PORT}" else escape(value)
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, Mapping):
        items = [(key, shuffled(item, order)) for key, item in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(document=documents().map(escaped), order=st.randoms(use_true_random=False))
def test_the_order_of_keys_never_changes_the_meaning(
    loader: PipelineConfigLoader, document: dict[str, Any], order: random.Random
) -> None:
    config = loader.load_text(to_yaml(document))
    other = loader.load_text(to_yaml(shuffled(document, order)))
    assert other == config
    assert other.hash == config.hash


@given(document=documents().map(escaped))
def test_the_canonical_form_loads_as_the_same_configuration(
    loader: PipelineConfigLoader, document: dict[str, Any]
) -> None:
    config = loader.load_text(to_yaml(document))
    again = loader.load_text(config.to_yaml())
    assert again == config
    assert again.hash == config.hash
    assert again.to_mapping() == config.to_mapping()
    assert loader.load_mapping(config.to_mapping()) == config


@given(document=documents().map(escaped))
def test_what_the_loader_accepts_the_schema_accepts(
    loader: PipelineConfigLoader, schema_validator: Draft202012Validator, document: dict[str, Any]
) -> None:
    config = loader.load_text(to_yaml(document))
    assert [error.message for error in schema_validator.iter_errors(document)] == []
    assert [error.message for error in schema_validator.iter_errors(config.to_mapping())] == []


@pytest.fixture(scope="session")
def schema_validator(registry: ValidatingAdapterRegistry) -> Draft202012Validator:
    schema = config_schema(registry)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check_outcome(loader: PipelineConfigLoader, text: str | bytes) -> None:
    """Either a configuration, or findings with known codes and places inside the text."""
    try:
        config = loader.load_text(text)
    except ConfigurationError as error:
        findings = error.findings
        assert findings
        assert any(finding.severity == "error" for finding in findings)
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        lines = shown.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for finding in findings:
            assert finding.code in CATALOGUE
            assert 1 <= finding.line <= len(lines)
            assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert loader.check_text(text).render()
    else:
        assert config.hash


@given(text=st.text(max_size=200))
def test_random_text_gives_a_configuration_or_findings(loader: PipelineConfigLoader, text: str) -> None:
    check_outcome(loader, text)


@given(data=st.binary(max_size=200))
def test_random_bytes_give_a_configuration_or_findings(loader: PipelineConfigLoader, data: bytes) -> None:
    check_outcome(loader, data)


@given(text=st.text("ab:-?[]{},&*!|>'\"%@`#$\n \t\\0\r<~=.1é\x85\u2028", max_size=80))
def test_text_of_yaml_characters_gives_a_configuration_or_findings(loader: PipelineConfigLoader, text: str) -> None:
    check_outcome(loader, text)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(document=documents().map(escaped), data=st.data())
def test_a_damaged_configuration_gives_a_configuration_or_findings(
    loader: PipelineConfigLoader, document: dict[str, Any], data: st.DataObject
) -> None:
    text = to_yaml(document)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    middle = data.draw(st.text(max_size=4) | st.sampled_from(["${X}", "&a ", "*a", "!!x ", "- ", ": ", "[", "{", "\n"]))
    check_outcome(loader, text[:start] + middle + text[end:])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(document=documents().map(escaped), data=st.data())
def test_any_value_anywhere_gives_a_configuration_or_findings(
    loader: PipelineConfigLoader, document: dict[str, Any], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(places(document)[1:]))
    target = document
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = data.draw(VALUES | st.sampled_from(["${PORT}", "${NOT_THERE}", "${", "$${"]))
    check_outcome(loader, to_yaml(document))
