"""`redact`: mask e-mail addresses in the named fields of a message."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, Reject

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class RedactConfig(BaseModel):
    """What is masked, and with what. Checked when a pipeline is loaded, with line and column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the fields to look at; one that a message lacks is passed over."""
    mask: str = "[redacted]"
    """What stands in an address's place."""


class Redact(PipelineAdapter):
    """Masks e-mail addresses."""

    config_model: ClassVar[type[Any] | None] = RedactConfig
    summary: ClassVar[str] = "Mask e-mail addresses in the named fields."

    def __init__(self, config: RedactConfig) -> None:
        self._config = config

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Replace every address in the named fields.

        Raises:
            Reject: A named field is no text. The message is not tried again, because it will not change.
        """
        message = dict(context.message)
        for field in self._config.fields:
            value = message.get(field)
            if value is None:
                continue
            if not isinstance(value, str):
                raise Reject(f"redact expected text in the field {field!r}, got {type(value).__name__}")
            message[field] = _ADDRESS.sub(lambda _: self._config.mask, value)
        return AdapterResult(message=message)
