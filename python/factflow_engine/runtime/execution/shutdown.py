"""The budgets of an execution's shutdown: for work that has begun or waits, then for last words, stage by stage.

Kept separate from `lifecycle` because budgets of two phases meet here, and only here: the one for work must not cut off
what is said when it was done in time. (Closing comes after everything; each route bounds that by itself.)
"""

import math
from typing import Final

import trio

from factflow_engine.runtime.stages.isolation import apart
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import AdapterResult

CANCELLED: Final = "cancelled before it was drained"

REST_SECONDS: Final = 1.0
"""What last words lead to has the rest of their budget if the one for work has less, and this long at least."""


class Shutdown:
    """The budgets of one execution's end; there are none until it is drained or cancelled.

    Attributes:
        opening: Cancelled, or past its deadline, when the routes need not open any more.
        work: Cancelled, or past its deadline, when completion is no longer waited for.
        grace: For what is still in flight then; over at once unless `cancel` grants some.
        words: Around what stages say although a drain was given up; cancelled by `cancel`.
    """

    def __init__(self, *, drain_seconds: float | None, finish_seconds: float) -> None:
        self.opening: Final = trio.CancelScope()
        self.work: Final = trio.CancelScope()
        self.grace: Final = trio.CancelScope(deadline=-math.inf)
        self.words: Final = trio.CancelScope()
        self._why = CANCELLED  # holds if `work` ends by being cancelled
        self._drain_seconds = math.inf if drain_seconds is None else drain_seconds
        self._finish_seconds = finish_seconds
        self._draining = False
        self._finishing: trio.CancelScope | None = None  # last words, while they are being said
        self._speaker: Stage | None = None  # the stage that says them
        self._granted: set[Stage] = set()  # whose last words have prolonged the budget for work

    @property
    def speaker(self) -> Stage | None:
        """The stage that is asked for its last words."""
        return self._speaker

    @property
    def is_draining(self) -> bool:
        """True if a drain was asked for and its budget for work is neither spent nor cancelled."""
        return self._draining and not self.work.cancel_called

    @property
    def why(self) -> str:
        """The reason for which the execution has not completed, if that is because completion was waited for no longer."""
        return self._why if self.work.cancelled_caught or self.opening.cancelled_caught else CANCELLED

    @property
    def is_spent(self) -> bool:
        """True if completion is waited for no longer because a drain's budget is spent."""
        return self.work.cancelled_caught and self._why != CANCELLED

    def drain(self, seconds: float | None) -> None:
        """Let the budget for work begin, and that of last words if they are being said; ignore a longer one than before.

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
        """Ask a stage for its last words; from when the execution is drained they have a budget of their own.

        Once: what a stage in a cycle says again, because its words came back to it, is part of what they led to.

        Raises:
            FaultError: It raised something.
            TimeoutError: It was not enough.
        """
        if stage.stateful is None:
            return None
        finishing = trio.CancelScope()
        self._finishing, self._speaker = finishing, stage
        if self._draining and stage not in self._granted:
            self._granted.add(stage)
            deadline = self._bound(finishing)
            if deadline > self.work.deadline and not self.work.cancel_called:  # else that has its reason
                self.work.deadline = deadline
                self._why = (
                    "drain gave up: what stages said at their end was not done within orchestrator.finish_seconds: "
                    f"{self._finish_seconds:g}"
                )
        try:
            result = await apart(stage.stateful.finish, finishing)
        finally:
            self._finishing = self._speaker = None
        if not finishing.cancelled_caught:
            return result
        raise TimeoutError(f"finish() did not return within orchestrator.finish_seconds: {self._finish_seconds:g}")

    def _bound(self, finishing: trio.CancelScope) -> float:
        """Let the budget of last words begin, unless it has; return by when what they lead to must be done, in trio's time."""
        finishing.deadline = min(finishing.deadline, trio.current_time() + self._finish_seconds)
        return finishing.deadline + REST_SECONDS
