"""Faults of one execution: failed messages, and tasks that died; what each of them means for the execution.

Kept separate from `lifecycle`, which ends the execution when it has failed: this module decides whether it has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from factflow_engine.error_texts import describe
from factflow_engine.frames import Frame
from factflow_engine.runtime.execution.cause import Cause
from factflow_engine.runtime.execution.failure_log import FailureLog
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_engine.runtime.stages.stage import Stage

logger = logging.getLogger("factflow_engine.runtime")


class Faults:
    """Receiver of an execution's faults from its loop, its routes and its transport."""

    def __init__(
        self,
        *,
        cause: Cause,
        failures: FailureLog,
        max_failed: int | None,
        redacted: Redaction,
        is_ending: Callable[[], bool],
        close_intake: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            cause: Cause of the execution's end.
            failures: Log of failed messages.
            max_failed: Failed messages above which the execution fails; None for no bound.
            redacted: Removes secrets from errors.
            is_ending: Returns True if the execution has completed or is being stopped: a fault then changes nothing.
            close_intake: Closes the loop's intake: messages given back must not be tried again on the way out.
            stop: Stops the execution at once, also while it is being stopped with a grace.
        """
        self._cause = cause
        self._failures = failures
        self._max_failed = max_failed
        self._redacted = redacted
        self._is_ending = is_ending
        self._close_intake = close_intake
        self._stop = stop

    def message_failed(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes | None, error: Exception
    ) -> None:
        """Note that a message failed; fail the execution if more have failed than it allows."""
        failed, most = self._failures.record(route, stage, frame, payload, error), self._max_failed
        if most is not None and failed > most:
            self._fail(f"{failed} messages failed; orchestrator.max_failed_messages is {most}")

    def route_died(self, route: RouteState | None, error: BaseException) -> None:
        """Fail the execution: a task of a route, or without one of the engine, has died."""
        where = "the engine" if route is None else f"route {route.id!r}"
        logger.error("%s died:\n%s", where, self._redacted.trace(error))
        self.note(f"{where} died: {describe(error)}")

    def transport_died(self, what: str, error: BaseException) -> None:
        """Fail the execution: the provider could not do something, and nothing can be acknowledged any more."""
        logger.error("%s failed:\n%s", what, self._redacted.trace(error))
        self.note(f"{what} failed: {describe(error)}")
        self._stop()  # also cuts a grace short

    def note(self, text: str) -> None:
        """Fail the execution, unless it has completed or is being stopped: the fault then happened on the way."""
        if self._is_ending() or (self._cause.error is None and is_cancelled()):
            self._cause.note(text)
        else:
            self._fail(text)

    def _fail(self, text: str) -> None:
        self._cause.fail(text)
        self._close_intake()
        self._stop()
