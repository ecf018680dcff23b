"""Lineage of a route as the Python half of the loop records it; the native half appends to the same log.

Kept separate from `settlement` and `fan_out`, which only say what has happened: this module words it. Nothing here waits
or raises, and nothing is worded for messages that are not followed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from factflow_engine.error_texts import bounded, class_name, error_text
from factflow_engine.frames import Frame
from factflow_engine.native import (
    LINEAGE_HOLDERS,
    LINEAGE_OUTCOMES,
    LINEAGE_STATUSES,
    Child,
    LineageRoute,
    MessageContext,
    Worker,
)
from factflow_engine.runtime.hop.errors import UnroutedError
from factflow_engine.runtime.report import Holder, Outcome
from factflow_engine.runtime.stages.failure_place import place_of
from factflow_protocols import StageStatus

if TYPE_CHECKING:
    from factflow_engine.config import ConditionConfig, PipelineGlobalConfig
    from factflow_engine.runtime.hop.route_state import RouteState

MOST_ERROR: Final = 1_000
"""Most characters of an error that a row has."""

MOST_VALUE: Final = 200
"""Most characters of a condition's value that a row has."""

MOST_LOOKED_AT: Final = 1_000
"""Most workers that are looked at for messages in flight."""

_EMITTED_NONE: Final = '{"reason": "emitted_none"}'
"""Detail of the end of a message of which a stage emitted none: a message that left a route without outbounds has none."""

STATUSES: Final = {StageStatus(name): number for number, name in enumerate(LINEAGE_STATUSES)}
"""Numbers of the native half for states of visits."""

OUTCOMES: Final = {Outcome(name): number for number, name in enumerate(LINEAGE_OUTCOMES)}
"""Numbers of the native half for outcomes."""

_HOLDERS: Final = {Holder(name): code for code, name in enumerate(LINEAGE_HOLDERS) if name}

Redacted = Callable[[str], str]


class RouteRecording:
    """Recording of one route's lineage.

    Attributes:
        native: The log, for the route's carrier.
    """

    __slots__ = ("_redacted", "native")

    def __init__(self, native: LineageRoute, redacted: Redacted) -> None:
        self.native = native
        self._redacted = redacted

    def visited(self, context: MessageContext, status: StageStatus, error: BaseException | None = None) -> None:
        """Record what came of the visit that the context is at; past the last stage, nothing."""
        if self.native.follows(context.frame):
            self.native.visited(context, STATUSES[status], None if error is None else self._detail(error))

    def ended(
        self,
        frame: Frame,
        outcome: Outcome,
        emitted: int = 0,
        error: BaseException | None = None,
        *,
        emitted_none: bool = False,
    ) -> None:
        """Record the end of a message, with the number of messages that it became."""
        if self.native.follows(frame):
            detail = None if error is None else self._detail(error)
            self.native.ended(frame, OUTCOMES[outcome], emitted, _EMITTED_NONE if emitted_none else detail)

    def _detail(self, error: BaseException) -> str:
        detail = {
            "type": class_name(error),
            "error": bounded(self._redacted(error_text(error)), MOST_ERROR),
            "place": place_of(error),
        }
        if type(error) is UnroutedError:
            detail["reason"] = "unrouted"
        return json.dumps(detail, ensure_ascii=False)


def note_wait(child: Child, by: Holder, ns: int) -> None:
    """Note what a message has waited for, for the visit that it begins with."""
    code = _HOLDERS.get(by)
    if code is not None:
        child.waited(ns, code)


class PendingVisits:
    """Visits that are in flight, each of which is recorded once.

    Args:
        workers: Workers of the execution; those that run now.
        now: Clock of the loop, in nanoseconds.
    """

    def __init__(self, workers: Sequence[Worker], now: Callable[[], int]) -> None:
        self._workers = workers
        self._now = now
        self._looked_ns = now()
        self._noted: dict[Worker, MessageContext] = {}

    def note(self) -> None:
        """Record each visit that was in flight the last time, too, and was not recorded."""
        noted: dict[Worker, MessageContext] = {}
        for worker in self._workers[:MOST_LOOKED_AT]:
            context: MessageContext | None = worker.context
            route: RouteState | None = worker.route
            if context is None or route is None or route.lineage is None or context.visit_ns > self._looked_ns:
                continue
            if self._noted.get(worker) is not context:
                route.lineage.visited(context, StageStatus.PENDING)
            noted[worker] = context
        self._noted = noted
        self._looked_ns = self._now()


def names_of(config: PipelineGlobalConfig, redacted: Redacted) -> list[tuple[str, list[tuple[str, Any]], list[str]]]:
    """Return the routes as `LineageLog` takes them, in order."""
    return [
        (
            route_id,
            [(stage.name, _condition_of(stage.condition, redacted)) for stage in route.adapters],
            [redacted(str(outbound.queue or outbound.route)) for outbound in route.outbound],
        )
        for route_id, route in config.routes.items()
    ]


def _condition_of(condition: ConditionConfig | None, redacted: Redacted) -> Any:
    return None if condition is None else parts_of(condition.mapping, redacted)


def parts_of(condition: Mapping[str, Any], redacted: Redacted) -> tuple[Any, ...]:
    """Return a condition in parts, as `LineageLog` takes it."""
    if "all_of" in condition:
        return "all", [parts_of(part, redacted) for part in condition["all_of"]]
    if "any_of" in condition:
        return "any", [parts_of(part, redacted) for part in condition["any_of"]]
    if "not" in condition:
        return "not", parts_of(condition["not"], redacted)
    field: Any = condition.get("field")
    if "any_element" in condition:
        inner: Mapping[str, Any] = condition["any_element"]
        said = {"field": inner.get("field"), "operator": "any_element", "value": inner.get("condition")}
        field = inner.get("field")
    else:
        said = {key: condition[key] for key in ("field", "operator", "value") if key in condition}
    text = ",".join(f"{json.dumps(key)}:{_value_text(value, redacted)}" for key, value in said.items())
    return "leaf", condition, field if isinstance(field, str) else None, text


def _value_text(value: Any, redacted: Redacted) -> str:
    """Return a value of a condition as JSON, without secrets, bounded."""
    if isinstance(value, str):
        return json.dumps(bounded(redacted(value), MOST_VALUE), ensure_ascii=False)
    text = json.dumps(value, ensure_ascii=False, default=_described)
    hidden = redacted(text)
    return text if hidden == text and len(text) <= MOST_VALUE else json.dumps(bounded(hidden, MOST_VALUE))


def _described(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    return str(value)
