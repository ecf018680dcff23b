"""Sections on concurrency limits: what an algorithm takes is what makes it, and shared limits agree and cannot deadlock."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.config.models import BackpressureConfig
from factflow_engine.native import LIMIT_ALGORITHMS, limit_parameters
from factflow_engine.resilience.limit_settings import (
    WINDOW_PARAMETERS,
    native_arguments,
    parameter_names,
    parameter_problems,
)
from factflow_engine.resilience.limits import new_limit, register
from support.distributions import open_site

ROUTE = 'version: "1.0"\nroutes:\n  r:\n    adapters: [{type: plain}]\n'
OWN = """
class Own:
    limit = 3
    def __init__(self, size=1):
        if size > 5:
            raise ValueError("size is at most 5")
    def on_sample(self, *, start_ns, rtt_ns, in_flight, dropped=False): ...
"""


@pytest.fixture
def loader(registry: ValidatingAdapterRegistry) -> PipelineConfigLoader:
    return PipelineConfigLoader(registry)


def problems(loader, text):
    return [(each.code, each.path, each.remedy) for each in loader.check_text(text).findings]


@pytest.mark.parametrize(
    ("section", "code", "place", "remedy"),
    [
        ("{algorithm: amid}", "E503", "algorithm", "write 'aimd'"),
        ("{algorithm: aimd, parameters: {bakcoff: 0.8}}", "E504", "parameters.bakcoff", "write 'backoff'"),
        ("{algorithm: aimd, parameters: {timeout_ns: 8}}", "E504", "parameters.timeout_ns", "write 'timeout_ms'"),
        ("{algorithm: aimd, parameters: {timeout_ms: -8}}", "E504", "parameters.timeout_ms", "write a value within the bounds"),
        ("{algorithm: aimd, parameters: {backoff: true}}", "E504", "parameters.backoff", "write a number"),
        ("{algorithm: aimd, parameters: {min: 2}}", "E504", "parameters.min", "write min_concurrency: beside algorithm:"),
        ("{algorithm: vegas, parameters: {window: {sized: 8}}}", "E504", "parameters.window.sized", "write 'size'"),
        ("{algorithm: vegas, parameters: {window: {size: 0}}}", "E504", "parameters.window.size", "write a value within the bounds"),
        ("{algorithm: vegas, parameters: {window: 8}}", "E504", "parameters.window", "write window: {size: 10}"),
        ("{algorithm: arc, parameters: {window: {}}}", "E504", "parameters.window", "remove window"),
        ("{algorithm: aimd, backoff: 0.8}", "E101", "backoff", "write it under parameters: {backoff: ...}"),
        ("{target_latency_ms: 0.0000001}", "E501", "target_latency_ms", ""),
        ("{group: 'a b'}", "E501", "group", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_found_at_its_place_and_told_what_to_write(loader, section, code, place, remedy):
    [found] = problems(loader, f"{ROUTE}    backpressure: {section}\n")
    assert found[:2] == (code, f"routes.r.backpressure.{place}")
    assert found[2] == remedy or not remedy


def test_all_problems_of_the_parameters_are_reported(loader):
    section = "{algorithm: gradient2, parameters: {tolerance: 0, warmup: 1.5, longwindow: 3}}"
    assert [place for _, place, _ in problems(loader, f"{ROUTE}    backpressure: {section}\n")] == [
        f"routes.r.backpressure.parameters.{name}" for name in ("tolerance", "warmup", "longwindow")
    ]


@pytest.mark.parametrize("written", ["'${B}'", '"${B}"'])
def test_a_parameter_from_the_environment_is_read_as_a_number(registry, written):
    section = f"{{algorithm: aimd, parameters: {{backoff: {written}, window: {{size: {written.replace('B', 'S')}}}}}}}"
    loader = PipelineConfigLoader(registry, environ={"B": "0.8", "S": "20"})
    config = loader.load_text(f"{ROUTE}    backpressure: {section}\n")
    section = config.routes["r"].backpressure
    assert section is not None
    assert section.parameters["backoff"] == 0.8
    assert section.parameters["window"]["size"] == 20


def test_bounds_are_given_in_the_unit_that_is_written(loader):
    [found] = loader.check_text(
        f"{ROUTE}    backpressure: {{algorithm: aimd, parameters: {{timeout_ms: -8}}}}\n"
    ).errors
    assert re.fullmatch(r"aimd, timeout_ms: expected a number from 1e-06 to [\d.e+]+, got -8", found.message)


@pytest.mark.parametrize("algorithm", LIMIT_ALGORITHMS)
def test_every_parameter_of_a_built_in_algorithm_can_be_written(algorithm):
    names = parameter_names(algorithm)
    assert names is not None
    for name in names:
        value = {} if name == "window" else 1
        found = parameter_problems(algorithm, {name: value})
        assert all("no parameter" not in one.problem for one in found), name
    assert all(
        len(parameter_problems(algorithm, {name: 1})) == 1
        for name in limit_parameters(algorithm)
        if name.endswith("_ns")
    )


def test_the_names_of_a_windows_parameters_are_those_of_the_algorithm():
    with pytest.raises(ValueError, match="it has ") as caught:
        new_limit("aimd", window={"?": 1})
    known = str(caught.value).partition("it has ")[2].split(", ")
    assert sorted(native_arguments("aimd", {"window": dict.fromkeys(WINDOW_PARAMETERS, 1)})["window"]) == sorted(known)


@given(
    algorithm=st.sampled_from(LIMIT_ALGORITHMS),
    parameters=st.dictionaries(
        st.sampled_from(["backoff", "timeout_ms", "smoothing", "queue_size", "tolerance", "ewma_alpha", "window", "min", "x"]),
        st.integers(-2, 2) | st.floats(0, 3) | st.just({}) | st.just({"size": 3}) | st.booleans() | st.text(max_size=2),
        max_size=3,
    ),
)  # fmt: skip
@settings(max_examples=150)
def test_what_the_model_accepts_makes_an_algorithm(algorithm, parameters):
    try:
        section = BackpressureConfig(algorithm=algorithm, parameters=parameters)  # type: ignore[arg-type]
    except ValidationError:
        assert parameter_problems(algorithm, parameters)
    else:
        new_limit(algorithm, **native_arguments(algorithm, section.parameters))


def test_a_route_that_names_another_algorithm_inherits_no_parameters(loader):
    text = (
        'version: "1.0"\nbackpressure: {algorithm: aimd, max_concurrency: 9, parameters: {backoff: 0.7}}\n'
        "routes:\n  same: {backpressure: {max_concurrency: 5}}\n  other: {backpressure: {algorithm: vegas}}\n  none: {}\n"
    )
    routes = loader.check_text(text).config.routes
    assert [(route.backpressure.algorithm, dict(route.backpressure.parameters), route.inbound.concurrency) for route in routes.values()] == [
        ("aimd", {"backoff": 0.7}, 5), ("vegas", {}, 9), ("aimd", {"backoff": 0.7}, 9),
    ]  # fmt: skip


def test_a_limit_of_a_route_bounds_its_concurrency_unless_that_is_written(loader):
    text = 'version: "1.0"\nroutes: {a: {backpressure: {}}, b: {backpressure: {}, inbound: {concurrency: 3}}, c: {}}\n'
    routes = loader.check_text(text).config.routes
    assert [(route.inbound.concurrency, route.inbound.prefetch) for route in routes.values()] == [
        (200, 800),
        (3, 12),
        (8, 32),
    ]


def test_a_stage_inherits_no_limit(loader):
    text = 'version: "1.0"\nbackpressure: {}\nroutes: {r: {adapters: [{type: plain}]}}\n'
    assert loader.check_text(text).config.routes["r"].adapters[0].backpressure is None


# -- a program's own algorithms --------------------------------------------------------------------------------------


def test_a_registered_algorithm_is_used_by_its_name(loader):
    namespace: dict[str, object] = {}
    exec(OWN, namespace)
    register("test-limits-own", namespace["Own"])  # type: ignore[arg-type]
    text = f"{ROUTE}    backpressure: {{algorithm: test-limits-own, parameters: {{size: %s}}}}\n"
    assert problems(loader, text % 2) == []
    [(code, path, _)] = problems(loader, text % 9)
    assert (code, path) == ("E504", "routes.r.backpressure.parameters")
    assert "ValueError: size is at most 5" in loader.check_text(text % 9).render()
    [(code, _, _)] = problems(
        loader, f"{ROUTE}    backpressure: {{algorithm: test-limits-own, parameters: {{other: 2}}}}\n"
    )
    assert code == "E504"


def test_an_installed_algorithm_is_used_by_its_name_and_imported_only_if_imports_are_allowed(
    loader, registry, tmp_path, monkeypatch
):
    with open_site(tmp_path, monkeypatch) as site:
        site.module("own_limits.py", OWN)
        site.module("broken_limits.py", "raise OSError('no')\n")
        site.distribution("own-limits", "factflow.limits", installed="own_limits:Own", broken="broken_limits:Own")
        path = tmp_path / "pipeline.yaml"
        path.write_text(f"{ROUTE}    backpressure: {{algorithm: broken}}\n")
        found = loader.check(path)
        assert [(each.code, each.path) for each in found.errors] == [("E504", "routes.r.backpressure.parameters")]
        assert "cannot be imported: OSError: no" in found.render()
        found = loader.check(path, imports=False)
        assert found.errors == ()
        assert [each.what for each in found.unchecked] == ["limit algorithm 'broken'"]
        path.write_text(f"{ROUTE}    backpressure: {{algorithm: installed, parameters: {{size: 2}}}}\n")
        assert loader.check(path).errors == ()
        assert new_limit("installed", size=2).limit == 3
        path.write_text(f"{ROUTE}    backpressure: {{algorithm: installd}}\n")
        assert loader.check(path).errors[0].remedy == "write 'installed'"


# -- shared limits ---------------------------------------------------------------------------------------------------

WAITS = [
    ("one route and its own stage", {"a": ("g", ["g"])}, 1),
    ("a route and another's stage", {"a": ("g", []), "b": (None, ["g"])}, 0),
    ("two that wait for each other", {"a": ("g", ["h"]), "b": ("h", ["g"])}, 2),
    ("a chain", {"a": ("g", ["h"]), "b": ("h", ["i"]), "c": ("i", [])}, 0),
    ("a circle of three", {"a": ("g", ["h"]), "b": ("h", ["i"]), "c": ("i", ["g"])}, 3),
    ("stages alone", {"a": (None, ["g", "h"]), "b": (None, ["h", "g"])}, 0),
]


@pytest.mark.parametrize(("routes", "count"), [case[1:] for case in WAITS], ids=[case[0] for case in WAITS])
def test_shared_limits_cannot_wait_for_one_another(loader, routes, count):
    text = 'version: "1.0"\nroutes:\n'
    for route, (own, stages) in routes.items():
        text += f"  {route}:\n    adapters:\n"
        for index, group in enumerate(stages):
            text += f"      - {{type: plain, name: s{index}, backpressure: {{group: {group}}}}}\n"
        text += "      - {type: plain}\n"
        if own is not None:
            text += f"    backpressure: {{group: {own}}}\n"
    found = [code for code, _, _ in problems(loader, text)]
    assert found == ["E506"] * count


def test_members_of_a_group_have_equal_settings_but_for_a_stages_key(loader):
    stages = "[{type: plain, backpressure: {group: g, %s}}, {type: plain, name: b, backpressure: {group: g, %s}}]"
    text = 'version: "1.0"\nroutes: {r: {inbound: {concurrency: 300}, adapters: ' + stages + "}}\n"
    assert problems(loader, text % ("key: host", "key: host")) == []
    [(code, path, _)] = problems(loader, text % ("max_concurrency: 5", "max_concurrency: 6"))
    assert (code, path) == ("E505", "routes.r.adapters[1].backpressure.group")
    message = loader.check_text(text % ("max_concurrency: 5", "max_concurrency: 6")).errors[0].message
    assert message == "group 'g' has another max_concurrency at routes.r.adapters[0].backpressure"


# -- settings without effect -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "code", "place"),
    [
        ("backpressure: {algorithm: vegas, target_latency_ms: 5}", "W501", "backpressure.target_latency_ms"),
        ("adapters: [{type: plain, backpressure: {max_keys: 5}}]\n    inbound: {concurrency: 300}", "W501", "adapters[0].backpressure.max_keys"),
        ("adapters: [{type: plain, timeout_seconds: 1, backpressure: {target_latency_ms: 1000}}]", "W502", "adapters[0].backpressure.target_latency_ms"),
        ("backpressure: {target_latency_ms: 3000}\n    error_handling: {timeout_seconds: 2}", "W502", "backpressure.target_latency_ms"),
        ("backpressure: {min_concurrency: 5}\n    inbound: {concurrency: 1}", "W502", "backpressure.min_concurrency"),
        ("adapters: [{type: plain, backpressure: {algorithm: fixed, max_concurrency: 8}}]", "W502", "adapters[0].backpressure.max_concurrency"),
        ("adapters: [{type: plain, backpressure: {algorithm: fixed, max_concurrency: 7}}]", "", ""),
        ("adapters: [{type: plain, backpressure: {}}]", "", ""),
    ],
)  # fmt: skip
def test_settings_without_effect_are_warned_of(loader, route, code, place):
    text = f'version: "1.0"\nroutes:\n  r:\n    {route}\n'
    if "adapters" not in text:
        text += "    adapters: [{type: plain}]\n"
    assert [found[:2] for found in problems(loader, text)] == ([(code, f"routes.r.{place}")] if code else [])
