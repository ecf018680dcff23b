from typing import Annotated

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import PipelineAdapter, PipelineContext


class Adapter(PipelineAdapter):
    def __init__(self, config: BaseModel) -> None: ...

    async def process(self, context: PipelineContext) -> None: ...


def refusal(model: object) -> str:
    with pytest.raises(AdapterRegistrationError) as caught:
        ValidatingAdapterRegistry.empty().register("adapter", Adapter, config_model=model)
    return str(caught.value)


def schema(model: type[BaseModel]) -> dict[str, object]:
    registry = ValidatingAdapterRegistry.empty()
    registry.register("adapter", Adapter, config_model=model)
    return registry.schema("adapter")


@pytest.mark.parametrize("model", [dict, BaseModel, "Config", {"times": int}])
def test_only_a_model_class_is_a_config_model(model):
    assert "must be a subclass of pydantic.BaseModel" in refusal(model)


def test_a_field_that_no_yaml_can_say_is_refused():
    class Config(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        connection: object = Field(default=None)
        handler: type[Adapter] | None = None

    class Opaque:
        pass

    class Worse(Config):
        opaque: Opaque

    assert "has no JSON Schema" in refusal(Worse)


def test_an_invalid_json_schema_is_refused_with_its_place():
    class Config(BaseModel):
        times: Annotated[int, Field(json_schema_extra={"minimum": "zero"})] = 1

    message = refusal(Config)
    assert "not valid (draft 2020-12) at properties/times/minimum" in message


def test_a_default_of_the_wrong_type_is_refused_with_its_field():
    class Config(BaseModel):
        required: str
        times: int = "many"  # type: ignore[assignment]  # the mistake under test

    assert "refuses its own default: field 'times' = 'many'" in refusal(Config)


def test_a_default_out_of_bounds_is_refused():
    class Config(BaseModel):
        times: int = Field(default=0, ge=1)

    assert "field 'times' = 0" in refusal(Config)


def test_a_default_that_the_models_own_validator_refuses_is_refused():
    class Config(BaseModel):
        name: str = "x"

        @field_validator("name")
        @classmethod
        def _long(cls, name: str) -> str:
            if len(name) < 2:
                raise ValueError("too short")
            return name

    assert "field 'name' = 'x': Value error, too short" in refusal(Config)


def test_a_wrong_default_behind_an_alias_is_refused():
    class Config(BaseModel):
        times: int = Field(default=0, ge=1, alias="count")

    assert "refuses its own default" in refusal(Config)


def test_all_defaults_must_make_a_config():
    class Config(BaseModel):
        a: int | None = None
        b: int | None = None

        @model_validator(mode="after")
        def _one(self):
            if self.a is None and self.b is None:
                raise ValueError("a or b")
            return self

    assert "yet refuses an empty config: Value error, a or b" in refusal(Config)


def test_required_fields_may_be_missing_while_defaults_are_checked():
    class Config(BaseModel):
        path: str
        times: int = 1

    assert schema(Config)["required"] == ["path"]


def test_a_recursive_model_is_accepted():
    class Node(BaseModel):
        children: list["Node"] = []

    Draft202012Validator.check_schema(schema(Node))


def test_a_model_that_validates_its_own_assignments_is_accepted():
    class Config(BaseModel):
        model_config = ConfigDict(frozen=True, validate_assignment=True)
        times: int = 1

    assert "times" in schema(Config)["properties"]
