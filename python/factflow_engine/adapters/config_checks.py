"""Config models: checked when an adapter is registered, applied when a configuration is loaded.

Kept separate from the registry because these rules concern only pydantic and JSON Schema.
"""

import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from factflow_engine.error_texts import describe
from factflow_engine.errors import AdapterRegistrationError


def check_config_model(owner: str, model: object) -> type[BaseModel]:
    """Return the model if every configuration that it accepts can be described and its own defaults are valid.

    Raises:
        AdapterRegistrationError: Not a pydantic model class, no valid JSON Schema (2020-12), or a default that the
        model itself refuses.
    """
    if not (inspect.isclass(model) and issubclass(model, BaseModel)) or model is BaseModel:
        raise AdapterRegistrationError(
            f"config_model of {owner} must be a subclass of pydantic.BaseModel, got {model!r}",
            "write class MyConfig(BaseModel): ... and config_model = MyConfig",
        )
    _check_schema(owner, model)
    _check_defaults(owner, model)
    return model


def strict_variant(model: type[BaseModel]) -> type[BaseModel]:
    """Return a model that refuses unknown fields, unless the author chose otherwise (`extra=`).

    Pydantic ignores unknown fields by default, and a mistyped key in a pipeline would then silently do nothing.
    """
    if model.model_config.get("extra") is not None:
        return model
    return _derived(model, ConfigDict(extra="forbid"))


def validate_as_written(model: type[BaseModel], config: Mapping[str, Any], skipped: list[str] | None) -> BaseModel:
    """Return the model's instance, without conversions that its JSON Schema does not know: the text "1" is no number.

    Values that JSON lacks, such as a path object given by a program, are converted as pydantic converts Python values.
    With a list, `skipped`, validators of built-in models import nothing, and add there what they could not check.

    Raises:
        ValidationError: The config is wrong.
    """
    try:
        text = json.dumps(config)
    except (TypeError, ValueError):
        return model.model_validate(config, context=skipped)
    return model.model_validate_json(text, strict=True, context=skipped)


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema, draft 2020-12, of the configs that an author may write."""
    return model.model_json_schema(mode="validation")


def refuse_config(type_name: str, config: Mapping[str, Any]) -> None:
    """Refuse every key of a config given to an adapter that takes none.

    Raises:
        ValidationError: One `extra_forbidden` error a key, so that each is reported at its place in the file.
    """
    if not config:
        return
    problem = PydanticCustomError(
        "extra_forbidden", "adapter type '{adapter}' takes no configuration; remove this", {"adapter": type_name}
    )
    raise ValidationError.from_exception_data(
        type_name, [InitErrorDetails(type=problem, loc=(key,), input=value) for key, value in config.items()]
    )


def _derived(model: type[BaseModel], config: ConfigDict) -> type[BaseModel]:
    namespace = {
        "model_config": config,
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
    }
    make_class = cast("Callable[..., type[BaseModel]]", type(model))
    return make_class(model.__name__, (model,), namespace)


def _check_schema(owner: str, model: type[BaseModel]) -> None:
    try:
        schema = json_schema(model)
    except Exception as error:  # pydantic's own, or one raised by the author's json_schema_extra or hook
        raise AdapterRegistrationError(
            f"config model {model.__qualname__} of {owner} has no JSON Schema: {describe(error)}",
            "a configuration is written in YAML, so use fields that YAML can say (numbers, strings, lists, mappings, "
            "models of these)",
        ) from error
    # jsonschema takes longer to import than the rest of this package, and is only needed to register adapters.
    jsonschema = importlib.import_module("jsonschema")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its root"
        raise AdapterRegistrationError(
            f"config model {model.__qualname__} of {owner} gives a JSON Schema that is not valid (draft 2020-12) at "
            f"{where}: {_first_line(error.message)}",
            "correct json_schema_extra or the field's schema there",
        ) from error


def _check_defaults(owner: str, model: type[BaseModel]) -> None:
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    try:
        _derived(model, ConfigDict(validate_default=True)).model_validate({})
    except ValidationError as error:
        defaulted = (set(model.model_fields) | _aliases(model)) - required
        wrong = [
            problem
            for problem in error.errors(include_url=False)
            if (problem["loc"] and problem["loc"][0] in defaulted) or (not required and problem["type"] != "missing")
        ]
        if not wrong:
            return
        problem = wrong[0]
        field = ".".join(str(part) for part in problem["loc"])
        if field:
            raise AdapterRegistrationError(
                f"config model {model.__qualname__} of {owner} refuses its own default: field {field!r} = "
                f"{problem['input']!r}: {problem['msg']}",
                "correct the default, or make the field required",
            ) from error
        raise AdapterRegistrationError(
            f"config model {model.__qualname__} of {owner} gives every field a default, yet refuses an empty config: "
            f"{problem['msg']}",
            "make the field that must be given required",
        ) from error
    except Exception as error:
        raise AdapterRegistrationError(
            f"a validator of config model {model.__qualname__} of {owner} raised {describe(error)} for the model's own "
            "defaults",
            "raise ValueError for a value that is wrong, and accept the defaults",
        ) from error


def _aliases(model: type[BaseModel]) -> set[str]:
    return {info.alias for info in model.model_fields.values() if info.alias is not None}


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0]
