"""JSON Schema (draft 2020-12) of the language, for editors: completion, hover texts, diagnostics.

Kept separate from the models because it describes the *written* form: names that the loader fills in are optional, a
reference to the environment may replace any scalar, and each adapter type has its own `config`.
"""

from collections.abc import Mapping
from typing import Any, Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config.models import PipelineGlobalConfig
from factflow_engine.config.models.resilience import ALGORITHM_FIELD
from factflow_engine.resilience.limit_settings import WINDOW_PARAMETERS, parameter_names
from factflow_engine.resilience.limits import ALGORITHMS, registered

_REFERENCE: Final = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A reference to the environment: ${NAME} or ${NAME:default}.",
}
_FILLED_IN: Final = {
    "AdapterConfig": {"name"},
    "InboundConfig": {"queue", "subscription"},
    "RouteConfig": {"name", "inbound"},
}
_NULLABLE: Final = ("error_handling", "backpressure", "circuit_breaker")
_STORE: Final = "store"
_CONDITION: Final = "ConditionConfig"
_KEYWORDS_OF_SCALARS: Final = frozenset({"integer", "number", "boolean", "null"})


def config_schema(registry: ValidatingAdapterRegistry) -> dict[str, Any]:
    """Return the schema of a whole document, with the configuration of every adapter type that is registered.

    It accepts every document that the loader accepts, provided that the adapters' models convert nothing (a schema
    cannot see that a model accepts `"1"` as a number). The loader finds more: rules that a schema cannot express.
    """
    schema = PipelineGlobalConfig.model_json_schema(mode="validation")
    definitions: dict[str, Any] = schema["$defs"]
    definitions[_CONDITION] = _condition()
    for name, filled in _FILLED_IN.items():
        definition = definitions[name]
        definition["required"] = [field for field in definition.get("required", []) if field not in filled]
        if not definition["required"]:
            del definition["required"]
    for definition in (schema, definitions["RouteConfig"], definitions["AdapterConfig"]):
        for name in _NULLABLE:
            if name in definition["properties"]:
                definition["properties"][name] = _or_null(definition["properties"][name])
    adapter = definitions["AdapterConfig"]["properties"]
    adapter[_STORE]["anyOf"].insert(0, {"type": "boolean"})
    definitions["BackpressureConfig"]["properties"][ALGORITHM_FIELD]["enum"] = list(registered())
    routes = schema["properties"]["routes"]
    routes["minProperties"] = routes.pop("minLength")  # pydantic's word for any container that it does not know
    init = schema["properties"]["init_message"]
    init["anyOf"] = [init["items"], {"type": "array", "items": init.pop("items")}]
    del init["type"]
    _add_targets(definitions["OutboundConfig"])
    references = _with_references(schema)
    references["$defs"]["BackpressureConfig"]["allOf"] = [_parameters_of(algorithm) for algorithm in ALGORITHMS]
    _add_adapters(references["$defs"], registry)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **references,
        "title": "factflow pipeline",
        "description": "Routes that carry messages through adapters, and what starts the work.",
    }


def _parameters_of(algorithm: str) -> dict[str, Any]:
    """Return the rule on the parameters of a built-in algorithm, which are numbers but for `window`."""
    number = {"type": "number"}
    window = {
        "type": "object",
        "description": "Windows of samples in front of the algorithm.",
        "properties": dict.fromkeys(WINDOW_PARAMETERS, number),
        "additionalProperties": False,
    }
    names = parameter_names(algorithm) or ()
    parameters = {
        "type": "object",
        "properties": {name: window if name == "window" else number for name in names},
        "additionalProperties": False,
    }
    return {
        "if": {"properties": {ALGORITHM_FIELD: {"const": algorithm}}, "required": [ALGORITHM_FIELD]},
        "then": _with_references({"properties": {"parameters": parameters}}),
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    description = schema.get("description", "")
    if "anyOf" in schema:
        return schema
    return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}], "description": description}


def _add_targets(outbound: dict[str, Any]) -> None:
    given = {"not": {"type": "null"}}
    outbound["oneOf"] = [{"required": [name], "properties": {name: given}} for name in ("route", "queue")]


def _condition() -> dict[str, Any]:
    own = {"$ref": f"#/$defs/{_CONDITION}"}
    several = {"type": "array", "items": own, "minItems": 1}
    return {
        "title": "Condition",
        "description": "field, operator and value; or all_of, any_of, not, any_element.",
        "type": "object",
        "properties": {
            "field": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "integer"]}}],
                "description": "Path of a field of the message: a.b, a[0], a[*], /a/b, or a list of keys.",
            },
            "operator": {
                "type": "string",
                "description": "What must hold between the field and the value.",
                "examples": ["eq", "neq", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "matches", "exists"],
            },
            "value": {"description": "What the field is compared with."},
            "all_of": {**several, "description": "Every one must hold."},
            "any_of": {**several, "description": "At least one must hold."},
            "not": {**own, "description": "Must not hold."},
            "any_element": {
                "type": "object",
                "description": "Some element of a list must satisfy the condition; @ is the element.",
            },
        },
        "additionalProperties": False,
        "minProperties": 1,
    }


def _add_adapters(definitions: dict[str, Any], registry: ValidatingAdapterRegistry) -> None:
    adapter = definitions["AdapterConfig"]
    types = list(registry.types())
    adapter["properties"]["type"] = {
        "anyOf": [{"enum": types}, _REFERENCE] if types else [_REFERENCE],
        "description": "Registered name of the adapter.",
    }
    rules: list[dict[str, Any]] = []
    for kind in types:
        name = f"adapter.{kind}"
        own = _with_references(registry.schema(kind))
        for inner, definition in own.pop("$defs", {}).items():
            definitions[f"{name}.{inner}"] = _renamed(definition, name)
        definitions[name] = _renamed(own, name)
        summary = registry.get(kind).summary
        if summary:
            definitions[name]["description"] = summary
        then: dict[str, Any] = {"properties": {"config": {"$ref": f"#/$defs/{name}"}}}
        if definitions[name].get("required"):
            then["required"] = ["config"]
        rules.append({"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then})
    if rules:
        adapter["allOf"] = rules


def _renamed(schema: Any, prefix: str) -> Any:
    """Return an adapter's schema with its local references redirected to the new place of its definitions."""
    if isinstance(schema, Mapping):
        return {
            key: value.replace("#/$defs/", f"#/$defs/{prefix}.", 1)
            if key == "$ref" and isinstance(value, str)
            else _renamed(value, prefix)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_renamed(item, prefix) for item in schema]
    return schema


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with a reference to the environment allowed wherever a scalar is."""
    result = dict(schema)
    for key in ("properties", "$defs", "patternProperties"):
        if isinstance(result.get(key), dict):
            result[key] = {name: _value_schema(inner) for name, inner in result[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = _value_schema(result[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(result.get(key), list):
            result[key] = [_with_references(inner) if isinstance(inner, dict) else inner for inner in result[key]]
    return result


def _value_schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    inner = _with_references(schema)
    if not _takes_scalars(schema):
        return inner
    texts = {key: inner.pop(key) for key in ("title", "description", "default", "examples") if key in inner}
    return {"anyOf": [inner, _REFERENCE], **texts}


def _takes_scalars(schema: Mapping[str, Any]) -> bool:
    """True if a scalar is allowed here, but not every string."""
    kinds = schema.get("type")
    if kinds == "string":
        return bool({"pattern", "minLength", "maxLength", "format", "enum", "const"} & schema.keys())
    if isinstance(kinds, str):
        return kinds in _KEYWORDS_OF_SCALARS
    if isinstance(kinds, list):
        return bool(_KEYWORDS_OF_SCALARS.intersection(kinds))
    if "enum" in schema or "const" in schema:
        return True
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return any(isinstance(branch, Mapping) and _takes_scalars(branch) for branch in branches)
