"""Group commit: callers' requests run together, in one transaction at a time, without a task of its own.

A caller that arrives while no transaction runs becomes the leader: its request, and those that came with it, become a
transaction in a thread. Requests that arrive meanwhile queue up; when the leader has finished, the first of them leads
the next transaction. So no request waits for company that may not come, and under load a commit carries as many
requests as arrived during the one before. (The scheme is the classic one of write-ahead logs; LevelDB's writers queue
is a well-known instance.)

A caller that is cancelled while it waits takes its request back. Once its transaction has begun, it waits for the end,
however short, so that no caller sees a stored message as not stored.

Invariants: at most one transaction runs; if requests wait, there is a leader or one was woken; each request has exactly
one outcome or was taken back.
"""

from collections import deque
from typing import Any, Final, TypeVar, cast

import trio

from factflow_engine.queues.sqlite.store import Outcome, Request, Store
from factflow_engine.seams import Threads
from factflow_protocols import QueueError

T = TypeVar("T")

MOST_BYTES: Final = 8 << 20
"""Weight of a transaction's requests, except the first: others wait for its end, and the file is locked meanwhile."""

MOST_REQUESTS: Final = 256


class _Waiting:
    """A request and the task that waits for it."""

    __slots__ = ("begun", "outcome", "request", "task")

    def __init__(self, request: Request[Any], task: trio.lowlevel.Task) -> None:
        self.request = request
        self.task = task
        self.begun = False  # its transaction is under way or over
        self.outcome: Outcome | None = None


class Writer:
    """Serial access to the file for all callers."""

    def __init__(self, store: Store, *, threads: Threads) -> None:
        self._store = store
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._led = False  # True if there is a leader, or one was woken

    async def submit(self, request: Request[T]) -> T:
        """Run a request.

        Raises:
            Exception: The error of the request, or of the transaction.

        Cancellation: takes the request back if its transaction has not begun; otherwise waits for the end.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        mine = _Waiting(request, trio.lowlevel.current_task())
        self._waiting.append(mine)
        if self._led:
            await self._wait(mine)
        if mine.outcome is None:
            self._led = True
            try:
                with trio.CancelScope(shield=True):
                    await self._commit()
            finally:
                self._hand_over()
        return cast("T", _result(mine))

    async def _wait(self, mine: _Waiting) -> None:
        """Wait until there is an outcome, or it is this caller's turn to lead."""

        def abort(_: object) -> trio.lowlevel.Abort:
            if mine.begun:
                return trio.lowlevel.Abort.FAILED
            self._waiting.remove(mine)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def _commit(self) -> None:
        """Run the waiting requests, the leader's own first, and wake the other callers."""
        batch = self._next_batch()
        outcomes: list[Outcome] = []
        requests = [waiting.request for waiting in batch]
        try:
            outcomes = await self._threads.run(lambda: self._store.run(requests))
        finally:
            for place, waiting in enumerate(batch):
                waiting.outcome = outcomes[place] if outcomes else _interrupted(waiting.request)
                if place:
                    trio.lowlevel.reschedule(waiting.task)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        weight = 0
        while self._waiting and len(batch) < MOST_REQUESTS:
            weight += self._waiting[0].request.weight
            if batch and (weight > MOST_BYTES or self._waiting[0].request.alone):
                break
            waiting = self._waiting.popleft()
            waiting.begun = True
            batch.append(waiting)
            if waiting.request.alone:
                break
        return batch

    def _hand_over(self) -> None:
        """Make the first waiting caller the next leader."""
        if self._waiting:
            self._waiting[0].begun = True  # a leader is not cancelled before it has led
            trio.lowlevel.reschedule(self._waiting[0].task)
        else:
            self._led = False


def _result(mine: _Waiting) -> Any:
    outcome = cast("Outcome", mine.outcome)
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


def _interrupted(request: Request[Any]) -> Outcome:
    """Return the error for the rest of the batch if the leader was stopped by force (Ctrl-C, interpreter exit)."""
    return Outcome(error=QueueError(request.queue, "the transaction was interrupted; whether it was stored is unknown"))
