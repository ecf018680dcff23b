"""Time limit of a check that also ends one that holds out against cancellation, and names the place it waits at.

Kept separate from the runner because it reaches into trio's tasks. A check that blocks the event loop for ever is beyond
it: nothing in the same thread can end that.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import trio

from factflow_engine.seams import SystemClock

GRACE_SECONDS: Final = 1.0
"""Time after which a cancelled check loses its shields."""

_MOST_PLACES: Final = 3
_SKIPPED: Final = (str(Path(trio.__file__).parent), str(Path(__file__).parent), "<")


async def limited(body: Callable[[], Awaitable[None]], seconds: float) -> str | None:
    """Run a check within a time limit.

    Args:
        body: The check.
        seconds: The limit, by trio's clock, and by the machine's for a check that never waits.

    Returns:
        None if it ended in time, else a text that names the places at which its tasks waited.

    Raises:
        Exception: Whatever the check raised in time, in an exception group.
    """
    text: str | None = None
    scope = trio.CancelScope()
    task = trio.lowlevel.current_task()

    def give_up(how: str) -> None:
        nonlocal text
        if text is None:
            text = f"did not end within {seconds:g} s{how}{_places(task)}"
        if scope.cancel_called:
            _lift_shields(scope)
        scope.cancel()

    async def watch() -> None:
        await trio.sleep(seconds)
        while True:
            give_up("")
            await trio.sleep(GRACE_SECONDS)

    spinning = _Spinning(lambda: give_up(", and never waits for anything"), seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        trio.lowlevel.add_instrument(spinning)
        try:
            with scope:
                await body()
        except Exception:
            if text is None:
                raise
        finally:
            trio.lowlevel.remove_instrument(spinning)
            nursery.cancel_scope.cancel()
    return text


class _Spinning(trio.abc.Instrument):
    """Observer that ends a check which is always ready to run, so that virtual time stands still."""

    def __init__(self, give_up: Callable[[], None], seconds: float) -> None:
        self._give_up = give_up
        self._nanoseconds = round(seconds * 1e9)
        self._time = trio.current_time()
        self._since = SystemClock.monotonic_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        now = trio.current_time()
        if now != self._time:
            self._time, self._since = now, SystemClock.monotonic_ns()
        elif SystemClock.monotonic_ns() - self._since > self._nanoseconds:
            self._since += round(GRACE_SECONDS * 1e9)
            self._give_up()


def descendants(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield a task and those in its nurseries, at any depth."""
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from descendants(child)


def _places(task: trio.lowlevel.Task) -> str:
    places: list[str] = []
    for each in descendants(task):
        frames = [
            (frame.f_code.co_filename, line, frame.f_code.co_name)
            for frame, line in each.iter_await_frames()
            if not frame.f_code.co_filename.startswith(_SKIPPED)
        ]
        if frames:
            file, line, name = frames[-1]
            places.append(f"{Path(file).name}:{line} in {name}()")
    shown = list(dict.fromkeys(places))[:_MOST_PLACES]
    return f"; it waits at {', '.join(shown)}" if shown else ""


def _lift_shields(scope: trio.CancelScope) -> None:
    """Lift the shields within a cancelled scope; trio knows them by a private tree."""
    waiting = [getattr(scope, "_cancel_status", None)]
    while waiting:
        status = waiting.pop()
        if status is not None:
            for child in list(status._children):
                child._scope.shield = False
                waiting.append(child)
