"""Failures of one execution for its report: a bounded number, without secrets.

Kept separate from the orchestrator because only this module decides what a report may show of a failure.
"""

import logging
from typing import Final

from factflow_engine.error_texts import class_name, error_text
from factflow_engine.frames import Frame
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import FailureRecord, preview_of
from factflow_engine.runtime.stages.failure_place import place_of
from factflow_engine.runtime.stages.stage import Stage

logger = logging.getLogger("factflow_engine.runtime")


class FailureLog:
    """Log of an execution's failures.

    Attributes:
        records: The first failures, oldest first.
        omitted: Number of failures besides those.
    """

    def __init__(self, most: int, redacted: Redaction) -> None:
        self.records: Final[list[FailureRecord]] = []
        self.omitted = 0
        self._most = most
        self._redacted = redacted

    def record(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes | None, error: Exception
    ) -> int:
        """Note that a message failed; return the total number of failures."""
        name = None if stage is None else stage.info.stage
        if logger.isEnabledFor(logging.DEBUG):
            trace = self._redacted.trace(error)
            logger.debug("route %r, stage %r: message %s failed:\n%s", route.id, name, frame.message_id.hex(), trace)
        if len(self.records) < self._most:
            self.records.append(
                FailureRecord(
                    route=route.id,
                    stage=name,
                    error_type=class_name(error),
                    error=self._redacted(error_text(error)),
                    message_id=frame.message_id.hex(),
                    correlation_id=frame.correlation_id.hex(),
                    attempts=frame.attempt,
                    place=place_of(error),
                    payload_preview=preview_of(frame.payload if payload is None else payload, self._redacted),
                )
            )
        else:
            self.omitted += 1
        return len(self.records) + self.omitted
