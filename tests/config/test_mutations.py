"""One mistake put into a valid configuration is found as what it is, and as nothing else."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.config import PipelineConfigLoader
from factflow_engine.config.canonical import to_yaml

VALID: dict[str, Any] = {
    "version": "1.0",
    "name": "valid",
    "routes": {
        "parse": {
            "inbound": {"queue": "/queue/parse.in", "concurrency": 4},
            "adapters": [
                {"type": "probe", "config": {"url": "x", "port": 80, "limits": {"low": 1, "high": 2}}},
                {"type": "plain", "timeout_seconds": 3, "circuit_breaker": {"minimum_calls": 5}},
            ],
            "outbound": [{"route": "embed", "condition": {"field": "a", "operator": "gt", "value": 1}}],
            "error_handling": {"max_retries": 3, "dead_letter_queue": "/queue/dlq"},
            "backpressure": {"algorithm": "fixed", "min_concurrency": 1, "max_concurrency": 9},
        },
        "embed": {"adapters": [{"type": "other"}]},
    },
    "init_message": [{"route": "parse", "payload": {"a": 1}}],
    "orchestrator": {"max_failed_messages": 3},
}

Path = tuple[str | int, ...]
STAGE: Path = ("routes", "parse", "adapters", 0)
NUMBERS: list[Path] = [
    ("routes", "parse", "inbound", "concurrency"),
    ("routes", "parse", "adapters", 1, "timeout_seconds"),
    ("routes", "parse", "adapters", 1, "circuit_breaker", "minimum_calls"),
    ("routes", "parse", "error_handling", "max_retries"),
    ("routes", "parse", "backpressure", "max_concurrency"),
    ("orchestrator", "max_failed_messages"),
]
MAPPINGS: list[Path] = [
    (),
    ("routes", "parse"),
    ("routes", "parse", "inbound"),
    STAGE,
    ("routes", "parse", "outbound", 0),
    ("routes", "parse", "error_handling"),
    ("routes", "parse", "backpressure"),
    ("routes", "parse", "adapters", 1, "circuit_breaker"),
    ("init_message", 0),
    ("orchestrator",),
]


def at(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document


def changed(path: Path, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(VALID)
    at(document, path[:-1])[path[-1]] = value
    return document


def without(path: Path) -> dict[str, Any]:
    document = copy.deepcopy(VALID)
    del at(document, path[:-1])[path[-1]]
    return document


MISTAKES: dict[str, st.SearchStrategy[tuple[dict[str, Any], Path]]] = {
    "E101": st.sampled_from(MAPPINGS).map(lambda path: (changed((*path, "zzz"), 1), (*path, "zzz"))),
    "E102": st.sampled_from([("version",), ("routes",), (*STAGE, "type"), ("init_message", 0, "payload")]).map(
        lambda path: (without(path), path)
    ),
    "E103": st.text("abc", min_size=1).map(lambda name: (changed((*STAGE, "type"), name), (*STAGE, "type"))),
    "E104": st.tuples(st.sampled_from(NUMBERS), st.sampled_from(["1", "x", True, [], {}])).map(
        lambda mistake: (changed(*mistake), mistake[0])
    ),
    "E202": st.just((changed(("routes", "parse", "outbound", 0, "route"), "x"), ("routes", "parse", "outbound", 0, "route"))),
    "E204": st.text("ab /", min_size=1).map(
        lambda name: (changed(("routes", "parse", "inbound", "queue"), name), ("routes", "parse", "inbound", "queue"))
    ),
    "E301": st.sampled_from([(*STAGE, "config", "zzz"), (*STAGE, "config", "limits", "zzz")]).map(
        lambda path: (changed(path, 1), path)
    ),
    "E302": st.just((without((*STAGE, "config", "url")), (*STAGE, "config", "url"))),
    "E303": st.sampled_from([0, 65536, "x", None, [], {}]).map(
        lambda value: (changed((*STAGE, "config", "port"), value), (*STAGE, "config", "port"))
    ),
    "E401": st.just(
        (
            changed(("routes", "parse", "outbound", 0, "condition", "operator"), "greater"),
            ("routes", "parse", "outbound", 0, "condition", "operator"),
        )
    ),
    "E501": st.tuples(st.sampled_from(NUMBERS), st.sampled_from([-1, 10**12])).map(
        lambda mistake: (changed(mistake[0], -1 if mistake[0] == NUMBERS[-1] else mistake[1]), mistake[0])
    ),
}  # fmt: skip


def dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def test_the_configuration_is_valid_to_begin_with(loader: PipelineConfigLoader) -> None:
    assert loader.check_mapping(VALID).findings == ()


@pytest.mark.parametrize("code", MISTAKES)
@given(data=st.data())
def test_one_mistake_is_one_finding(code: str, loader: PipelineConfigLoader, data: st.DataObject) -> None:
    document, path = data.draw(MISTAKES[code])
    result = loader.check_text(to_yaml(document))
    assert [(finding.code, finding.path) for finding in result.errors] == [(code, dotted(path))]
