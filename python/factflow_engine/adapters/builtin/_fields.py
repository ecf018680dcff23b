"""The type of a field's path in the configuration of an adapter, and the paths themselves (see `_paths`)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from factflow_engine.adapters.builtin._paths import MISSING, FieldPath, kind_of, require_map

__all__ = ["MISSING", "FieldName", "FieldPath", "kind_of", "require_map"]


def _checked(text: str) -> str:
    FieldPath(text)
    return text


FieldName = Annotated[
    str, AfterValidator(_checked), Field(min_length=1, max_length=1000, json_schema_extra={"format": "field-path"})
]
"""A pydantic field that holds the text of a `FieldPath`."""
