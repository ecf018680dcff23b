"""`set_fields`: put constant values into a message."""

from copy import deepcopy
from typing import Any, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath, require_map
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class SetFieldsConfig(BuiltinConfig):
    """The values to set, by path."""

    fields: dict[FieldName, JsonValue] = Field(default_factory=dict)
    """Value by path; replaces the present value."""
    defaults: dict[FieldName, JsonValue] = Field(default_factory=dict)
    """Value by path, set only where the message has none; null counts as a value."""

    @model_validator(mode="after")
    def _one_value_a_field(self) -> Self:
        both = sorted(self.fields.keys() & self.defaults.keys())
        if both:
            raise ValueError(f"{both[0]!r} stands in fields and in defaults; its default would never be used")
        return self


class SetFields(PipelineAdapter):
    """Adapter that puts constant values into a message."""

    config_model: ClassVar[type[Any] | None] = SetFieldsConfig
    summary: ClassVar[str] = "Put constant values into a message, always or where they are missing."

    def __init__(self, config: SetFieldsConfig) -> None:
        self._fields = tuple((FieldPath(text), value) for text, value in config.fields.items())
        self._defaults = tuple((FieldPath(text), value) for text, value in config.defaults.items())

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Set the fields, then the defaults.

        Raises:
            Reject: The message, or a value on a path, is not a map.
        """
        message = require_map(context.message, "set_fields")
        for path, value in self._fields:
            path.set(message, deepcopy(value))  # a later field may be set inside it
        for path, value in self._defaults:
            if path.get(message) is MISSING:
                path.set(message, deepcopy(value))
        return AdapterResult(message=message)
