import dataclasses

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from factflow_engine.adapters import AdapterSpec, ValidatingAdapterRegistry
from factflow_engine.errors import AdapterNotFoundError, AdapterRegistrationError
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StatefulAdapter


class Shout(PipelineAdapter):
    """Says it louder.

    At length.
    """

    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult(message=str(context.message).upper())


class RepeatConfig(BaseModel):
    times: int = 2


class Repeat(PipelineAdapter):
    config_model = RepeatConfig
    summary = "Say it again."

    def __init__(self, config: RepeatConfig) -> None:
        self.config = config

    def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult(emitted=[context.message] * self.config.times)


@pytest.fixture
def registry():
    return ValidatingAdapterRegistry.empty()


def test_a_new_registry_knows_the_built_in_types():
    assert {"call", "filter", "read_lines", "write_jsonl"} <= set(ValidatingAdapterRegistry().types())


def test_an_empty_registry_knows_nothing(registry):
    assert registry.types() == ()


def test_registries_share_nothing(registry):
    registry.register("shout", Shout)
    assert "shout" not in ValidatingAdapterRegistry.empty()


def test_register_is_a_decorator_that_leaves_the_class_alone(registry):
    decorated = registry.register("shout")(Shout)
    assert decorated is Shout
    assert registry.types() == ("shout",)


def test_register_is_a_call_too(registry):
    assert registry.register("shout", Shout) is Shout
    assert isinstance(registry.create("shout"), Shout)


def test_spec_says_what_the_engine_must_know(registry):
    class Counts(StatefulAdapter):
        async def process(self, context: PipelineContext) -> None: ...

    registry.register("shout", Shout)
    registry.register("repeat", Repeat)
    registry.register("counts", Counts)
    assert registry.get("repeat") == AdapterSpec(
        type="repeat", adapter_class=Repeat, config_model=RepeatConfig, is_sync=True, is_stateful=False,
        summary="Say it again.", requires_extra=None,
    )  # fmt: skip
    shout = registry.get("shout")
    assert (shout.is_sync, shout.is_stateful, shout.summary) == (False, False, "Says it louder.")
    counts = registry.get("counts")
    assert (counts.is_stateful, counts.summary) == (True, "")


def test_spec_is_frozen(registry):
    registry.register("shout", Shout)
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.get("shout").type = "other"


def test_types_are_sorted(registry):
    for name in ("b", "c", "a"):
        registry.register(name, Shout)
    assert registry.types() == ("a", "b", "c")


def test_a_taken_name_is_refused_and_keeps_its_class(registry):
    registry.register("shout", Shout)
    with pytest.raises(AdapterRegistrationError, match=r"'shout' is already .*Shout.*'my\.shout'"):
        registry.register("shout", Repeat)
    assert registry.get("shout").adapter_class is Shout


def test_a_refused_class_leaves_nothing_behind(registry):
    with pytest.raises(AdapterRegistrationError):
        registry.register("broken", dict)
    assert registry.types() == ()


def test_an_unknown_type_names_its_nearest_neighbours(registry):
    registry.register("pick_fields", Shout)
    with pytest.raises(AdapterNotFoundError, match=r"'pick_field'.*did you mean 'pick_fields'"):
        registry.get("pick_field")


def test_an_unknown_type_without_neighbours_lists_what_there_is(registry):
    registry.register("shout", Shout)
    with pytest.raises(AdapterNotFoundError, match="known types: shout"):
        registry.create("zzz")


def test_config_model_argument_overrides_the_class_without_changing_it(registry):
    class Wider(RepeatConfig):
        times: int = 7

    registry.register("repeat", Repeat, config_model=Wider)
    assert registry.create("repeat", {}).config == Wider(times=7)
    assert Repeat.config_model is RepeatConfig


def test_config_model_argument_gives_a_plain_class_its_config(registry):
    @registry.register("pick", config_model=RepeatConfig)
    class Pick(PipelineAdapter):
        def __init__(self, config: RepeatConfig) -> None:
            self.config = config

        async def process(self, context: PipelineContext) -> None: ...

    assert registry.create("pick", {"times": 3}).config.times == 3


def test_create_without_config_uses_the_defaults(registry):
    registry.register("repeat", Repeat)
    assert registry.create("repeat").config == RepeatConfig(times=2)


def test_create_makes_a_new_adapter_each_time(registry):
    registry.register("shout", Shout)
    assert registry.create("shout") is not registry.create("shout")


def test_validate_config_reports_every_problem_at_its_place(registry):
    class Model(BaseModel):
        a: int
        b: str

    class Adapter(PipelineAdapter):
        config_model = Model

        def __init__(self, config: Model) -> None: ...

        async def process(self, context: PipelineContext) -> None: ...

    registry.register("adapter", Adapter)
    with pytest.raises(ValidationError) as caught:
        registry.validate_config("adapter", {"a": "x", "c": 1})
    assert {(error["type"], error["loc"]) for error in caught.value.errors()} == {
        ("int_type", ("a",)),
        ("missing", ("b",)),
        ("extra_forbidden", ("c",)),
    }


def test_a_model_that_says_nothing_of_unknown_fields_refuses_them(registry):
    registry.register("repeat", Repeat)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        registry.validate_config("repeat", {"tmies": 3})
    assert registry.schema("repeat")["additionalProperties"] is False


@pytest.mark.parametrize("extra", ["ignore", "allow"])
def test_a_model_that_takes_unknown_fields_on_purpose_keeps_them(registry, extra):
    class Open(RepeatConfig):
        model_config = ConfigDict(extra=extra)

    registry.register("repeat", Repeat, config_model=Open)
    validated = registry.validate_config("repeat", {"other": 1})
    assert type(validated) is Open
    assert (validated.model_extra or {}) == ({"other": 1} if extra == "allow" else {})


def test_validated_config_is_an_instance_of_the_model_itself(registry):
    registry.register("repeat", Repeat)
    assert type(registry.validate_config("repeat", {"times": 1})) is RepeatConfig


def test_a_config_for_an_adapter_that_takes_none_is_refused_key_by_key(registry):
    registry.register("shout", Shout)
    with pytest.raises(ValidationError, match="'shout' takes no configuration; remove this") as caught:
        registry.validate_config("shout", {"a": 1, "b": 2})
    assert [(error["type"], error["loc"]) for error in caught.value.errors()] == [
        ("extra_forbidden", ("a",)),
        ("extra_forbidden", ("b",)),
    ]


@pytest.mark.parametrize("config", [None, {}])
def test_an_adapter_that_takes_no_config_accepts_an_empty_one(registry, config):
    registry.register("shout", Shout)
    assert registry.validate_config("shout", config) is None


def test_schema_of_an_adapter_without_config_allows_nothing(registry):
    registry.register("shout", Shout)
    assert registry.schema("shout") == {"type": "object", "properties": {}, "additionalProperties": False}
