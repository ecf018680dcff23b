from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.cli.adapter_example import example_config, example_stanza
from factflow_engine.cli.schema_fields import fields_of
from factflow_engine.config import PipelineConfigLoader
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


def _adapter(model: type[BaseModel] | None) -> type[PipelineAdapter]:
    class Probe(PipelineAdapter):
        config_model = model

        def __init__(self, config: Any = None) -> None:
            self.config = config

        async def process(self, context: PipelineContext) -> AdapterResult:
            return AdapterResult.forward()

    return Probe


def _registry(model: type[BaseModel] | None) -> ValidatingAdapterRegistry:
    registry = ValidatingAdapterRegistry()
    registry.register("probe", _adapter(model))
    return registry


@pytest.mark.parametrize("type_name", ValidatingAdapterRegistry().types())
def test_the_example_of_every_built_in_adapter_loads(type_name: str) -> None:
    registry = ValidatingAdapterRegistry()
    stanza = example_stanza(registry, type_name)
    assert stanza is not None
    indented = "".join(f"      {line}\n" for line in stanza.splitlines())
    result = PipelineConfigLoader(registry).check_text(
        f'version: "1.0"\nroutes:\n  a:\n    adapters:\n{indented}init_message: {{route: a, payload: 1}}\n'
    )
    assert result.errors == ()


def test_the_authors_examples_come_first() -> None:
    class Config(BaseModel):
        host: str = Field(examples=["db.example.org"])

    assert example_config(_registry(Config), "probe") == {"host": "db.example.org"}


def test_values_are_made_up_until_the_model_takes_them() -> None:
    class Config(BaseModel):
        mode: Literal["fast", "slow"]
        size: int = Field(gt=99)
        url: str
        tags: list[str] = Field(min_length=2)

        @field_validator("url")
        @classmethod
        def _https(cls, url: str) -> str:
            if not url.startswith("https://"):
                raise ValueError("https only")
            return url

    registry = _registry(Config)
    config = example_config(registry, "probe")
    assert config is not None
    assert registry.validate_config("probe", config) is not None


def test_an_example_that_cannot_be_guessed_is_not_invented() -> None:
    class Config(BaseModel):
        password: str = Field(pattern="^xyzzy$")

    assert example_stanza(_registry(Config), "probe") is None


def test_an_adapter_without_config_is_a_line() -> None:
    assert example_stanza(_registry(None), "probe") == "- type: probe\n"


def test_fields_are_described_in_words() -> None:
    class Inner(BaseModel):
        a: int

    class Config(BaseModel):
        many: list[Inner]
        least: int = Field(default=3, ge=1, le=9, description="how many,\nat least")
        maybe: str | None = None

    fields = {field.name: field for field in fields_of(_registry(Config).schema("probe"))}
    assert (fields["many"].type, fields["many"].required) == ("list of map of a", True)
    assert (fields["least"].type, fields["least"].default) == ("integer >= 1 <= 9", "3")
    assert fields["least"].description == "how many, at least"
    assert (fields["maybe"].type, fields["maybe"].default) == ("string | null", "null")


def test_the_list_has_every_type_with_its_line(factflow: Callable[..., Any]) -> None:
    registry = ValidatingAdapterRegistry()
    out = factflow("adapters", "list").out
    for name in registry.types():
        assert name in out
        assert registry.get(name).summary in out
    assert "\x1b" not in out


def test_the_list_is_a_document_too(factflow: Callable[..., Any]) -> None:
    rows = factflow("adapters", "list", "-o", "json").document["adapters"]
    assert [row["type"] for row in rows] == list(ValidatingAdapterRegistry().types())


def test_plain_lists_have_a_row_a_type_with_tabs_between_cells(factflow: Callable[..., Any]) -> None:
    registry = ValidatingAdapterRegistry()
    rows = [line.split("\t") for line in factflow("adapters", "list", "-o", "plain").out.splitlines()]
    assert [row[:2] for row in rows] == [[name, registry.get(name).summary] for name in registry.types()]
    assert {len(row) for row in rows} == {3}


@pytest.mark.parametrize("layout", ["text", "wide"])
def test_types_and_fields_are_whole_in_a_narrow_terminal(factflow: Callable[..., Any], layout: str) -> None:
    narrow = {"COLUMNS": "30"}
    registry = ValidatingAdapterRegistry()
    listed = factflow("adapters", "list", "-o", layout, env=narrow).out
    assert all(f"{name} " in listed for name in registry.types())
    shown = factflow("adapters", "show", "http_request", "-o", layout, env=narrow).out
    assert all(f"{field.name} " in shown for field in fields_of(registry.schema("http_request")))


def test_a_plain_description_is_the_fields(factflow: Callable[..., Any]) -> None:
    rows = [line.split("\t") for line in factflow("adapters", "show", "delay", "-o", "plain").out.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("seconds", "required")]


def test_an_adapter_is_shown_with_fields_and_example(factflow: Callable[..., Any]) -> None:
    said = factflow("adapters", "show", "delay")
    assert said.status == 0
    assert "Delay of each message" in said.out
    assert "required" in said.out
    assert "  - type: delay\n    config:\n      seconds: 1\n" in said.out
    document = factflow("adapters", "show", "delay", "--output", "json").document
    assert document["example_config"] == {"seconds": 1}
    assert document["config_schema"]["required"] == ["seconds"]


def test_adapters_of_a_named_file_are_shown(factflow: Callable[..., Any], shout_module: Path) -> None:
    said = factflow("adapters", "show", "shout", "--adapters", shout_module)
    assert said.status == 0
    assert "Says it louder." in said.out


def test_an_unknown_type_names_the_nearest(factflow: Callable[..., Any]) -> None:
    said = factflow("adapters", "show", "dealy")
    assert said.status == 2
    assert "delay" in said.err


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\n", "adapter_type"),
        ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("def (:\n", "SyntaxError"),
    ],
)
def test_a_named_module_that_offers_nothing_is_an_error(
    factflow: Callable[..., Any], tmp_path: Path, source: str, problem: str
) -> None:
    module = tmp_path / "mine.py"
    module.write_text(source)
    said = factflow("adapters", "list", "--adapters", module)
    assert said.status == 2
    assert problem in said.err
    assert "Traceback" not in said.err
