"""Budgets of an execution's shutdown: for started and waiting messages, then for each stage's `finish`.

Kept separate from `lifecycle` because the budgets of two phases interact only here: the one for work must not cut off a
`finish` that started in time. (Closing comes last, and each route bounds it by itself.)
"""

import math
from typing import Final

import trio

from factflow_engine.runtime.stages.isolation import in_own_task
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import AdapterResult

CANCELLED: Final = "cancelled before it was drained"

REST_SECONDS: Final = 1.0
"""Least time for messages that `finish` emits, which otherwise have the rest of its budget."""


class Shutdown:
    """Budgets of one execution's end; unlimited until it is drained or cancelled.

    Attributes:
        opening: Cancelled, or past its deadline, when the routes need not open any more.
        work: Cancelled, or past its deadline, when completion is not awaited any more.
        grace: Time for messages still in flight then; zero unless `cancel` grants some.
        words: Scope around stages' `finish` after a drain was given up; cancelled by `cancel`.
    """

    def __init__(self, *, drain_seconds: float | None, finish_seconds: float) -> None:
        self.opening: Final = trio.CancelScope()
        self.work: Final = trio.CancelScope()
        self.grace: Final = trio.CancelScope(deadline=-math.inf)
        self.words: Final = trio.CancelScope()
        self._why = CANCELLED  # applies if `work` ends by being cancelled
        self._drain_seconds = math.inf if drain_seconds is None else drain_seconds
        self._finish_seconds = finish_seconds
        self._draining = False
        self._finishing: trio.CancelScope | None = None  # scope of a running `finish`
        self._speaker: Stage | None = None  # the stage that is finishing
        self._granted: set[Stage] = set()  # stages whose `finish` has extended the budget for work

    @property
    def speaker(self) -> Stage | None:
        """The stage that is finishing."""
        return self._speaker

    @property
    def is_draining(self) -> bool:
        """True if a drain was requested and its budget for work is neither spent nor cancelled."""
        return self._draining and not self.work.cancel_called

    @property
    def why(self) -> str:
        """Reason why the execution has not completed, if the wait for completion was given up."""
        return self._why if self.work.cancelled_caught or self.opening.cancelled_caught else CANCELLED

    @property
    def is_spent(self) -> bool:
        """True if the wait for completion was given up because a drain's budget is spent."""
        return self.work.cancelled_caught and self._why != CANCELLED

    def drain(self, seconds: float | None) -> None:
        """Start the budget for work, and that of a running `finish`; ignore a longer budget than before.

        Raises:
            ValueError: The budget is negative or not a number.
        """
        seconds = self._drain_seconds if seconds is None else seconds
        if not seconds >= 0:
            raise ValueError(f"drain() needs a budget of zero or more seconds, got {seconds!r}")
        self._draining = True
        now = trio.current_time()
        deadline = now + seconds
        if self.work.cancel_called:
            self.grace.deadline = min(self.grace.deadline, deadline)
            return
        if self._finishing is not None and self._speaker is not None:
            self._granted.add(self._speaker)
            deadline = max(deadline, self._bound(self._finishing))
        if deadline < self.work.deadline:
            self.opening.deadline = self.work.deadline = deadline
            self._why = f"drain gave up: what had begun or waited was not done within {deadline - now:g} s"

    def cancel(self, grace: float) -> None:
        """Stop waiting for completion; give in-flight messages `grace` seconds, or the drain's remainder if shorter."""
        deadline = trio.current_time() + grace
        self.words.cancel()
        if self.work.cancel_called:
            self.grace.deadline = min(self.grace.deadline, deadline)
            return
        self.grace.deadline = min(self.work.deadline, deadline)
        self._why = CANCELLED
        self.opening.cancel()
        self.work.cancel()

    async def finish(self, stage: Stage) -> AdapterResult | None:
        """Call a stage's `finish`; once the execution is drained it has a budget of its own.

        Once for each stage: in a cycle, a second `finish`, caused by the first one's messages, counts as their effect.

        Raises:
            FaultError: The stage raised.
            TimeoutError: The budget was too short.
        """
        stateful = stage.stateful
        if stateful is None:
            return None
        finishing = trio.CancelScope()
        self._finishing, self._speaker = finishing, stage
        if self._draining and stage not in self._granted:
            self._granted.add(stage)
            deadline = self._bound(finishing)
            if deadline > self.work.deadline and not self.work.cancel_called:  # else the scope has that reason
                self.work.deadline = deadline
                self._why = (
                    "drain gave up: what stages said at their end was not done within orchestrator.finish_seconds: "
                    f"{self._finish_seconds:g}"
                )
        try:
            result = await in_own_task(lambda: stage.watched(stateful.finish(), "finish"), finishing)
        finally:
            self._finishing = self._speaker = None
        if not finishing.cancelled_caught:
            return result
        raise TimeoutError(f"finish() did not return within orchestrator.finish_seconds: {self._finish_seconds:g}")

    def _bound(self, finishing: trio.CancelScope) -> float:
        """Start the budget of `finish`, unless it has started; return the deadline of its messages, in trio's time."""
        finishing.deadline = min(finishing.deadline, trio.current_time() + self._finish_seconds)
        return finishing.deadline + REST_SECONDS
