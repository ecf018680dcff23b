"""Interruptions at an exact place: SIGINT at the engine's n-th line, a cancellation at trio's n-th step.

Where random instants find a window of a microsecond once in a million, this visits every line.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

import factflow_engine

ENGINE = str(Path(factflow_engine.__file__).parent)


class InterruptAtLine:
    """Traces the calling thread between `begin` and `end`.

    Attributes:
        left: Lines still to come before the signal; positive at the end if there were fewer.
        where: The line that was hit.
    """

    def __init__(self, line: int, *, inside: Callable[[], bool] = lambda: True) -> None:
        self.left = line
        self.where = "nowhere"
        self._inside = inside

    def begin(self) -> None:
        sys.settrace(self._call)

    def end(self) -> None:
        sys.settrace(None)

    def _call(self, frame: Any, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(ENGINE) else None

    def _line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and self.left > 0 and self._inside():
            self.left -= 1
            if not self.left:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)  # the handler judges by this frame and its callers, as ever
        return self._line


@contextmanager
def interruptible() -> Iterator[None]:
    """Python's own handling of SIGINT, which trio needs to find, whatever the test runner has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, before)


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope just before trio's n-th step of any task but the main one."""

    def __init__(self, scope, step):
        self.scope = scope
        self.left = step

    def before_task_step(self, task):
        if task is not trio.lowlevel.current_root_task() and "simulate" not in task.name:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()
