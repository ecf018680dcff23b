"""`count_by_field`: frequencies of a field's values, emitted once at the end."""

import json
from collections import Counter
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath
from factflow_protocols import AdapterResult, PipelineContext, StatefulAdapter

MAX_VALUE_LENGTH: Final = 200
MAX_VALUES: Final = 400_000
"""Bound on the number of values: the summary is a message, of at most a million elements, and a value takes two."""
MAX_LABEL_BYTES: Final = 16_777_216
"""Bound on all values together, in bytes: the summary stays well below the 62 MiB of a message."""


class CountByFieldConfig(BuiltinConfig):
    """The field to count, and its bounds."""

    field: FieldName
    """The field whose values are counted."""
    messages: Literal["forward", "end"] = "forward"
    """Treatment of the messages: `forward` passes them on, `end` ends them here (`filtered`), so that only the summary
    goes on."""
    max_values: int = Field(default=10_000, ge=1, le=MAX_VALUES)
    """Number of distinct values, 16 MiB together, that are counted separately; later ones count as `other`. On a
    durable queue they are stored with every acknowledgement: the fewer, the cheaper."""


class CountByField(StatefulAdapter):
    """Adapter that counts messages by a field's value and, at the end, emits one summary.

    The summary is `{field, counts, missing, other, total}`: `counts` by value, the most frequent first (a value that is
    no string is written as JSON: 1, true, null); `missing`, messages without the field; `other`, values beyond
    `max_values`, lists, maps, bytes, and texts of more than 200 characters. Attempts are counted: a message that is
    retried because a later stage failed counts again. On a durable queue the counts are stored together with the
    acknowledgements, and added up over all processes of the execution.
    """

    config_model: ClassVar[type[Any] | None] = CountByFieldConfig
    summary: ClassVar[str] = "Count messages by a field's value and emit a summary at the end."
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: CountByFieldConfig) -> None:
        self._field = FieldPath(config.field)
        self._forward = config.messages == "forward"
        self._max_values = config.max_values
        self._counts: Counter[str] = Counter()
        self._label_bytes = 0  # of the keys of `_counts`, in UTF-8
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
        """Emit the summary of all messages so far."""
        return AdapterResult(
            message={
                "field": self._field.text,
                "counts": dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))),
                "missing": self._missing,
                "other": self._other,
                "total": self._counts.total() + self._missing + self._other,
            }
        )

    def snapshot(self) -> Any:
        """Return the counts so far."""
        return {"counts": dict(self._counts), "missing": self._missing, "other": self._other}

    def restore(self, state: Any) -> None:
        """Add the counts of another process, or of an earlier one."""
        self._missing += state["missing"]
        self._other += state["other"]
        for label, count in state["counts"].items():
            self._count(label, count)

    def _count(self, label: str | None, count: int = 1) -> None:
        if label is not None and (label in self._counts or self._has_room(label)):
            self._counts[label] += count
        else:
            self._other += count

    def _has_room(self, label: str) -> bool:
        size = len(label.encode())
        if len(self._counts) >= self._max_values or self._label_bytes + size > MAX_LABEL_BYTES:
            return False
        self._label_bytes += size
        return True


def _label(value: Any) -> str | None:
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_LENGTH else None
    return json.dumps(value) if value is None or isinstance(value, (bool, int, float)) else None
