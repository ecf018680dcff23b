"""A server of limited capacity, driven by a pipeline under virtual time or by a bare loop of events, in the same way."""

import heapq
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import trio

from factflow_engine import BackpressureController

MS = 1_000_000
SECOND = 1_000_000_000


class FifoServer:
    """Serves as many calls at a time as it has workers, first come first served, each for the same time.

    Args:
        workers: Times in nanoseconds and numbers of workers from then on.
        service_ns: Time that a call takes.
        refuses_above: Calls at a time above which it refuses at once; None: it never does.
        at: Calls back at a time.
    """

    def __init__(
        self,
        workers: list[tuple[int, int]],
        *,
        service_ns: int,
        refuses_above: int | None = None,
        at: Callable[[int, Callable[[], None]], None],
        now: Callable[[], int],
    ) -> None:
        self._workers = workers
        self._service_ns = service_ns
        self._refuses_above = refuses_above
        self._at = at
        self._now = now
        self._waiting: deque[Callable[[bool], None]] = deque()
        self._served = 0
        for time_ns, _ in workers[1:]:
            at(time_ns, self._serve)

    def call(self, done: Callable[[bool], None]) -> None:
        """Call `done` when it is done, with False if it was refused."""
        if self._refuses_above is not None and self._served + len(self._waiting) >= self._refuses_above:
            done(False)
            return
        self._waiting.append(done)
        self._serve()

    def _serve(self) -> None:
        now = self._now()
        workers = [number for time_ns, number in self._workers if time_ns <= now][-1]
        while self._waiting and self._served < workers:
            self._served += 1
            done = self._waiting.popleft()
            self._at(now + self._service_ns, lambda done=done: self._end(done))  # type: ignore[misc]

    def _end(self, done: Callable[[bool], None]) -> None:
        self._served -= 1
        done(True)
        self._serve()


@asynccontextmanager
async def in_trio(make: Callable[..., FifoServer]) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Give a function that calls the server, which lives by trio's clock, and returns True if it was served."""
    begun = round(trio.current_time() * 1e9)

    async def later(time_ns: int, call: Callable[[], None]) -> None:
        await trio.sleep_until((time_ns + begun) / 1e9)
        call()

    async def call() -> bool:
        done = trio.Event()
        accepted: list[bool] = []

        def end(was_accepted: bool) -> None:
            accepted.append(was_accepted)
            done.set()

        server.call(end)
        await done.wait()
        return accepted[0]

    async with trio.open_nursery() as nursery:
        server = make(
            at=lambda time_ns, call: nursery.start_soon(later, time_ns, call),
            now=lambda: round(trio.current_time() * 1e9) - begun,
        )
        yield call
        nursery.cancel_scope.cancel()


def bare(
    controller: BackpressureController,
    make: Callable[..., FifoServer],
    *,
    until_ns: int,
    every_ns: int,
    refused_ns: int,
) -> list[int]:
    """Return a controller's limits at intervals, with a backlog that never ends."""
    events: list[tuple[int, int, Callable[[], None]]] = []
    serial = count()
    now = 0
    seen: list[int] = []

    def at(time_ns: int, call: Callable[[], None]) -> None:
        heapq.heappush(events, (time_ns, next(serial), call))

    server = make(at=at, now=lambda: now)

    def fill() -> None:
        while (permit := controller.try_acquire(now)) is not None:

            def done(accepted: bool, permit=permit) -> None:
                permit.record(now, dropped=not accepted)
                fill()

            def refused_later(accepted: bool, done=done) -> None:
                if accepted:
                    done(True)
                else:
                    at(now + refused_ns, lambda: done(False))

            server.call(refused_later)

    for time_ns in range(every_ns, until_ns + 1, every_ns):
        at(time_ns, lambda: seen.append(controller.limit))
    fill()
    while events:
        now, _, call = heapq.heappop(events)
        if now > until_ns:
            break
        call()
    return seen
