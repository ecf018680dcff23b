"""Waits for what virtual time does not wait for: real threads, sockets and processes.

Kept separate from the run because only this module reads the frames of tasks: the clock takes such a task for an idle one.
"""

from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import trio

REMEDY: Final = "virtual time does not wait for it: write `def process`, replace the stage, or give it a fake"

_THREADS: Final = "trio._threads"
_SOCKETS: Final = "trio._core._io_"


def outside_waits() -> list[str]:
    """Return a text for each task of the program that waits for something real; to be called within a trio run."""
    root = trio.lowlevel.current_root_task()
    return [] if root is None else sorted({text for task in _below(root) if (text := _wait_of(task)) is not None})


class ThreadPolling(trio.abc.Instrument):
    """Instrument that looks for real threads whenever all tasks of a simulated run wait.

    Those with a limiter of their own are not seen. Sockets are not looked for: asking trio for them costs more than the rest of a look at an idle run.

    Args:
        noticed: Called once, with the texts of the waits.
    """

    def __init__(self, noticed: Callable[[list[str]], object]) -> None:
        self._noticed = noticed
        self._limiter = trio.to_thread.current_default_thread_limiter()  # noqa: TID251 - starts none
        self._has_noticed = False

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        if self._limiter.borrowed_tokens and not self._has_noticed:
            self._has_noticed = True
            self._noticed(outside_waits())


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    tasks = [task]
    while tasks:
        yield (task := tasks.pop())
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]


def _wait_of(task: trio.lowlevel.Task) -> str | None:
    caller: FrameType | None = None
    for frame, _ in task.iter_await_frames():
        module = frame.f_globals.get("__name__", "")
        if module.startswith((_THREADS, _SOCKETS)):
            kind = "a real thread" if module.startswith(_THREADS) else "a socket, pipe or process"
            return None if caller is None else f"{_place(caller)} waits for {kind}"
        if module != "trio" and not module.startswith("trio."):
            caller = frame
    return None


def _place(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_name}, line {frame.f_lineno},"
