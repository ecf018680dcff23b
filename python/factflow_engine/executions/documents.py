"""JSON forms of reports and statistics, as they are stored.

Kept separate from the reports themselves, which know no JSON. A field that a report gains is stored without a change here.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics

MOST_STORED: Final = 1_000
"""Most failures, held messages and limits of one report that are stored."""

_PLAIN: Final = frozenset({bool, int, str, type(None)})
_BOUNDED: Final = ("failures", "held", "orphans", "blockers", "close_errors")


def report_as_document(report: ExecutionReport) -> dict[str, Any]:
    """Return a report as JSON can hold it; `failures_omitted` counts the failures that are left out here, too."""
    document: dict[str, Any] = as_document(report)
    left_out = max(0, len(document["failures"]) - MOST_STORED)
    for name in _BOUNDED:
        document[name] = document[name][:MOST_STORED]
    document["limits"] = dict(list(document["limits"].items())[:MOST_STORED])
    document["failures_omitted"] += left_out
    return document


def statistics_as_document(statistics: ExecutionStatistics) -> dict[str, Any]:
    """Return statistics as JSON can hold them."""
    document: dict[str, Any] = as_document(statistics)
    return document


def as_document(value: Any) -> Any:
    """Return a frozen value as JSON can hold it: mappings, lists and scalars; what is none of them as its text.

    Costs some 15 microseconds for a route: it is paid on trio's loop, about once a second.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return {str(as_document(key)): as_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_document(item) for item in value]
    names = _names_of(kind)
    if not names:
        return str(value)
    document: dict[str, Any] = {}
    for name in names:
        item = getattr(value, name)
        document[name] = item if type(item) in _PLAIN else as_document(item)
    return document


def _names_of(kind: type) -> tuple[str, ...]:
    """Return what is stored of a class of frozen values; nothing of another class."""
    names = _NAMES.get(kind)
    if names is None:
        outcomes = ("outcomes",) if hasattr(kind, "outcomes") else ()
        names = (*(field.name for field in fields(kind)), *outcomes) if is_dataclass(kind) else ()
        _NAMES[kind] = names
    return names


_NAMES: Final[dict[type, tuple[str, ...]]] = {}
"""Result of `_names_of` for each class so far."""
