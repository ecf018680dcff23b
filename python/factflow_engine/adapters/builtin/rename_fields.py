"""`rename_fields`: move fields of a message to other names."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath, require_map
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class RenameFieldsConfig(BuiltinConfig):
    """The fields to rename."""

    fields: Annotated[dict[FieldName, FieldName], Field(min_length=1)]
    """New path by old path. All fields are removed before any is set, so two fields may swap their names."""
    missing: Literal["skip", "reject"] = "skip"
    """A field that the message lacks: `skip` goes on without it, `reject` rejects the message."""


class RenameFields(PipelineAdapter):
    """Adapter that moves fields of a message to other names, replacing the values there."""

    config_model: ClassVar[type[Any] | None] = RenameFieldsConfig
    summary: ClassVar[str] = "Move fields of a message to other names."

    def __init__(self, config: RenameFieldsConfig) -> None:
        self._moves = tuple((FieldPath(old), FieldPath(new)) for old, new in config.fields.items())
        self._reject_missing = config.missing == "reject"

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Move the fields.

        Raises:
            Reject: The message is not a map, or a field is missing, or cannot be set at its new path.
        """
        message = require_map(context.message, "rename_fields")
        if self._reject_missing:
            for old, _ in self._moves:
                old.require(message)
        taken = [(new, old.pop(message)) for old, new in self._moves]
        for new, value in taken:
            if value is not MISSING:
                new.set(message, value)
        return AdapterResult(message=message)
