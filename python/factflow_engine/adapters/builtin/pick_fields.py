"""`pick_fields`: keep the named fields of a message and drop the rest."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath, require_map
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class PickFieldsConfig(BuiltinConfig):
    """The fields to keep."""

    fields: Annotated[tuple[FieldName, ...], Field(min_length=1)]
    """Paths of the fields to keep; nested ones keep their place."""
    missing: Literal["skip", "reject"] = "skip"
    """A field that the message lacks: `skip` goes on without it, `reject` rejects the message."""


class PickFields(PipelineAdapter):
    """Adapter that keeps the named fields of a message."""

    config_model: ClassVar[type[Any] | None] = PickFieldsConfig
    summary: ClassVar[str] = "Keep the named fields of a message, drop the rest."

    def __init__(self, config: PickFieldsConfig) -> None:
        self._paths = tuple(FieldPath(text) for text in config.fields)
        self._reject_missing = config.missing == "reject"

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Build a map of the kept fields.

        Raises:
            Reject: The message is not a map, or lacks a field and `missing` is `reject`.
        """
        message = require_map(context.message, "pick_fields")
        kept: dict[str, Any] = {}
        for path in self._paths:
            value = path.require(message) if self._reject_missing else path.get(message)
            if value is not MISSING:
                path.set(kept, value)
        return AdapterResult(message=kept)
