"""`log`: write a line about each message to Python's logging."""

import logging
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext

logger = logging.getLogger("factflow.pipeline")


class LogConfig(BuiltinConfig):
    """The text of the log record, and its level."""

    text: str = Field(default="message", min_length=1, max_length=1000)
    """Beginning of the line, written literally: nothing in it is replaced."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Level of the line."""
    fields: Annotated[tuple[FieldName, ...], Field()] = ()
    """Fields of the message to name with their values. None by default: a payload may hold what no log should."""
    max_value_length: int = Field(default=200, ge=1, le=100_000)
    """Longest text of one value, in characters; the rest is cut."""


class Log(PipelineAdapter):
    """Adapter that writes a line to the logger `factflow.pipeline` and passes the message on."""

    config_model: ClassVar[type[Any] | None] = LogConfig
    summary: ClassVar[str] = "Write a line about each message to Python's logging and pass it on."

    def __init__(self, config: LogConfig) -> None:
        self._text = config.text
        self._level = logging.getLevelNamesMapping()[config.level.upper()]
        self._fields = tuple(FieldPath(text) for text in config.fields)
        self._max_value_length = config.max_value_length

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Log a line; decode the message only if fields are asked for and the level is enabled."""
        if logger.isEnabledFor(self._level):
            values = self._values(context.message) if self._fields else ""
            logger.log(
                self._level,
                "%s [%s/%s %s attempt %d]%s",
                self._text,
                context.route,
                context.stage,
                context.message_id,
                context.attempt,
                values,
            )
        return AdapterResult.forward()

    def _values(self, message: Any) -> str:
        parts = []
        for path in self._fields:
            value = path.get(message)
            # repr keeps line breaks of the message from forging lines of the log
            text = "<missing>" if value is MISSING else repr(value)
            if len(text) > self._max_value_length:
                text = text[: self._max_value_length] + "..."
            parts.append(f" {path.text}={text}")
        return "".join(parts)
