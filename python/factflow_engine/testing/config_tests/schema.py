"""JSON Schema (draft 2020-12) of files of tests, for editors.

Kept separate from the models because it describes what is written, short forms included.
"""

from typing import Any, Final

from factflow_engine.testing.config_tests.completion import DESCRIBED
from factflow_engine.testing.config_tests.models import TestFileModel

_SHORT: Final = (
    ("StubModel", "raises", {"type": "string"}),
    ("CaseModel", "raises", {"type": "string"}),
    ("StubModel", "times", {"type": "number", "minimum": 0}),
    ("StubModel", "fails", {"type": "integer", "minimum": 0}),
    ("MessageModel", "at", {"type": "number", "minimum": 0}),
)
"""Fields that a scalar may stand for: model, field, the scalar."""


def tests_schema() -> dict[str, Any]:
    """Return the schema of a file of tests. Reading finds more: what the pipeline has, and what excludes each other."""
    schema = TestFileModel.model_json_schema(mode="validation")
    definitions: dict[str, Any] = schema["$defs"]
    for model, field, scalar in _SHORT:
        properties = definitions[model]["properties"]
        properties[field] = {**properties[field], "anyOf": [scalar, *properties[field]["anyOf"]]}
    described = {"$ref": "#/$defs/MessageModel"}
    # A map with one of these keys is a description; any other value is a payload.
    is_described = {"type": "object", "anyOf": [{"required": [key]} for key in sorted(DESCRIBED)]}
    item = {"if": is_described, "then": described}
    listed = {"type": "array", "items": item}
    definitions["MessagesModel"]["properties"]["messages"]["anyOf"] = [listed, {"type": "null"}]
    messages = {"$ref": "#/$defs/MessagesModel"}
    expect = definitions["ExpectModel"]["properties"]
    for field in ("outputs", "calls"):
        expect[field]["additionalProperties"] = {"anyOf": [{"type": "integer", "minimum": 0}, listed, messages]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "factflow tests",
        "description": "Tests of a pipeline: what comes in, how stages answer, what must come out.",
    }
