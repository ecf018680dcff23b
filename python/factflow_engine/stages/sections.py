"""Fields that the configuration's models and the adapter's have in common.

Kept separate from both because they have different bases: a document's models know where values were written.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from factflow_engine.field_names import FieldName
from factflow_engine.native import FieldPath
from factflow_engine.stages.fields import RESERVED_NAMES, FieldType, default_problem
from factflow_engine.stages.keys import extension_problem

MAX_FIELDS: Final = 64
"""Most declared fields of one section."""


def _readable(path: str) -> str:
    try:
        FieldPath(path)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        context = {"problem": problem, "remedy": remedy or "write a path, such as host or urls[0].host"}
        raise PydanticCustomError("field_path", "{problem}", context) from None
    return path


def _possible(extension: str) -> str:
    written, extension = extension, extension.removeprefix(".")
    problem = extension_problem(extension)
    if problem is not None:
        raise ValueError(f"{written[:40]!r} is no file extension for objects: {problem}")
    return extension


Extension = Annotated[str, AfterValidator(_possible), Field(min_length=1, max_length=64)]
"""A file extension, without its first dot once it is validated."""


_MEDIA_TYPE: Final = (
    r"^[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}( *; *[A-Za-z0-9_.-]{1,32}=[A-Za-z0-9_.-]{1,32}){0,4}$"
)


def _media(text: str) -> str:
    if re.fullmatch(_MEDIA_TYPE, text) is None:
        context = {
            "problem": f"{text[:40]!r} is no media type",
            "remedy": "write one such as text/html or text/html; charset=utf-8",
        }
        raise PydanticCustomError("media_type", "{problem}", context)
    return text


MediaType = Annotated[str, AfterValidator(_media), Field(json_schema_extra={"pattern": _MEDIA_TYPE})]
"""A media type, with parameters if need be."""


class FieldSection(BaseModel):
    """One field of the metadata of stored objects."""

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$", description="Name of the field in the metadata of each object."
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        validate_default=True,
        description="Path of the message field that it is read from, as conditions write it; by default the name.",
    )
    type: FieldType = Field(
        default="any", description="Type that its values must have; a message with another cannot be stored."
    )
    required: bool = Field(
        default=False, description="True: a message without it cannot be stored; null counts as missing."
    )
    default: str | int | float | bool | None = Field(
        default=None, description="Value for messages without it; null: the field is then left out."
    )
    description: str = Field(default="", max_length=1000, description="For people, and for the JSON Schema.")

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} is a field of the engine's own; choose another name")
        return name

    @field_validator("source")
    @classmethod
    def _is_path(cls, source: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")
        if source is None and name is not None:
            _readable(name)
        return None if source is None else _readable(source)

    @field_validator("default")
    @classmethod
    def _has_the_type(cls, default: Any, info: ValidationInfo) -> Any:
        if default is not None:
            problem = default_problem(info.data.get("type", "any"), default)
            if problem is not None:
                raise ValueError(problem)
            if info.data.get("required"):
                raise ValueError("a field with a default is never missing; remove required, or the default")
        return default


class StoreSection(BaseModel):
    """Part of a message that is stored, and the name and type of its object."""

    content_field: FieldName | None = Field(
        default=None,
        description="Path of a message field with bytes or text, which is stored as it is; by default the whole message, "
        "as msgpack.",
    )
    extension: Extension | None = Field(
        default=None,
        description="Extension of the objects' keys, such as html; by default msgpack for a message, none for a field.",
    )
    content_type: MediaType | None = Field(
        default=None,
        description="Media type of the objects; by default by the extension, or by the kind of the value.",
    )


def refuse_twice(fields: Iterable[FieldSection]) -> None:
    """Refuse two fields of one name.

    Raises:
        ValueError: There are such.
    """
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise ValueError(f"the field {field.name!r} is declared twice; remove one")
        seen.add(field.name)
