"""References to the environment: what they become, and that their values are never shown."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.written import escape

SECRET = "t0p-s3cret-t0ken"


def with_payload(text: str) -> str:
    return f'version: "1.0"\nroutes: {{a: {{adapters: [{{type: plain}}]}}}}\ninit_message:\n  route: a\n  payload: {text}\n'


def with_probe(config: str) -> str:
    return f'version: "1.0"\nroutes:\n  a:\n    adapters:\n      - type: probe\n        config: {config}\n'


def payload(config: PipelineGlobalConfig) -> Any:
    return config.init_message[0].payload


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${PORT}", 8080), ("'${PORT}'", "8080"), ("${NOT_THERE:7}", 7), ("'${NOT_THERE:7}'", "7"), ("${PORT}1", "80801"),
        ("http://${HOST}:${PORT}/", "http://example.org:8080/"), ("${EMPTY}", None), ("'${EMPTY}'", ""), ("${EMPTY:x}", None),
        ("x${EMPTY}", "x"), ("${NOT_THERE:}", None), ("${NOT_THERE:a:b c}", "a:b c"), ("$${PORT}", "${PORT}"), ("$$${PORT}", "$${PORT}"),
        ("$PORT", "$PORT"), ("'$${PORT} ${PORT}'", "${PORT} 8080"), ("$", "$"), ("{'${PORT}': 1}", {"${PORT}": 1}),
    ],
)  # fmt: skip
def test_references_are_resolved(written: str, value: object, loader: PipelineConfigLoader) -> None:
    found = payload(loader.load_text(with_payload(written)))
    assert found == value
    assert type(found) is type(value) or isinstance(value, dict)


@pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A", "${A-B}", "x${ A}"])
def test_a_malformed_reference_is_refused_whatever_it_stands_for(written: str, loader: PipelineConfigLoader) -> None:
    assert [finding.code for finding in loader.check_text(with_payload(f'"{written}"')).findings] == ["E019"]


def test_a_value_takes_the_reading_that_its_field_has(loader: PipelineConfigLoader) -> None:
    text = with_probe("{url: '${PORT}', port: '${PORT}', secret: x}").replace("secret: x", "secret: '${PORT}'")
    config = loader.load_text(text).routes["a"].adapters[0].config
    assert (config["url"], config["port"], config["secret"]) == ("8080", 8080, "8080")
    top = with_payload("1").replace("[{type: plain}]", "[{type: plain, timeout_seconds: '${PORT}'}]")
    assert loader.load_text(top + "name: ${PORT}\n").name == "8080"
    assert loader.load_text(top).routes["a"].adapters[0].timeout_seconds == 8080.0


def test_a_value_cannot_bring_structure(loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader]) -> None:
    value = "{a: 1}\nb: ${HOST}"
    assert payload(loader_with({"X": value}).load_text(with_payload("${X}"))) == value


def test_the_process_environment_is_read_at_each_load(
    loader: PipelineConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = PipelineConfigLoader(loader._registry)
    monkeypatch.delenv("FACTFLOW_TEST_NAME", raising=False)
    assert [finding.code for finding in fresh.check_text(with_payload("${FACTFLOW_TEST_NAME}")).findings] == ["E007"]
    monkeypatch.setenv("FACTFLOW_TEST_NAME", "1")
    assert payload(fresh.load_text(with_payload("${FACTFLOW_TEST_NAME}"))) == 1


def test_an_undefined_variable_hides_what_follows_from_it(loader: PipelineConfigLoader) -> None:
    text = with_probe("{url: x}").replace("type: probe", "type: ${NOT_THERE}")
    assert [finding.code for finding in loader.check_text(text).findings] == ["E007"]


@pytest.mark.parametrize(
    "text",
    [
        with_probe("{url: x, port: '${TOKEN}'}"),
        with_probe("{url: x, mode: '${TOKEN}'}"),
        with_probe("{url: x, secret: '${SHORT_KEY}'}"),
        with_probe("{url: x, limits: {low: '${TOKEN_PORT}', high: 1}}"),
        with_probe("{url: '${TOKEN}', secret: explode}"),
        with_probe("{url: x}").replace("type: probe", "type: ${TOKEN}"),
        with_probe("{url: x}").replace("type: probe", "type: probe\n        name: a/${TOKEN}"),
        with_payload("1").replace("{adapters", "{inbound: {queue: '${TOKEN}'}, adapters"),
        with_payload("1").replace("route: a", "route: ${TOKEN}"),
        with_payload("1").replace("{adapters", "{outbound: [{queue: '/queue/${TOKEN}'}], adapters"),
        with_payload("1").replace("{adapters", "{outbound_mode: '${TOKEN}', adapters"),
        with_payload("1").replace(
            "{adapters",
            "{outbound: [{queue: /topic/a, condition: {field: a, operator: '${TOKEN}', value: 1}}], adapters",
        ),
        with_payload("1").replace('version: "1.0"', "version: ${TOKEN}"),
    ],
)
def test_no_finding_shows_a_value(text: str, loader: PipelineConfigLoader, caplog: pytest.LogCaptureFixture) -> None:
    result = loader.check_text(text)
    assert result.findings
    shown = result.render() + "".join(map(str, result.findings)) + repr(result)
    for value in (SECRET, "example.org", "8080", "short (", "SHORT)", "exploded on t0p"):
        assert value not in shown
    if result.is_valid:
        with caplog.at_level(logging.DEBUG):
            loader.load_text(text)
        assert SECRET not in caplog.text


def test_a_loaded_configuration_shows_references_and_not_values(
    loader: PipelineConfigLoader, loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader]
) -> None:
    text = (
        with_payload("{token: '${TOKEN}', list: [1, 'x-${TOKEN}']}")
        + "  headers: {auth: '${TOKEN}'}\nname: ${TOKEN}\nstorage: {url: 'file:///${TOKEN}'}\n"
    ).replace(
        "adapters: [{type: plain}]",
        "inbound: {queue: '/queue/${TOKEN}'}, adapters: [{type: probe, config: {url: '${TOKEN}'}, "
        "condition: {field: a, operator: eq, value: '${TOKEN}'}}]",
    )
    config = loader.load_text(text)
    route = config.routes["a"]
    assert payload(config)["list"][1] == f"x-{SECRET}"
    assert route.adapters[0].config["url"] == SECRET
    assert route.adapters[0].condition is not None
    assert route.adapters[0].condition.mapping["value"] == SECRET
    assert route.inbound.queue == f"/queue/{SECRET}"
    parts = [
        config,
        route,
        route.inbound,
        *route.adapters,
        route.adapters[0].condition,
        config.init_message[0],
        config.storage,
    ]
    for part in parts:
        assert SECRET not in repr(part)
        assert SECRET not in str(part)
        assert "${TOKEN}" in repr(part)
    assert SECRET not in config.to_yaml()
    assert SECRET not in repr(config.to_mapping())
    other = loader_with({"TOKEN": "rotated"}).load_text(text)
    assert other.hash == config.hash
    assert other != config
    assert loader.load_text(config.to_yaml()) == config


def test_the_hash_tells_a_quoted_reference_from_an_unquoted_one(loader: PipelineConfigLoader) -> None:
    assert loader.load_text(with_payload("${PORT}")).hash != loader.load_text(with_payload("'${PORT}'")).hash


@given(text=st.text("${}AB:x ", max_size=20))
def test_escaped_text_is_itself(loader: PipelineConfigLoader, text: str) -> None:
    config = loader.load_text(with_payload(to_yaml(escape(text)).strip()))
    assert payload(config) == text


def test_a_default_in_the_shells_form_is_warned_of(loader: PipelineConfigLoader) -> None:
    result = loader.check_text(with_payload("${NOT_THERE:-x}"))
    [finding] = [finding for finding in result.findings if finding.code == "W002"]
    assert finding.message == "the default of NOT_THERE is '-x', with its hyphen"
    assert finding.remedy.startswith("write ${NOT_THERE:x}, unless ")
    assert not [found for found in loader.check_text(with_payload("${NOT_THERE:x-}")).findings if found.code == "W002"]


def test_a_finding_about_an_empty_variable_says_that_it_was_empty(loader: PipelineConfigLoader) -> None:
    [finding] = loader.check_text(with_probe("{url: x, port: '${EMPTY}'}")).findings
    assert finding.message.endswith("; the environment's variable EMPTY is empty")
