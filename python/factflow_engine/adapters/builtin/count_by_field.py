"""`count_by_field`: how often each value of a field came, said once at the end."""

import json
from collections import Counter
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._fields import MISSING, FieldName, FieldPath
from factflow_protocols import AdapterResult, PipelineContext, StatefulAdapter

MAX_VALUE_LENGTH: Final = 200


class CountByFieldConfig(BuiltinConfig):
    """What is counted."""

    field: FieldName
    """The field whose values are counted."""
    messages: Literal["forward", "end"] = "forward"
    """What becomes of the messages: `forward` passes them on, `end` ends them here (`filtered`), so that only the
    summary goes on."""
    max_values: int = Field(default=10_000, ge=1, le=1_000_000)
    """How many distinct values are told apart; those that come after count as `other`."""


class CountByField(StatefulAdapter):
    """Counts messages by a field's value and, at the end, emits one summary.

    The summary is `{field, counts, missing, other, total}`: `counts` by value, the most frequent first (a value that is
    no string stands there as JSON: 1, true, null); `missing`, messages without the field; `other`, values beyond
    `max_values`, lists, maps, bytes, and texts of more than 200 characters. Attempts are counted: a message that a
    later stage sends round again counts again.
    """

    config_model: ClassVar[type[Any] | None] = CountByFieldConfig
    summary: ClassVar[str] = "Count messages by a field's value and emit a summary at the end."

    def __init__(self, config: CountByFieldConfig) -> None:
        self._field = FieldPath(config.field)
        self._forward = config.messages == "forward"
        self._max_values = config.max_values
        self._counts: Counter[str] = Counter()
        self._missing = 0
        self._other = 0

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Count the message."""
        value = self._field.get(context.message)
        if value is MISSING:
            self._missing += 1
        else:
            self._count(_label(value))
        return AdapterResult.forward() if self._forward else None

    async def finish(self) -> AdapterResult:
        """Emit the summary of all that came so far."""
        return AdapterResult(
            message={
                "field": self._field.text,
                "counts": dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))),
                "missing": self._missing,
                "other": self._other,
                "total": self._counts.total() + self._missing + self._other,
            }
        )

    def _count(self, label: str | None) -> None:
        if label is None or (label not in self._counts and len(self._counts) >= self._max_values):
            self._other += 1
        else:
            self._counts[label] += 1


def _label(value: Any) -> str | None:
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_LENGTH else None
    return json.dumps(value) if value is None or isinstance(value, (bool, int, float)) else None
