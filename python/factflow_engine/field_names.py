"""The type of a field's path in a configuration.

Kept separate from `field_paths`, the paths themselves, because the engine reads fields without models.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from factflow_engine.field_paths import FieldPath


def _checked(text: str) -> str:
    FieldPath(text)
    return text


FieldName = Annotated[
    str, AfterValidator(_checked), Field(min_length=1, max_length=1000, json_schema_extra={"format": "field-path"})
]
"""A pydantic field that holds the text of a `FieldPath`."""
