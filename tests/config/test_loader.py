"""The ways in, strictness, and what the error says."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import (
    CATALOGUE,
    ConfigurationError,
    PipelineConfigLoader,
    configure_validation,
    render_findings,
    validate_route_config,
)

VALID = 'version: "1.0"\nroutes:\n  a:\n    adapters: [{type: plain}]\n'
BROKEN = VALID.replace("plain", "plian") + "nmae: x\n"
HARMLESS = VALID + "    outbound: [{queue: /queue/x}]\n"
SURVIVABLE = VALID + "    unrouted: dead_letter\n    outbound: [{route: b}]\n"


@pytest.fixture
def lenient() -> Iterator[None]:
    configure_validation(strict=False)
    yield
    configure_validation(strict=True)


@pytest.mark.parametrize("kind", ["path", "string path", "text", "bytes"])
def test_paths_and_texts_load_alike(kind: str, loader: PipelineConfigLoader, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(VALID)
    config = {
        "path": lambda: loader.load(path),
        "string path": lambda: loader.load(str(path)),
        "text": lambda: loader.load_text(VALID),
        "bytes": lambda: loader.load_text(VALID.encode()),
    }[kind]()
    assert config.source == VALID
    assert config.directory == (tmp_path.resolve() if "path" in kind else Path.cwd())
    assert config == loader.load_text(VALID) == loader.load(path)


@pytest.mark.parametrize("text", [VALID, VALID.encode(), "", "{}", "a: 1"])
def test_a_text_in_the_place_of_a_path_is_one_finding_that_says_what_to_write(
    text: Any, loader: PipelineConfigLoader
) -> None:
    with pytest.raises(ConfigurationError, match="expected the path of a file, got a configuration's text") as caught:
        loader.load(text)
    [finding] = caught.value.findings
    assert (finding.code, finding.file) == ("E016", "<text>")
    assert finding.remedy.startswith("write load_text(text)")
    assert loader.check(text).findings == caught.value.findings


def test_the_error_names_every_finding_with_its_place_and_remedy(loader: PipelineConfigLoader) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loader.load_text(BROKEN, name="my.yaml")
    text = str(caught.value)
    assert (
        "my.yaml:4:23: E103 no adapter type 'plian' is registered (routes.a.adapters[0].type)\n    write 'plain'"
        in text
    )
    assert "my.yaml:5:1: E101 there is no field 'nmae' here (nmae)\n    write 'name'" in text
    assert "2 errors" in text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_findings_are_shown_with_their_line_underlined(loader: PipelineConfigLoader) -> None:
    result = loader.check_text(BROKEN)
    assert result.render().splitlines()[:4] == [
        "<text>:4:23: E103 no adapter type 'plian' is registered (routes.a.adapters[0].type)",
        "    4 |     adapters: [{type: plian}]",
        "      |                       ^^^^^",
        "    write 'plain'",
    ]
    assert render_findings(result.findings, BROKEN) == result.render()


def test_long_lines_tabs_and_places_past_the_end_are_rendered(loader: PipelineConfigLoader) -> None:
    text = VALID + f"description: {'x' * 500} \t# y\nname: [{'a,' * 300} }}\n"
    shown = loader.check_text(text).render()
    assert "^" in shown
    assert max(map(len, shown.splitlines())) < 400


def test_warnings_do_not_raise_and_are_logged(loader: PipelineConfigLoader, caplog: pytest.LogCaptureFixture) -> None:
    result = loader.check_text(HARMLESS)
    assert [finding.code for finding in result.findings] == ["W202"]
    assert result.is_valid
    assert result.errors == ()
    with caplog.at_level(logging.WARNING):
        assert loader.load_text(HARMLESS) == result.config
    assert "W202" in caplog.text


def test_a_queue_that_a_program_subscribes_to_is_no_queue_that_nobody_reads(loader: PipelineConfigLoader) -> None:
    assert HARMLESS.count("{queue: /queue/x}") == 1
    text = HARMLESS.replace("{queue: /queue/x}", "{queue: /queue/x, external: true}")
    assert loader.check_text(text).findings == ()


@pytest.mark.usefixtures("lenient")
def test_without_strictness_findings_are_logged_and_what_can_be_built_is(
    registry: ValidatingAdapterRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        config = PipelineConfigLoader(registry).load_text(SURVIVABLE)
    assert config.routes["a"].unrouted == "dead_letter"
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "E206" in caplog.text
    assert "E202" in caplog.text
    with pytest.raises(ConfigurationError):
        PipelineConfigLoader(registry).load_text(VALID + "nmae: x\n")
    with pytest.raises(ConfigurationError):
        PipelineConfigLoader(registry, strict=True).load_text(SURVIVABLE)


def test_a_loader_may_be_lenient_by_itself(registry: ValidatingAdapterRegistry) -> None:
    assert PipelineConfigLoader(registry, strict=False).load_text(SURVIVABLE).routes
    with pytest.raises(ConfigurationError):
        PipelineConfigLoader(registry).load_text(SURVIVABLE)


def test_queue_names_are_the_provider_s_affair(registry: ValidatingAdapterRegistry) -> None:
    text = VALID + "    inbound: {queue: parse.in}\n"
    loader = PipelineConfigLoader(registry, validate_queue_name=lambda name: None if "/" not in name else "has a slash")
    assert loader.load_text(text).routes["a"].inbound.queue == "parse.in"
    (finding,) = loader.check_text(text.replace("parse.in", "a/b")).findings
    assert (finding.code, finding.message) == ("E204", "'a/b' has a slash")


def test_an_inherited_mistake_is_found_once_and_where_it_is_written(loader: PipelineConfigLoader) -> None:
    text = VALID + "  b: {adapters: [{type: plain}]}\nerror_handling: {max_retries: -1, mx: 1}\n"
    found = [(finding.code, finding.line, finding.path) for finding in loader.check_text(text).findings]
    assert found == [("E501", 6, "error_handling.max_retries"), ("E101", 6, "error_handling.mx")]


def test_data_that_yaml_cannot_say_is_a_finding(loader: PipelineConfigLoader) -> None:
    with pytest.raises(ConfigurationError, match=r"E104 .*name: YAML has no word for object"):
        loader.load_mapping({"version": "1.0", "name": object()})
    loop: dict[str, object] = {}
    loop["a"] = loop
    with pytest.raises(ConfigurationError, match="E104"):
        loader.load_mapping(loop)


def test_one_route_is_validated_by_itself(registry: ValidatingAdapterRegistry, loader: PipelineConfigLoader) -> None:
    good = {"adapters": [{"type": "plain"}], "outbound": [{"route": "elsewhere"}, {"queue": "/queue/nobody"}]}
    assert validate_route_config("a", good, registry=registry) == ()
    findings = validate_route_config("a", {"adapters": [{"type": "plian"}], "inbond": {}}, registry=registry)
    assert [(finding.code, finding.path) for finding in findings] == [
        ("E103", "routes.a.adapters[0].type"),
        ("E101", "routes.a.inbond"),
    ]
    assert validate_route_config("a", loader.load_text(VALID).routes["a"], registry=registry) == ()
    assert [finding.code for finding in validate_route_config("a b", good, registry=registry)] == ["E106"]


def test_a_loader_s_findings_have_known_codes_only(loader: PipelineConfigLoader) -> None:
    assert {finding.code for finding in loader.check_text(BROKEN).findings} <= set(CATALOGUE)
