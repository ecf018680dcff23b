"""Noticing a Ctrl-C outside a run, whatever it becomes on its way up.

Kept separate from `signals`, which is for runs, so that commands that run nothing need not import trio.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType


class Interrupts:
    """A handler of SIGINT that does as Python's own, and remembers it.

    Who is interrupted may make another error of a KeyboardInterrupt, or drop it and go on with something half made, as
    foreign code does: pydantic's, while it builds a validator. What is known to do so is run `held`.
    """

    def __init__(self) -> None:
        self.noticed = False
        self._holds = 0
        self._waits = False  # one came while it was held

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Do what Python does by itself, now or when it is held no longer; a second one is not held."""
        self.noticed = True
        if self._holds and not self._waits:
            self._waits = True
        else:
            signal.default_int_handler(number, frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what is done in this block come to its end before it is interrupted.

        Raises:
            KeyboardInterrupt: It was to be, meanwhile; instead of what the block raised, if it did.
        """
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._waits and not self._holds:
                self._waits = False
                raise KeyboardInterrupt


@contextmanager
def noticed_interrupts() -> Iterator[Interrupts]:
    """Remember interrupts in this block, if Python's own handler is the one in charge: else nothing changes."""
    interrupts = Interrupts()
    if not _replaced(signal.default_int_handler, interrupts):
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        _replaced(interrupts, signal.default_int_handler)


@contextmanager
def held_interrupts() -> Iterator[None]:
    """See `Interrupts.held`; nothing is held where another handler is in charge."""
    current = signal.getsignal(signal.SIGINT)
    with current.held() if isinstance(current, Interrupts) else nullcontext():
        yield


@contextmanager
def python_interrupts() -> Iterator[None]:
    """Have Python's own handler back for a while, for who looks for it: trio, before it protects its tasks."""
    current = signal.getsignal(signal.SIGINT)
    if not isinstance(current, Interrupts):
        yield
        return
    _replaced(current, signal.default_int_handler)
    try:
        yield
    finally:
        _replaced(signal.default_int_handler, current)


def _replaced(before: object, after: Callable[[int, FrameType | None], object]) -> bool:
    """Put one handler in the place of another; false, and nothing is done, if that is not there."""
    if signal.getsignal(signal.SIGINT) is not before:
        return False
    try:
        signal.signal(signal.SIGINT, after)
    except ValueError:  # not the main thread: signals are not handled here
        return False
    return True
